"""The table of requests that every target must answer alike: good ones, bad ones, and odd ones.

Two functions are asked: ``plain`` is a classifier as it is, ``hooked`` the same with ``hooks.py`` around it.
"""

import gzip
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from coldpress.emulate.http import HttpRequest

__all__ = ["LIMITS", "NAME", "REQUESTS", "SECTIONS", "VERSION", "Ask", "exact"]

NAME, VERSION = "digits", "3"
LIMITS = {"request_bytes": 3_000_000, "response_bytes": 1_000_000}

_PIXELS = [float(i * 7 % 17) for i in range(64)]
_INFER = f"/v2/models/{NAME}/infer"
_LENGTH = "Inference-Header-Content-Length"
_JSON = "application/json"
_BINARY = "application/octet-stream"


@dataclass(frozen=True)
class Ask:
    """One request of the table.

    Attributes:
        name: says what is asked; unique.
        headers: as they are sent, in this order; one name may come twice.
        hooked: whether the function with hooks is asked.
    """

    name: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    hooked: bool = False

    def joined(self) -> dict[str, str]:
        """Return the headers as gateways hand them over: several values of one name joined by a comma."""
        found: dict[str, str] = {}
        for name, value in self.headers:
            key = name.lower()
            found[key] = f"{found[key]},{value}" if key in found else value
        return found

    @property
    def repeats(self) -> bool:
        """Whether a header comes twice."""
        return len(self.joined()) < len(self.headers)


class Exact(HttpRequest):
    """A request with the headers that it says, and no content type where it says none."""

    def all_headers(self) -> dict[str, str]:
        headers = {"user-agent": "coldpress", **(self.headers or {})}
        return headers | ({"content-length": str(len(self.body))} if self.body else {})


def exact(ask: Ask) -> HttpRequest:
    """Return what a started function is called with."""
    return Exact(ask.method, ask.path, ask.joined(), ask.body)


def _text(document: Any) -> bytes:
    return json.dumps(document).encode()


def _post(name: str, path: str, body: Any, content_type: str | None = _JSON, **more: Any) -> Ask:
    """Post a body, or a document as JSON; names of headers are given with ``_`` for ``-``."""
    hooked = more.pop("hooked", False)
    headers = () if content_type is None else (("Content-Type", content_type),)
    headers += tuple((key.replace("_", "-"), value) for key, value in more.items())
    return Ask(name, "POST", path, headers, body if isinstance(body, bytes) else _text(body), hooked)


def _predict(name: str, body: Any, content_type: str | None = _JSON, **headers: str) -> Ask:
    return _post(name, "/predict", body, content_type, **headers)


def _infer(name: str, body: Any, content_type: str | None = _JSON, **headers: str) -> Ask:
    return _post(name, _INFER, body, content_type, **headers)


def _tensor(data: Any, shape: tuple[int, ...] = (1, 64), **changes: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": "FP32", "shape": list(shape), "data": data, **changes}


def _rows(rows: int) -> bytes:
    return struct.pack("<64f", *_PIXELS) * rows


def _binary(name: str, rows: int = 1, *, answer: bool = True, length: str | None = None, **changes: Any) -> Ask:
    """Ask in the binary form: the JSON's length in a header, and the numbers' bytes behind the JSON."""
    raw = _rows(rows)
    item: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [rows, 64]}
    item |= {"parameters": {"binary_data_size": len(raw)}, **changes}
    head = _text({"inputs": [item], "parameters": {"binary_data_output": answer}})
    return _infer(name, head + raw, _BINARY, **{_LENGTH.replace("-", "_"): length or str(len(head))})


