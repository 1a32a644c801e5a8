"""What an answer takes without a server: `python bare.py BUNDLE BODY` prints the median of 2,000 in ms."""

import statistics
import sys
import time
from pathlib import Path

bundle, body_file = sys.argv[1:]
sys.path.insert(0, bundle)

from coldpress_runtime.http import Request  # noqa: E402
from coldpress_runtime.service import Service  # noqa: E402

body = Path(body_file).read_bytes()
service = Service.open(bundle)
headers = {"content-type": "application/json"}
times = []
for _ in range(2000):
    started = time.perf_counter()
    response = service.answer(Request("POST", "/predict", headers, body))
    times.append((time.perf_counter() - started) * 1e3)
assert response.status == 200
sys.stdout.write(f"{statistics.median(times):.6f}\n")
