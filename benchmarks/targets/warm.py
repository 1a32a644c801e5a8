"""What an adapter adds to an answer: `python warm.py TARGET BUNDLE ASKED CALLS OUT [PACKAGES]`, as JSON in OUT.

In one process, the service is asked and then the adapter is called as its provider's runtime calls it, in turn: median
of each, and of the difference within a pair. Before each it sleeps for as long as a function waits between two events
of these benchmarks: a processor that has slept finds its caches colder.
"""

import io
import json
import statistics
import sys
import time
from functools import partial
from types import SimpleNamespace

target, bundle, asked_file, calls, out, *packages = sys.argv[1:]
sys.path[:0] = [bundle, *packages]

from coldpress_runtime.http import Request  # noqa: E402
from coldpress_runtime.service import Service  # noqa: E402

with open(asked_file, "rb") as file:
    asked = json.load(file)
method, path, headers, body = asked["method"], asked["path"], asked["headers"], asked["body"].encode()


def aws():
    """Lambda's client has parsed the event, and will write the reply."""
    from app import handler

    context = SimpleNamespace(aws_request_id="c6af9ac6-7b61-11e6-9a41-93e8deadbeef")

    def make():
        event = json.loads(asked["event"])
        return lambda: handler(event, context)

    return make


def alibaba():
    """Function Compute hands over the event's bytes."""
    from index import handler

    context = SimpleNamespace(request_id="1-5f0f9a62-2182154f-52fdfc072182")
    event = asked["event"].encode()
    return lambda: lambda: handler(event, context)


def gcp():
    """functions-framework hands over a request of Flask's."""
    import flask
    from main import predict
    from werkzeug.test import EnvironBuilder

    environ = EnvironBuilder(path, "http://localhost", method=method, headers=headers, data=body).get_environ()

    def make():
        request = flask.Request(environ | {"wsgi.input": io.BytesIO(body), "RAW_URI": path})
        return lambda: predict(request)

    return make


def azure():
    """Azure's worker hands over a request of its SDK's."""
    import azure.functions
    from function_app import app

    answer = next(each for each in app.get_functions() if each.get_function_name() == "answer").get_user_function()
    context = SimpleNamespace(invocation_id="52fdfc07-2182-154f-163f-5f0f9a621d72")
    url = "https://function.azurewebsites.net" + path

    def make():
        request = azure.functions.HttpRequest(method, url, headers=headers, body=body)
        return lambda: answer(request, context)

    return make


def container():
    """An ASGI server hands over a scope, and a way to receive and to send, in a task of its event loop."""
    import asyncio

    from server import app

    loop = asyncio.new_event_loop()

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        pass

    def make():
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": pairs}
        return lambda: loop.run_until_complete(app(scope, receive, send))

    return make


def clocked(call):
    """Milliseconds of one call, after a pause."""
    time.sleep(0.0003)
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1e3


service = Service.open(bundle)
make = globals()[target]()
pairs = []
for number in range(int(calls) + 50):
    bare = partial(service.answer, Request(method, path, dict(headers), body))
    adapter = make()
    pair = (clocked(bare), clocked(adapter)) if number % 2 else (clocked(adapter), clocked(bare))[::-1]
    if number >= 50:  # the first ones only warm up
        pairs.append(pair)
figures = {
    "service_ms": statistics.median(pair[0] for pair in pairs),
    "adapter_ms": statistics.median(pair[1] for pair in pairs),
    "added_ms": statistics.median(pair[1] - pair[0] for pair in pairs),
}
with open(out, "w") as file:
    json.dump(figures, file)