def _good() -> Iterator[Ask]:
    two = [_PIXELS, _PIXELS[::-1]]
    yield _predict("one instance", {"instances": [_PIXELS]})
    yield _predict("two instances", {"instances": two})
    yield _predict("inputs by name", {"inputs": {"x": two}})
    yield _predict("instances by name", {"instances": [{"x": _PIXELS}]})
    yield _predict("whole numbers where floats are meant", {"instances": [list(range(64))]})
    yield _predict("no row at all", {"inputs": {"x": []}})
    yield _predict("space around the JSON", b" \r\n\t" + _text({"instances": [_PIXELS]}) + b"\n")
    yield _predict("not a number, as text", {"instances": [["NaN", *_PIXELS[1:]]]})
    yield _predict("infinite, as text", {"instances": [["-Infinity", *_PIXELS[1:]]]})
    yield _predict("NaN as Python writes it", b'{"instances": [[NaN' + b", 0" * 63 + b"]]}")
    yield _predict("Infinity as Python writes it", b'{"instances": [[Infinity' + b", 0" * 63 + b"]]}")
    yield _infer("the protocol", {"inputs": [_tensor(_PIXELS)]})
    yield _infer("the protocol, nested data", {"inputs": [_tensor(two, (2, 64))]})
    yield _infer("the protocol, one output", {"inputs": [_tensor(_PIXELS)], "outputs": [{"name": "label"}]})
    yield _infer("the protocol, an id that is no ASCII", {"id": "prüfung-✓-7", "inputs": [_tensor(_PIXELS)]})
    yield _post(
        "the protocol, a version", f"/v2/models/{NAME}/versions/{VERSION}/infer", {"inputs": [_tensor(_PIXELS)]}
    )
    asked = {"inputs": [_tensor(_PIXELS)], "parameters": {"binary_data_output": True}}
    yield _infer("a binary answer to JSON", asked)
    yield _binary("binary in and out")
    yield _binary("binary in, JSON out", answer=False)
    yield _binary("binary, many rows", 100)


def _content_types() -> Iterator[Ask]:
    body = {"instances": [_PIXELS]}
    yield _predict("no content type", body, None)
    yield _predict("an empty content type", body, "")
    yield _predict("a content type with a charset", body, "application/json; charset=utf-8")
    yield _predict("a content type in capitals", body, "APPLICATION/JSON")
    yield _predict("a content type of the JSON family", body, "application/vnd.digits+json")
    yield _predict("what curl -d sends", body, "application/x-www-form-urlencoded")
    yield _predict("what browsers send without a preflight", body, "text/plain;charset=UTF-8")
    yield _predict("a content type that is not read", body, "text/csv")
    yield _predict("XML", b"<digit/>", "application/xml")
    yield _predict("a form with a file", b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--b--\r\n',
                   "multipart/form-data; boundary=b")  # fmt: skip
    yield _predict("bytes without their length", _rows(1), _BINARY)


def _bad() -> Iterator[Ask]:
    yield _predict("an empty body", b"")
    yield Ask("no body and no content type", "POST", "/predict")
    yield _predict("spaces for a body", b"   ")
    yield _predict("no JSON", b"digits, please")
    yield _predict("JSON that ends too soon", b'{"instances": [[1, 2')
    yield _predict("JSON and something after it", b'{"instances": []} {"instances": []}')
    yield _predict("bytes that are not UTF-8", b'{"instances": "\xff\xfe"}')
    yield _predict("UTF-16", json.dumps({"instances": [_PIXELS]}).encode("utf-16"))
    yield _predict("a byte order mark", b"\xef\xbb\xbf" + _text({"instances": [_PIXELS]}))
    yield _predict("a list", [1, 2, 3])
    yield _predict("a number", 7)
    yield _predict("a text", "digits")
    yield _predict("null", None)
    yield _predict("an empty object", {})
    yield _predict("keys that mean nothing here", {"image": [1]})
    yield _predict("an input that there is not", {"inputs": {"pixels": [_PIXELS]}})
    yield _predict("an input too many", {"inputs": {"x": [_PIXELS], "y": 1}})
    yield _predict("a key twice", b'{"instances": [], "instances": []}')
    yield _predict("a row too short", {"instances": [[1.0, 2.0]]})
    yield _predict("ragged rows", {"instances": [_PIXELS, _PIXELS[1:]]})
    yield _predict("texts for numbers", {"instances": [["a"] * 64]})
    yield _predict("true for a number", {"instances": [[True, *_PIXELS[1:]]]})
    yield _predict("null for a number", {"instances": [[None, *_PIXELS[1:]]]})
    yield _predict("a number beyond every float", b'{"instances": [[1e999' + b", 0" * 63 + b"]]}")
    yield _predict("a number of thousands of digits", b'{"instances": [[' + b"9" * 5000 + b"]]}")
    yield _predict("half of a surrogate pair", b'{"instances": ["\\ud800"]}')
    yield _predict("nested far too deeply", b"[" * 200_000 + b"]" * 200_000)
    yield _predict("names that are no ASCII", {"inputs": {"größe\u2028": [1]}})
    yield _infer("the protocol without inputs", {"outputs": []})
    yield _infer("the protocol, an unknown output", {"inputs": [_tensor(_PIXELS)], "outputs": [{"name": "no"}]})
    yield _infer("the protocol, another datatype", {"inputs": [_tensor([1] * 64, datatype="INT64")]})
    yield _infer("the protocol, data that is not as long as its shape", {"inputs": [_tensor([1.0])]})
    yield _infer("the protocol, a negative shape", {"inputs": [_tensor(_PIXELS, (-1, 64))]})
    yield _infer("the protocol, a body for /predict", {"instances": [_PIXELS]})
    yield _binary("a length of the JSON that is none", length="many")
    yield _binary("a length of the JSON below zero", length="-1")
    yield _binary("a length of the JSON beyond the body", length="99999")
    yield _binary("a length of the JSON of nothing", length="0")
    yield _binary("binary data shorter than its shape", shape=[2, 64])
    yield _binary("binary data of another size than it says", parameters={"binary_data_size": 8})


