"""Hooks that answer in every way in which a hook can: a body's ``do`` names which; others are echoed."""

import zlib
from urllib.parse import parse_qs

from coldpress_runtime.errors import BusyError, NotFoundError, RequestError, TooLargeError
from coldpress_runtime.http import Response

seen = {}
ONE = {"x": [[0.0] * 64]}


class Odd(dict):
    def keys(self):
        raise ArithmeticError("nobody foresaw this")


def preprocess(request):
    seen.update(do="echo", request=request)
    if request.headers.get("content-type", "").startswith("application/json"):
        document = request.json()
        seen["do"] = document.get("do") if isinstance(document, dict) else None
    match seen["do"]:
        case "the caller is at fault":
            raise RequestError("This digit is too “round” for me.")
        case "busy":
            raise BusyError("Ask again a little later.", 7)
        case "too large for it":
            raise TooLargeError("A smaller picture, please.")
        case "not found":
            raise NotFoundError("There is no such picture.")
        case "preprocess fails":
            raise ValueError("a secret that nobody shall see")
        case "exit":
            raise SystemExit(3)
        case "a wrong input":
            return {"y": [[0.0] * 64]}
        case "another shape":
            return {"x": [[0.0] * 3]}
        case "nobody foresaw it":
            return Odd(ONE)
    return ONE


def echo():
    request = seen["request"]
    first = request.headers.get("x-first")
    return {
        "method": request.method,
        "path": request.path,
        "query": sorted(parse_qs(request.query, keep_blank_values=True).items()),
        "type": request.headers.get("content-type"),
        "first": first and [part.strip() for part in first.split(",")],
        "bytes": len(request.body),
        "crc": zlib.crc32(request.body),
    }


RESPONSES = {
    "201 and headers": (201, {"Content-Type": "application/json", "X-Digit": "7", "Cache-Control": "no-store"}, b"{}"),
    "204 and no body": (204, {}, b""),
    "204 and a body": (204, {"Content-Type": "text/plain"}, b"nothing"),
    "304 and a body": (304, {"ETag": '"7"'}, b"nothing"),
    "302 elsewhere": (302, {"Location": "/v2/health/live?a=1&b=%20"}, b""),
    "404 of its own": (404, {"Content-Type": "application/json"}, b'{"why": "own"}'),
    "a picture": (200, {"Content-Type": "image/png"}, bytes(range(256)) * 5),
    "text": (200, {"Content-Type": "text/plain; charset=utf-8"}, "sieben, ✓\r\n".encode()),
    "text in another charset": (200, {"Content-Type": "text/plain; charset=latin1"}, b"f\xfcnf"),
    "HTML": (200, {"Content-Type": "text/html"}, b"<p>7</p>"),
    "an answer of nothing": (200, {"Content-Type": "text/plain"}, b""),
    "JSON that is none": (200, {"Content-Type": "application/json"}, b"\xff{"),
    "an answer of no type": (200, {}, b"\x00\x01\xff"),
    "a content type spelled oddly": (200, {"cOnTeNt-tYpE": "application/xml"}, b"<a/>"),
    "a length of its own": (200, {"Content-Type": "text/plain", "Content-Length": "3"}, b"seven"),
    "a cookie": (200, {"Content-Type": "text/plain", "Set-Cookie": "a=1; Path=/; HttpOnly"}, b"a"),
    "a header of Latin letters": (200, {"Content-Type": "text/plain", "X-Digit": "f\xfcnf"}, b""),
    "a header of other letters": (200, {"Content-Type": "text/plain", "X-Digit": "\u2463"}, b""),
    "a header of two lines": (200, {"Content-Type": "text/plain", "X-Digit": "4\r\nSet-Cookie: a=1"}, b""),
    "a header with a space in its name": (200, {"Content-Type": "text/plain", "X Digit": "4"}, b""),
    "503 and when to try again": (503, {"Content-Type": "application/json", "Retry-After": "30"}, b"{}"),
    "418": (418, {"Content-Type": "text/plain"}, b"short and stout"),
    "599": (599, {"Content-Type": "text/plain"}, b"odd"),
    "a large body": (200, {"Content-Type": "application/octet-stream"}, bytes(700_000)),
    "a body too large": (200, {"Content-Type": "application/octet-stream"}, bytes(1_000_001)),
    "status of another kind": ("200", {}, b""),
    "headers of another kind": (200, {"X-Digit": 7}, b""),
}


def postprocess(outputs):
    match seen["do"]:
        case "what JSON holds":
            return {"label": outputs["label"], "ü": [None, True, 1.5, float("inf"), "\u2028"]}
        case "postprocess fails":
            return 1 / 0
        case "what JSON cannot hold":
            return {"set": {1, 2}}
        case name if name in RESPONSES:
            return Response(*RESPONSES[name])
    return echo()
