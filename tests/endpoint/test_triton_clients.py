"""NVIDIA's own clients, unchanged, over HTTP and gRPC: every call of theirs that makes sense here."""

import queue

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio
from tritonclient.utils import InferenceServerException

from tests.support.endpoint_server import affine, expected, put_model, run_endpoint, two_inputs
from tests.support.tiny import every_type

ROWS = np.array([[1, 2, 3, 4], [0, -1, 0.5, 8]], np.float32)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    put_model(folder, "affine", "1", affine())
    put_model(folder, "affine", "2", affine(1.5))
    put_model(folder, "mixed", "1", two_inputs())
    put_model(folder, "every", "1", every_type())
    with run_endpoint(folder, COLDPRESS_VERSIONS="2") as server:
        yield server


@pytest.fixture(scope="module")
def http(server):
    with triton_http.InferenceServerClient(f"127.0.0.1:{server.port}", concurrency=4) as client:
        yield client


@pytest.fixture(scope="module")
def rpc(server):
    with triton_grpc.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as client:
        yield client


@pytest.fixture(params=["http", "rpc"])
def client(request):
    return request.getfixturevalue(request.param)


def _tensors(library, **arrays):
    names = {np.dtype(np.float32): "FP32", np.dtype(np.int64): "INT64", np.dtype(object): "BYTES"}
    tensors = []
    for name, array in arrays.items():
        tensors.append(library.InferInput(name, list(array.shape), names[array.dtype]))
        tensors[-1].set_data_from_numpy(array)
    return tensors


def _library(client):
    return triton_http if isinstance(client, triton_http.InferenceServerClient) else triton_grpc