def _compressed() -> Iterator[Ask]:
    body = _text({"instances": [_PIXELS]})
    yield _predict("gzip", gzip.compress(body, mtime=0), Content_Encoding="gzip")
    yield _predict("deflate", zlib.compress(body), Content_Encoding="deflate")
    yield _predict("identity", body, Content_Encoding="identity")
    yield _predict("gzip in capitals", gzip.compress(body, mtime=0), Content_Encoding="GZIP")
    yield _predict("gzip that is none", body, Content_Encoding="gzip")
    yield _predict("gzip cut short", gzip.compress(body, mtime=0)[:-9], Content_Encoding="gzip")
    yield _predict("gzip twice over", gzip.compress(body, mtime=0) * 2, Content_Encoding="gzip")
    yield _predict("brotli", body, Content_Encoding="br")
    yield _predict("gzip of far too much", gzip.compress(bytes(9_000_000), mtime=0), Content_Encoding="gzip")
    plain = _binary("gzip of the binary form")
    yield Ask(plain.name, "POST", _INFER, (*plain.headers, ("Content-Encoding", "gzip")),
              gzip.compress(plain.body, mtime=0))  # fmt: skip


def _large() -> Iterator[Ask]:
    limit = LIMITS["request_bytes"]
    yield _binary("a large binary body and a large answer", 10_000)
    yield _predict("a body as large as is taken", _text({"instances": [_PIXELS]}).ljust(limit))
    yield _predict("a body of one byte too many", _text({"instances": [_PIXELS]}).ljust(limit + 1))
    yield _predict("a binary body of one byte too many", bytes(limit + 1), _BINARY)
    yield _predict("a body far too large", bytes(2 * limit))
    yield _binary("an answer that is too large", 10_000, answer=False)


def _reads() -> Iterator[Ask]:
    paths = {
        "the server's metadata": "/v2",
        "live": "/v2/health/live",
        "ready": "/v2/health/ready",
        "the model's metadata": f"/v2/models/{NAME}",
        "a version's metadata": f"/v2/models/{NAME}/versions/{VERSION}",
        "the model is ready": f"/v2/models/{NAME}/ready",
        "a version is ready": f"/v2/models/{NAME}/versions/{VERSION}/ready",
        "the description of the API": "/openapi.json",
    }
    for name, path in paths.items():
        yield Ask(name, "GET", path)
        yield Ask(f"{name}, HEAD", "HEAD", path)
        yield Ask(f"{name}, OPTIONS", "OPTIONS", path)
    yield Ask("OPTIONS of predict", "OPTIONS", "/predict")
    yield Ask("OPTIONS of infer", "OPTIONS", _INFER)
    yield Ask("a read with a body", "GET", "/v2/health/live", (("Content-Type", _JSON),), b'{"a": 1}')
    yield Ask("a preflight request", "OPTIONS", "/predict",
              (("Origin", "https://page.example"), ("Access-Control-Request-Method", "POST")))  # fmt: skip


