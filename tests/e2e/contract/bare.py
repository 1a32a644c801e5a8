"""Answers requests by the service alone, with no adapter and no provider: ``python -I -S -B bare.py FOLDER``.

Reads a JSON list of requests and writes a JSON list of answers; bodies are base64 in both.
"""

import base64
import json
import sys

root = sys.argv[1]
sys.path.insert(0, root)

from coldpress_runtime.http import Request  # noqa: E402
from coldpress_runtime.service import Service  # noqa: E402

service = Service.open(root)
answers = []
for asked in json.load(sys.stdin):
    path, _, query = asked["path"].partition("?")
    request = Request(asked["method"], path, asked["headers"], base64.b64decode(asked["body"]), query)
    answer = service.answer(request)
    body = base64.b64encode(answer.body).decode()
    answers.append({"status": answer.status, "headers": answer.headers, "body": body})
json.dump(answers, sys.stdout)
