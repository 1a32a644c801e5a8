"""Load once, warm up, answer. The order of things lives here and nowhere else.

Opening: the manifest, the engine's library and the model (or its portable stand-in), the hooks, one warm-up run.
Answering: route, inflate, decode, run, encode. Whatever goes wrong on the way becomes a response: what the caller
can mend is a 4xx with one sentence; the rest is a 500 which shows the caller an opaque id and the log the traceback.

Nothing is hashed at start. The SHA-256 values in the manifest serve audits and the packager's verification; to read
every file again at each cold start would cost more than to open them.
"""

from __future__ import annotations

import os
from time import perf_counter

from coldpress_runtime.capi import load
from coldpress_runtime.errors import (
    ColdpressError,
    MediaTypeError,
    MethodNotAllowedError,
    NotFoundError,
    TooLargeError,
)
from coldpress_runtime.http import Response, Timings
from coldpress_runtime.json_text import describe, dump, parse
from coldpress_runtime.manifest import Manifest
from coldpress_runtime.opening import library_path, open_session
from coldpress_runtime.plain_json import decode_predict, encode_predict
from coldpress_runtime.protocol import decode_infer, encode_infer
from coldpress_runtime.refusals import failure, refusal
from coldpress_runtime.warmup import run_warmup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from coldpress_runtime.hooks import Hooks
    from coldpress_runtime.http import Request
    from coldpress_runtime.ort import Session

    Handler = Callable[[Request, Timings], Response]

__all__ = ["JSON_TYPES", "Service"]

_JSON = {"Content-Type": "application/json"}
#: Content types in which JSON arrives: its own, none, what ``curl -d`` sends, and what browsers send to avoid a
#: preflight request.
JSON_TYPES = ("application/json", "", "application/x-www-form-urlencoded", "text/plain")