def test_health(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("affine")
    assert client.is_model_ready("affine", "1")
    assert not client.is_model_ready("affine", "9")
    assert not client.is_model_ready("other")


def test_metadata_comes_from_the_models_signature(http, rpc):
    for told in (http.get_model_metadata("affine"), rpc.get_model_metadata("affine", as_json=True)):
        assert told["name"] == "affine"
        assert told["versions"] == ["2", "1"]
        assert told["platform"] == "onnxruntime_onnx"
        (given,) = told["inputs"]
        assert (given["name"], given["datatype"], [int(size) for size in given["shape"]]) == ("x", "FP32", [-1, 4])
    assert http.get_server_metadata()["name"] == rpc.get_server_metadata().name == "coldpress"


def test_the_configuration_comes_from_the_models_signature(http, rpc):
    told = http.get_model_config("mixed")
    assert [(each["name"], each["data_type"], each["dims"]) for each in told["input"]] == [
        ("number", "TYPE_FP32", [-1, 1]),
        ("count", "TYPE_INT64", [-1, 1]),
        ("word", "TYPE_STRING", [-1]),
    ]
    config = rpc.get_model_config("mixed").config
    assert config.max_batch_size == told["max_batch_size"] == 0
    assert (config.backend, config.platform) == (told["backend"], told["platform"])
    assert [(each.name, list(each.dims)) for each in config.input] == [
        (each["name"], each["dims"]) for each in told["input"]
    ]
    assert rpc.get_model_config("mixed", as_json=True)["config"]["input"][2]["data_type"] == "TYPE_STRING"


def test_the_index_of_the_repository(http, rpc):
    wanted = [("affine", "2", "READY"), ("affine", "1", "READY"), ("every", "1", "READY"), ("mixed", "1", "READY")]
    assert sorted((m["name"], m["version"], m["state"]) for m in http.get_model_repository_index()) == sorted(wanted)
    assert sorted((m.name, m.version, m.state) for m in rpc.get_model_repository_index().models) == sorted(wanted)


@pytest.mark.parametrize(("version", "shift"), [("", 1.5), ("1", 0.5), ("2", 1.5)])
def test_inference_by_version(client, version, shift):
    library = _library(client)
    found = client.infer("affine", _tensors(library, x=ROWS), model_version=version, request_id="seven")
    assert found.as_numpy("y").tolist() == expected(ROWS, shift)
    response = found.get_response()
    assert (response["id"] if isinstance(response, dict) else response.id) == "seven"
    assert (response["model_version"] if isinstance(response, dict) else response.model_version) == (version or "2")


@pytest.mark.parametrize("as_binary", [True, False])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_http_in_every_form(http, as_binary, compression):
    tensor = triton_http.InferInput("x", [2, 4], "FP32")
    tensor.set_data_from_numpy(ROWS, binary_data=as_binary)
    output = triton_http.InferRequestedOutput("y", binary_data=as_binary)
    found = http.infer(
        "affine",
        [tensor],
        outputs=[output],
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )
    assert found.as_numpy("y").tolist() == expected(ROWS, 1.5)


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_grpc_compressed(rpc, compression):
    found = rpc.infer("affine", _tensors(triton_grpc, x=ROWS), compression_algorithm=compression)
    assert found.as_numpy("y").tolist() == expected(ROWS, 1.5)


def test_several_inputs_text_and_one_output_of_two(client):
    library = _library(client)
    words = np.array(["a", "grün"], object)
    inputs = _tensors(
        library, word=words, number=np.array([[0.5], [2]], np.float32), count=np.array([[1], [-3]], np.int64)
    )
    found = client.infer("mixed", inputs)
    assert found.as_numpy("total").tolist() == [[1.5], [-1]]
    assert [text if isinstance(text, str) else text.decode() for text in found.as_numpy("text")] == ["a", "grün"]
    found = client.infer("mixed", inputs, outputs=[library.InferRequestedOutput("text")])
    assert found.as_numpy("total") is None
    assert found.as_numpy("text").shape == (2,)


_VALUES = {
    "f": ("FP32", np.array([1.5, -np.inf, np.nan], np.float32)),
    "i": ("INT64", np.array([-(2**63), 0, 2**63 - 1], np.int64)),
    "s": ("BYTES", np.array(["", "grün", 'a"b\n'], object)),
    "h": ("FP16", np.array([0.5, 65504, -2], np.float16)),
    "b": ("BOOL", np.array([True, False, True])),
}


def test_every_type_goes_through_and_comes_back(client):
    library = _library(client)
    inputs = []
    for name, (datatype, values) in _VALUES.items():
        inputs.append(library.InferInput(name, list(values.shape), datatype))
        inputs[-1].set_data_from_numpy(values)
    found = client.infer("every", inputs)
    for name, (_, sent) in _VALUES.items():
        came = found.as_numpy(name.upper())
        if came.dtype == object:
            came = np.array([each.decode() if isinstance(each, bytes) else each for each in came], object)
        np.testing.assert_array_equal(came, sent)


def test_requests_under_way_at_the_same_time(http, rpc):
    pending = [http.async_infer("affine", _tensors(triton_http, x=ROWS + k)) for k in range(8)]
    for k, each in enumerate(pending):
        assert each.get_result().as_numpy("y").tolist() == expected(ROWS + k, 1.5)
    done: queue.Queue = queue.Queue()
    for k in range(8):
        rpc.async_infer(
            "affine",
            _tensors(triton_grpc, x=ROWS + k),
            lambda result, error: done.put((result, error)),
            request_id=str(k),
        )
    for _ in range(8):
        result, error = done.get(timeout=60)
        assert error is None
        k = int(result.get_response().id)
        assert result.as_numpy("y").tolist() == expected(ROWS + k, 1.5)


def test_a_stream_answers_in_order_and_survives_a_refusal(rpc):
    done: queue.Queue = queue.Queue()
    rpc.start_stream(lambda result, error: done.put((result, error)))
    try:
        for k in range(3):
            name = "other" if k == 1 else "affine"
            rpc.async_stream_infer(
                name,
                _tensors(triton_grpc, x=ROWS + k),
                request_id=str(k),
                enable_empty_final_response=True,
            )
        found = [done.get(timeout=60) for _ in range(3)]
    finally:
        rpc.stop_stream()
    assert [result.get_response().id if result else None for result, _ in found] == ["0", None, "2"]
    assert "There is no model" in str(found[1][1])
    assert found[2][0].as_numpy("y").tolist() == expected(ROWS + 2, 1.5)
    assert found[0][0].get_response().parameters["triton_final_response"].bool_param


def test_the_asynchronous_clients(server):
    import asyncio

    async def both():
        async with triton_http_aio.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
            first = await client.infer("affine", _tensors(triton_http, x=ROWS))
        async with triton_grpc_aio.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as client:
            second = await client.infer("affine", _tensors(triton_grpc, x=ROWS))

            async def requests():
                for k in range(2):
                    yield {"model_name": "affine", "inputs": _tensors(triton_grpc, x=ROWS + k)}

            streamed = [(result, error) async for result, error in client.stream_infer(requests())]
        return first, second, streamed

    first, second, streamed = asyncio.run(both())
    assert first.as_numpy("y").tolist() == second.as_numpy("y").tolist() == expected(ROWS, 1.5)
    assert [result.as_numpy("y").tolist() for result, _ in streamed] == [
        expected(ROWS, 1.5),
        expected(ROWS + 1, 1.5),
    ]


_REFUSED = {
    "model": ("other", "", {"x": ROWS}, "There is no model", "NOT_FOUND"),
    "version": ("affine", "9", {"x": ROWS}, "no version", "NOT_FOUND"),
    "name": ("affine", "", {"z": ROWS}, 'Input "z" is unknown', "INVALID_ARGUMENT"),
    "shape": ("affine", "", {"x": ROWS[:, :3].copy()}, r"shape \[2, 3\], expected \[rows, 4\]", "INVALID_ARGUMENT"),
    "datatype": ("affine", "", {"x": ROWS.astype(np.int64)}, 'datatype "INT64", expected FP32', "INVALID_ARGUMENT"),
}


@pytest.mark.parametrize("case", _REFUSED)
def test_refusals_say_why(client, case):
    name, version, arrays, message, code = _REFUSED[case]
    library = _library(client)
    with pytest.raises(InferenceServerException, match=message) as caught:
        client.infer(name, _tensors(library, **arrays), model_version=version)
    if library is triton_grpc:
        assert caught.value.status() == f"StatusCode.{code}"
    else:
        assert caught.value.status() == ("404" if code == "NOT_FOUND" else "400")


def test_a_deadline_that_has_passed(rpc):
    with pytest.raises(InferenceServerException) as caught:
        rpc.infer("affine", _tensors(triton_grpc, x=ROWS), client_timeout=-1.0)  # grpc rounds short ones up
    assert caught.value.status() == "StatusCode.DEADLINE_EXCEEDED"


def test_what_is_not_there_is_said_so(rpc):
    with pytest.raises(InferenceServerException) as caught:
        rpc.load_model("affine")
    assert caught.value.status() == f"StatusCode.{grpc.StatusCode.UNIMPLEMENTED.name}"