def _paths() -> Iterator[Ask]:
    paths = {
        "the root": "/",
        "nothing there": "/nothing/here",
        "nothing below predict": "/predict/now",
        "a model that is not here": "/v2/models/resnet",
        "a version that is not here": f"/v2/models/{NAME}/versions/9",
        "a path in capitals": "/V2",
        "a slash at the end": "/v2/",
        "a slash at the end of a model": f"/v2/models/{NAME}/",
        "two slashes": "//v2//health//live",
        "two dots": "/v2/../v2/health/live",
        "an escaped letter": "/v2/health/l%69ve",
        "an escaped slash": f"/v2%2Fmodels%2F{NAME}",
        "escaped letters of another alphabet": "/v2/models/%D1%86%D0%B8%D1%84%D1%80%D1%8B",
        "an escaped space": "/v2/models/my%20digits",
        "an escape that is none": "/v2/%zz",
        "escaped bytes that are no text": "/v2/%ff%fe",
        "an escaped NUL": "/v2%00",
        "an escaped question mark": "/v2%3Fa=1",
        "an escaped percent sign": "/v2/health/l%2569ve",
        "a plus sign": "/v2+health",
        "reserved characters": "/v2/models/a;b=c,d@e:f!$&'()*",
        "a query": "/v2/health/live?a=1&b=2",
        "an empty query": "/v2/health/live?",
        "keys twice in the query": "/v2/health/live?a=1&a=2&a=",
        "a query that is none": "/v2/health/live?&&=&%zz",
        "a path that browsers ask for": "/favicon.ico",
        "a path that robots ask for": "/robots.txt",
        "a very long path": "/v2/models/" + "digits" * 300,
    }
    for name, path in paths.items():
        yield Ask(name, "GET", path)
    yield _post("a slash at the end of predict", "/predict/", {"instances": [_PIXELS]})
    yield _post("a slash at the end of infer", _INFER + "/", {"inputs": [_tensor(_PIXELS)]})
    yield _post("a query to predict", "/predict?verbose=1", {"instances": [_PIXELS]})


def _methods() -> Iterator[Ask]:
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "BREW"):
        yield Ask(f"{method} of predict", method, "/predict")
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        yield Ask(f"{method} of the metadata", method, f"/v2/models/{NAME}", (("Content-Type", _JSON),), b"{}")
    yield Ask("GET of infer", "GET", _INFER)
    yield Ask("POST of nothing", "POST", "/nothing", (("Content-Type", _JSON),), b"{}")
    yield Ask("a method in another header", "POST", "/v2/health/live", (("X-HTTP-Method-Override", "GET"),))


def _headers() -> Iterator[Ask]:
    body = _text({"instances": [_PIXELS]})

    def ask(name: str, *headers: tuple[str, str]) -> Ask:
        return Ask(name, "POST", "/predict", (("Content-Type", _JSON), *headers), body)

    yield ask("a header of 4,000 characters", ("X-Long", "x" * 4000))
    yield ask("a header of 16,000 characters", ("X-Long", "x" * 16_000))
    yield ask("90 headers", *((f"X-Number-{n}", str(n)) for n in range(90)))
    yield ask("what the caller would rather have", ("Accept", "text/html"), ("Accept-Encoding", "br, gzip"))
    yield ask("a header twice", ("X-First", "1"), ("X-First", "2"))
    yield ask("a content type twice", ("Content-Type", _JSON))
    yield ask("two content encodings", ("Content-Encoding", "gzip"), ("Content-Encoding", "br"))
    yield ask("credentials", ("Authorization", "Bearer abc.def.ghi"), ("Cookie", "a=1; b=2"))
    asked = {"inputs": [_tensor(_PIXELS)]}
    length = str(len(_text(asked)))
    yield Ask("the length of the JSON twice", "POST", _INFER, ((_LENGTH, length), (_LENGTH, length)), _text(asked))
    yield Ask("the length of the JSON in another case", "POST", _INFER, ((_LENGTH.upper(), length),), _text(asked))