class Service:
    """A loaded function: one model, ready to answer.

    Attributes:
        manifest: what the packager wrote.
        session: the engine's open session.
        hooks: the user's own functions around it; None where there are none.
        timings: what opening cost, in milliseconds: manifest_ms, library_ms, session_ms, hooks_ms, warmup_ms,
            total_ms, and import_ms when the adapter measured it.
        portable: whether the portable model was opened because the chosen one does not suit this machine.
        background: whether the process works on once it has answered, which its adapter knows.
    """

    background = False

    def __init__(self, root: str, manifest: Manifest, session: Session, hooks: Hooks | None, *, portable: bool) -> None:
        self.manifest = manifest
        self.session = session
        self.portable = portable
        self.timings: dict[str, float] = {}
        self._root = root
        self.hooks = hooks
        self._timed = bool(os.environ.get("COLDPRESS_SERVER_TIMING"))
        self._inputs = {info.name: info for info in session.inputs}
        self._outputs = {info.name: info for info in session.outputs}
        self._infer_path = f"/v2/models/{manifest.name}/infer"
        self._routes = self._make_routes()

    @classmethod
    def open(cls, root: str | None = None) -> Service:
        """Open the bundle at ``root``, by default the folder that holds ``coldpress_runtime/``.

        Raises ManifestError, LibraryError, WeightsError, LoadError or HookError, each with one sentence.
        """
        start = perf_counter()
        if root is None:
            root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        manifest = Manifest.load(os.path.join(root, "coldpress.json"))
        opened = perf_counter()
        kind = cls
        if manifest.fallback is not None:
            from coldpress_runtime.fallback import service_class  # noqa: PLC0415 - it ships where there is an endpoint

            kind = service_class(manifest)
        library = kind.load_engine(root, manifest)
        bound = perf_counter()
        session, portable = kind.open_model(root, manifest, library)
        loaded = perf_counter()
        hooks = None
        if manifest.hooks is not None:
            from coldpress_runtime.hooks import Hooks  # noqa: PLC0415 - most bundles have none

            hooks = Hooks.load(os.path.join(root, *manifest.hooks.split("/")), root)
        hooked = perf_counter()
        service = kind(root, manifest, session, hooks, portable=portable)
        service.warm_up()
        warm = perf_counter()
        service.timings = {
            "manifest_ms": (opened - start) * 1e3,
            "library_ms": (bound - opened) * 1e3,
            "session_ms": (loaded - bound) * 1e3,
            "hooks_ms": (hooked - loaded) * 1e3,
            "warmup_ms": (warm - hooked) * 1e3,
            "total_ms": (warm - start) * 1e3,
        }
        return service

    @staticmethod
    def load_engine(root: str, manifest: Manifest) -> str:
        """Load the engine's library; returns its path."""
        library = library_path(root, manifest)
        load(library)
        return library

    @staticmethod
    def open_model(root: str, manifest: Manifest, library: str) -> tuple[Session, bool]:
        """Open the model, or its portable stand-in; the flag says which."""
        return open_session(root, manifest, library)

    def warm_up(self) -> None:
        """Run the model on the manifest's warm-up inputs."""
        run_warmup(self.session, self.manifest.warmup, self._root)

    def close(self) -> None:
        """Free the session."""
        self.session.close()

    def answer(self, request: Request) -> Response:
        """Answer a request; never raises."""
        timings = Timings()
        try:
            response = self._answer(request, timings)
        except ColdpressError as error:
            response = refusal(error)
        except Exception as error:  # noqa: BLE001 - the last resort of the process: nothing may escape
            response = failure(error)
        response.timings = timings
        if self._timed:
            response.headers["Server-Timing"] = timings.header()
        if request.method == "HEAD":
            response.body = b""
        return response

    def answer_at_once(self, request: Request) -> Response | None:
        """Answer a request, or return None when that would be to wait for somebody; never raises."""
        return self.answer(request)

    def _answer(self, request: Request, timings: Timings) -> Response:
        handlers = self._routes.get(request.path) or self._find(request.path)
        handler = handlers.get(request.method)
        if handler is not None:
            return handler(request, timings)
        allow = (*handlers, "OPTIONS")
        if request.method == "OPTIONS":
            return Response(204, {"Allow": ", ".join(allow)})
        raise MethodNotAllowedError(
            f"{request.path} does not take {describe(request.method)}, only {', '.join(allow)}.", allow
        )

    def _make_routes(self) -> dict[str, dict[str, Handler]]:
        name, version = self.manifest.name, self.manifest.version

        def read(make: Callable[[], Any]) -> dict[str, Handler]:
            def handler(_request: Request, _timings: Timings) -> Response:
                return Response(200, dict(_JSON), dump(make()))

            return {"GET": handler, "HEAD": handler}

        routes: dict[str, dict[str, Handler]] = {
            "/v2": read(_server_metadata),
            "/v2/health/live": read(lambda: {"live": True}),
            "/v2/health/ready": read(lambda: {"ready": True}),
            "/openapi.json": read(self._openapi),
            "/predict": {"POST": self._predict},
        }
        for base in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}"):
            routes[base] = read(self._model_metadata)
            routes[base + "/ready"] = read(lambda: {"name": name, "ready": True})
            routes[base + "/infer"] = {"POST": self._infer}
        return routes

    def _find(self, path: str) -> dict[str, Handler]:
        """Routes for a path that is no route as it stands: escaped, with a slash too many, or unknown."""
        plain = _unquote(path)
        handlers = self._routes.get(plain) or self._routes.get(plain.rstrip("/"))
        if handlers is not None:
            return handlers
        if plain.startswith("/v2/models/"):
            raise NotFoundError(
                f"There is nothing at {describe(path)}; this function serves model {self.manifest.name!r}, "
                f"version {self.manifest.version!r}."
            )
        raise NotFoundError(f"There is nothing at {describe(path)}; GET /openapi.json lists what is here.")

    def _body(self, request: Request) -> None:
        limit = self.manifest.limits.request_bytes
        if len(request.body) > limit:
            raise TooLargeError(
                f"The body has {len(request.body)} bytes and this function takes at most {limit}; send fewer rows, "
                "or numbers as binary data."
            )
        encoding = request.headers.get("content-encoding")
        if encoding is not None:
            from coldpress_runtime.inflate import inflate  # noqa: PLC0415 - few requests are compressed

            request.body = inflate(request.body, encoding, limit)

    def _infer(self, request: Request, timings: Timings) -> Response:
        start = perf_counter()
        self._body(request)
        header = request.headers.get("inference-header-content-length")
        if header is None:
            asked = decode_infer(request.json(), memoryview(b""), self._inputs, self._outputs)
        else:
            from coldpress_runtime.binary import split  # noqa: PLC0415 - loaded already by protocol

            text, tail = split(request.body, header)
            asked = decode_infer(parse(text), tail, self._inputs, self._outputs)
        timings.decode_ms = (perf_counter() - start) * 1e3

        def encode(values: dict[str, Any]) -> Response:
            manifest = self.manifest
            body, headers = encode_infer(asked, values, manifest.name, manifest.version, manifest.limits.response_bytes)
            return Response(200, headers, body)

        return self._sized(self._run(request, self._infer_path, asked.inputs, asked.outputs, encode, timings))

    def _predict(self, request: Request, timings: Timings) -> Response:
        start = perf_counter()
        self._body(request)
        hooks = self.hooks
        count = None
        if hooks is not None and hooks.preprocess is not None:
            inputs = hooks.inputs(request, self._inputs)
        else:
            _check_media_type(request)
            inputs, count = decode_predict(request.json(), self._inputs)
        timings.decode_ms = (perf_counter() - start) * 1e3

        def encode(values: dict[str, Any]) -> Response:
            return self._encode_predict(values, count)

        return self._sized(self._run(request, "/predict", inputs, None, encode, timings))

    def _encode_predict(self, values: dict[str, Any], count: int | None) -> Response:
        hooks = self.hooks
        if hooks is not None and hooks.postprocess is not None:
            return hooks.response(values)
        return Response(200, dict(_JSON), encode_predict(values, count, self.manifest.limits.response_bytes))

    def _run(
        self,
        request: Request,  # noqa: ARG002 - this and the path are for a service with an endpoint beside it
        path: str,  # noqa: ARG002
        inputs: dict[str, Any],
        outputs: list[str] | None,
        encode: Callable[[dict[str, Any]], Response],
        timings: Timings,
    ) -> Response:
        """Run the model, and encode what it returned."""
        start = perf_counter()
        values = self.session.run(inputs, outputs)
        ran = perf_counter()
        timings.run_ms = (ran - start) * 1e3
        response = encode(values)
        timings.encode_ms = (perf_counter() - ran) * 1e3
        return response

    def _sized(self, response: Response) -> Response:
        limit = self.manifest.limits.response_bytes
        if len(response.body) > limit:
            raise TooLargeError(
                f"The answer has {len(response.body)} bytes and this function returns at most {limit}; send fewer "
                "rows, ask for fewer outputs, or for binary data."
            )
        return response

    def _model_metadata(self) -> dict[str, Any]:
        from coldpress_runtime.metadata import model_metadata  # noqa: PLC0415 - not needed to start

        return model_metadata(self.manifest, self.session)

    def _openapi(self) -> dict[str, Any]:
        from coldpress_runtime.openapi import describe_api  # noqa: PLC0415 - not needed to start

        return describe_api(self.manifest, self.session, self.hooks)


def _server_metadata() -> dict[str, Any]:
    from coldpress_runtime.metadata import server_metadata  # noqa: PLC0415 - not needed to start

    return server_metadata()


def _check_media_type(request: Request) -> None:
    sent = request.headers.get("content-type", "")
    if sent == "application/json":
        return
    name = sent.partition(";")[0].strip().lower()
    if name not in JSON_TYPES and not name.endswith("+json"):
        raise MediaTypeError(f"Content-Type is {describe(sent)}, expected application/json.")


def _unquote(path: str) -> str:
    """Undo percent escapes; what is no escape stays as it is."""
    head, *pieces = path.encode("utf-8", "surrogatepass").split(b"%")
    plain = [head]
    for piece in pieces:
        try:
            plain.append(bytes.fromhex(piece[:2].decode("ascii", "replace")) + piece[2:])
        except ValueError:
            plain.append(b"%" + piece)
    return b"".join(plain).decode("utf-8", "replace")
