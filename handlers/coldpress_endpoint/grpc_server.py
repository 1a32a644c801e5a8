"""The Open Inference Protocol v2 over gRPC, beside HTTP in the same process and with the same models.

Errors are statuses: what the caller can mend is INVALID_ARGUMENT or NOT_FOUND, a full queue is RESOURCE_EXHAUSTED with
``grpc-retry-pushback-ms``, which clients' retry policies obey, and an end of the caller's time DEADLINE_EXCEEDED. A
caller that gives up, or whose deadline passes, takes its request off the queue. While the server drains it is not
ready, and once its door is closed callers are told UNAVAILABLE.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from coldpress_endpoint.arrays import off_loop
from coldpress_endpoint.grpc import open_inference_pb2 as pb
from coldpress_endpoint.grpc.messages import parameters_of, read_infer, write_infer
from coldpress_endpoint.protocols.triton import model_config
from coldpress_endpoint.serving import Serving
from coldpress_runtime.errors import BusyError, ColdpressError, NotFoundError, RequestError
from coldpress_runtime.metadata import server_metadata
from coldpress_runtime.refusals import failure, refusal

__all__ = ["GrpcServer"]

_SERVICE = "inference.GRPCInferenceService"
_OVERHEAD = 1 << 16  # bytes of a message that are not its tensors'
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.OUT_OF_RANGE,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}

_Unary = Callable[[Any, Any], Awaitable[Any]]


class GrpcServer:
    """Answers gRPC requests on the event loop that starts it.

    Args:
        serving: the models.
    """

    def __init__(self, serving: Serving) -> None:
        settings = serving.models.settings
        self._serving = serving
        self._limit = settings.max_answer
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", settings.max_body),
                ("grpc.max_send_message_length", min(settings.max_answer + _OVERHEAD, (1 << 31) - 1)),
                ("grpc.so_reuseport", 0),
            ]
        )
        unary: dict[str, tuple[type[Any], _Unary]] = {
            "ServerLive": (pb.ServerLiveRequest, self._server_live),
            "ServerReady": (pb.ServerReadyRequest, self._server_ready),
            "ModelReady": (pb.ModelReadyRequest, self._model_ready),
            "ServerMetadata": (pb.ServerMetadataRequest, self._server_metadata),
            "ModelMetadata": (pb.ModelMetadataRequest, self._model_metadata),
            "ModelConfig": (pb.ModelConfigRequest, self._model_config),
            "ModelInfer": (pb.ModelInferRequest, self._infer),
            "RepositoryIndex": (pb.RepositoryIndexRequest, self._index),
        }
        handlers = {
            # Messages are read here and not by grpc, which would call a damaged one an internal error.
            name: grpc.unary_unary_rpc_method_handler(self._answering(kind, method), response_serializer=_bytes)
            for name, (kind, method) in unary.items()
        }
        handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(self._stream, response_serializer=_bytes)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))

    async def start(self, host: str, port: int) -> int:
        """Open the port, any free one for 0; returns its number. Raises ColdpressError when it is taken."""
        try:
            found = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError:
            raise ColdpressError(
                f"Port {port} cannot be opened for gRPC; choose another in COLDPRESS_GRPC_PORT."
            ) from None
        await self._server.start()
        return int(found)

    async def stop(self, grace_s: float) -> None:
        """Close the door, and wait for what is under way for ``grace_s`` seconds at most."""
        await self._server.stop(grace_s)

    def _answering(self, kind: type[Any], method: _Unary) -> _Unary:
        """The method, with errors as statuses."""

        async def answer(message: bytes, context: Any) -> Any:
            try:
                with self._room(message):
                    return await method(_parsed(kind, message), context)
            except Exception as error:  # noqa: BLE001 - a caller gets a status, whatever happens
                await _abort(context, _told(error))

        return answer

    @contextmanager
    def _room(self, message: bytes) -> Iterator[None]:
        """Count a message among the bodies that are there at a time; raises BusyError when there is no room."""
        self._serving.bodies.hold(len(message))
        try:
            yield
        finally:
            self._serving.bodies.release(len(message))

    async def _server_live(self, _request: Any, _context: Any) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    async def _server_ready(self, _request: Any, _context: Any) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self._serving.ready)

    async def _model_ready(self, request: pb.ModelReadyRequest, _context: Any) -> pb.ModelReadyResponse:
        try:
            self._serving.models.get(request.name, request.version or None)
        except NotFoundError:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=self._serving.ready)

    async def _server_metadata(self, _request: Any, _context: Any) -> pb.ServerMetadataResponse:
        told = server_metadata()
        extensions = [*(name for name in told["extensions"] if name != "binary_tensor_data"), "model_configuration"]
        return pb.ServerMetadataResponse(name=told["name"], version=told["version"], extensions=extensions)

    async def _model_metadata(self, request: pb.ModelMetadataRequest, _context: Any) -> pb.ModelMetadataResponse:
        model = self._serving.models.get(request.name, request.version or None)
        response = pb.ModelMetadataResponse(
            name=model.name, versions=list(self._serving.models.versions(model.name)), platform="onnxruntime_onnx"
        )
        for told, side in ((response.inputs, model.inputs), (response.outputs, model.outputs)):
            for each in side:
                told.add(name=each.name, datatype=each.datatype, shape=each.shape)
        return response

    async def _model_config(self, request: pb.ModelConfigRequest, _context: Any) -> pb.ModelConfigResponse:
        fields = model_config(self._serving.models.get(request.name, request.version or None))
        for tensor in (*fields["input"], *fields["output"]):
            if tensor["data_type"] not in pb.DataType.keys():  # noqa: SIM118 - an enum of protobuf, no dict
                tensor["data_type"] = "TYPE_INVALID"
        return pb.ModelConfigResponse(config=pb.ModelConfig(**fields))

    async def _index(self, request: pb.RepositoryIndexRequest, _context: Any) -> pb.RepositoryIndexResponse:
        models = self._serving.models
        response = pb.RepositoryIndexResponse()
        for name in models.names():
            for version in models.versions(name):
                response.models.add(name=name, version=version, state="READY")
        if not request.ready:
            for name, versions in models.failed.items():
                for version, reason in versions.items():
                    response.models.add(name=name, version=version, state="UNAVAILABLE", reason=reason)
        return response

    async def _infer(self, request: pb.ModelInferRequest, context: Any) -> pb.ModelInferResponse:
        model = self._serving.models.get(
            request.model_name or self._serving.models.default, request.model_version or None
        )
        asked, inputs = await off_loop(request.ByteSize(), read_infer, request, model)
        ends = self._ends(request, context)
        prediction = await self._serving.predict(model.name, model.version, inputs, asked.outputs, ends=ends)
        size = sum(getattr(value, "nbytes", 0) for value in prediction.outputs.values())
        return await off_loop(size, write_infer, asked, prediction, model, self._limit)

    def _ends(self, request: pb.ModelInferRequest, context: Any) -> float:
        """When the answer must be there, of ``perf_counter``: by the server's limit, or by the caller's sooner one."""
        seconds = self._serving.models.settings.deadline_s
        left = context.time_remaining()
        if left is not None:
            seconds = min(seconds, left)
        timeout = parameters_of(request).get("timeout")  # Triton's: microseconds
        if isinstance(timeout, int) and timeout > 0:
            seconds = min(seconds, timeout / 1e6)
        return perf_counter() + seconds

    async def _stream(self, messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[pb.ModelStreamInferResponse]:
        """Answer the requests of a stream in their order; one that is refused ends nothing."""
        async for message in messages:
            request = pb.ModelInferRequest()
            try:
                with self._room(message):
                    request = _parsed(pb.ModelInferRequest, message)
                    response = await self._infer(request, context)
            except Exception as error:  # noqa: BLE001 - told to the caller, whatever it is
                told = _told(error)
                failed = pb.ModelInferResponse(id=request.id)
                yield pb.ModelStreamInferResponse(error_message=str(told), infer_response=failed)
                continue
            if parameters_of(request).get("triton_enable_empty_final_response"):
                response.parameters["triton_final_response"].bool_param = True
            yield pb.ModelStreamInferResponse(infer_response=response)


def _bytes(message: Any) -> bytes:
    return message.SerializeToString()  # type: ignore[no-any-return]


def _parsed(kind: type[Any], message: bytes) -> Any:
    try:
        return kind.FromString(message)
    except DecodeError:
        raise RequestError(
            f"The message is no {kind.__name__}; is the client's .proto file that of the protocol?"
        ) from None


def _told(error: Exception) -> ColdpressError:
    """What the caller is told of an error; what nobody foresaw goes to the log, under an id."""
    if isinstance(error, ColdpressError):
        if error.status == 500:
            refusal(error)
        return error
    told = failure(error).error
    return told if isinstance(told, ColdpressError) else ColdpressError("Internal error.")


async def _abort(context: Any, error: ColdpressError) -> NoReturn:
    metadata: tuple[tuple[str, str], ...] = ()
    if isinstance(error, BusyError):
        metadata = (("grpc-retry-pushback-ms", str(1000 * error.retry_after)), ("retry-after", str(error.retry_after)))
    code = _CODES.get(error.status, grpc.StatusCode.INTERNAL)
    await context.abort(code, str(error), trailing_metadata=metadata)
    raise AssertionError("abort raises")