def _hooked(name: str, document: Any = None, path: str = "/predict", /, **headers: str) -> Ask:
    content_type = headers.pop("Content_Type", _JSON)
    return _post(name, path, document or {"do": name}, content_type, hooked=True, **headers)


def _echoes() -> Iterator[Ask]:
    """What a hook sees of a request: it must be the same everywhere."""
    yield _hooked("echo", {"do": "echo"})
    yield _hooked("echo a body that is no JSON", b"echo\x00\xff\xfe\r\n", Content_Type="image/png")
    yield _hooked("echo text in another charset", "echo ü".encode("latin-1"), Content_Type="text/plain; charset=latin1")
    yield _hooked("echo a form", b"echo=1&b=%20+", Content_Type="application/x-www-form-urlencoded")
    yield _hooked("echo gzip", gzip.compress(b"echo it", mtime=0), Content_Type="text/plain", Content_Encoding="gzip")
    yield _hooked("echo a header", {"do": "echo"}, X_First="some value")
    yield _hooked("echo a header of Latin letters", {"do": "echo"}, X_First="caf\xe9")
    yield _hooked("echo an empty header", {"do": "echo"}, X_First="")
    yield _hooked("echo a header with commas", {"do": "echo"}, X_First='a, "b, c";q=0.5')
    queries = {
        "a query": "a=1&b=two",
        "keys twice": "a=1&b=3&a=2",
        "empty values": "a=&b=1",
        "a key without a value": "flag",
        "an escaped query": "a=%C3%BC%20%26%3D&%C3%BC=1",
        "plus signs": "a=1+2&b=1%2B2",
        "an escape that is none": "a=%zz&b=%",
        "a comma": "a=1,2",
    }
    for name, query in queries.items():
        yield _hooked(f"echo {name}", {"do": "echo"}, f"/predict?{query}")


def _answers() -> Iterator[Ask]:
    """What hooks answer, and how they fail: ``do`` names a branch of ``hooks.py``."""
    for name in (
        "what JSON holds", "201 and headers", "204 and no body", "204 and a body", "304 and a body", "302 elsewhere",
        "404 of its own", "a picture", "text", "text in another charset", "HTML", "an answer of nothing",
        "JSON that is none", "an answer of no type", "a content type spelled oddly", "a length of its own", "a cookie",
        "a header of Latin letters", "a header of other letters", "a header of two lines",
        "a header with a space in its name", "503 and when to try again", "418", "599", "a large body",
        "a body too large", "the caller is at fault", "busy", "too large for it", "not found", "preprocess fails",
        "postprocess fails", "what JSON cannot hold", "exit", "a wrong input", "another shape",
        "status of another kind", "headers of another kind", "nobody foresaw it",
    ):  # fmt: skip
        yield _hooked(name)
    yield _hooked("the protocol passes hooks by", {"inputs": [_tensor(_PIXELS)]}, _INFER)
    yield _hooked("hooks and a body that is no JSON", b"{")
    yield Ask("HEAD of hooks", "HEAD", "/predict", hooked=True)
    yield Ask("the description of hooks", "GET", "/openapi.json", hooked=True)


SECTIONS: Mapping[str, tuple[Ask, ...]] = {
    "good": tuple(_good()),
    "content types": tuple(_content_types()),
    "bad": tuple(_bad()),
    "compressed": tuple(_compressed()),
    "large": tuple(_large()),
    "reads": tuple(_reads()),
    "paths": tuple(_paths()),
    "methods": tuple(_methods()),
    "headers": tuple(_headers()),
    "what hooks see": tuple(_echoes()),
    "what hooks answer": tuple(_answers()),
}
REQUESTS: Mapping[str, Ask] = {ask.name: ask for section in SECTIONS.values() for ask in section}
"""Every request, by its name."""
