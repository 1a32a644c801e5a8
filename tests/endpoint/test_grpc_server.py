"""The gRPC server under load and at its end: deadlines, a full queue, messages over the limit, draining."""

import signal
import threading

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.support.endpoint_server import affine, expected, put_model, run_endpoint, slow

ROUNDS = 400  # some tens of milliseconds


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    put_model(folder, "affine", "1", affine())
    put_model(folder, "slow", "1", slow())
    return folder


@pytest.fixture(scope="module")
def server(models):
    limits = {"COLDPRESS_QUEUE": "2", "COLDPRESS_THREADS": "1", "COLDPRESS_MAX_BODY": "1000000"}
    with run_endpoint(models, COLDPRESS_MODEL="affine", **limits) as server:
        yield server


@pytest.fixture
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        yield channel


def _affine(rows):
    request = service_pb2.ModelInferRequest(model_name="affine", id="7")
    request.inputs.add(name="x", datatype="FP32", shape=np.shape(rows))
    request.raw_input_contents.append(np.asarray(rows, "<f4").tobytes())
    return request


def _slow(rounds, x=0.0):
    request = service_pb2.ModelInferRequest(model_name="slow")
    request.inputs.add(name="x", datatype="FP32", shape=[1]).contents.fp32_contents.append(x)
    request.inputs.add(name="rounds", datatype="INT64", shape=[1]).contents.int64_contents.append(rounds)
    request.outputs.add(name="y")
    return request


def _answer(response, shape=-1):
    return np.frombuffer(response.raw_output_contents[0], "<f4").reshape(shape).tolist()


def test_a_full_queue_tells_when_to_come_again_and_those_in_it_are_answered(channel):
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    calls = [stub.ModelInfer.future(_slow(ROUNDS, x), timeout=120) for x in range(24)]
    codes = [call.code() for call in calls]
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    for x, call in enumerate(calls):
        if call.code() is grpc.StatusCode.OK:
            assert _answer(call.result()) == [x + ROUNDS]
        else:
            assert "2 requests wait for this model already" in call.details()
            assert dict(call.trailing_metadata())["grpc-retry-pushback-ms"] == "1000"


def test_grpcs_own_retries_obey_the_pushback(server):
    policy = """{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.001s",
        "maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["RESOURCE_EXHAUSTED"]}}]}"""
    options = [("grpc.service_config", policy)]
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options=options) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        calls = [stub.ModelInfer.future(_slow(20, x), timeout=120) for x in range(6)]
        assert [_answer(call.result()) for call in calls] == [[x + 20] for x in range(6)]


def test_a_deadline_ends_the_wait_and_nothing_else(channel):
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    first = stub.ModelInfer.future(_slow(ROUNDS), timeout=120)
    late = stub.ModelInfer.future(_slow(ROUNDS), timeout=0.001)
    assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert _answer(first.result()) == [ROUNDS]
    assert _answer(stub.ModelInfer(_affine([[1, 2, 3, 4]]))) == expected([[1, 2, 3, 4]])[0]


def test_tritons_timeout_is_a_deadline_of_the_servers(channel):
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    first = stub.ModelInfer.future(_slow(ROUNDS), timeout=120)
    request = _slow(ROUNDS)
    request.parameters["timeout"].int64_param = 1  # microsecond
    second = stub.ModelInfer.future(request, timeout=120)
    assert second.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "time was over" in second.details()
    assert first.code() is grpc.StatusCode.OK


def test_a_call_that_is_cancelled_leaves_the_server_as_it_was(channel):
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    for _ in range(8):
        call = stub.ModelInfer.future(_slow(ROUNDS), timeout=120)
        call.cancel()
        assert call.code() is grpc.StatusCode.CANCELLED
    assert _answer(stub.ModelInfer(_affine([[0, 0, 0, 0]]), timeout=120)) == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_message_over_the_limit_is_refused_however_small_it_travels(channel, compression):
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    request = _affine(np.zeros((1_000_000, 4)))
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(request, compression=compression, timeout=120)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert _answer(stub.ModelInfer(_affine(np.zeros((2, 4)))), (2, 3)) == expected(np.zeros((2, 4)))


def test_many_streams_at_a_time(server):
    found = {}

    def stream(k):
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            requests = [_affine(np.full((1, 4), k + n)) for n in range(20)]
            found[k] = [_answer(each.infer_response) for each in stub.ModelStreamInfer(iter(requests), timeout=120)]

    threads = [threading.Thread(target=stream, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        assert found[k] == [expected(np.full((1, 4), k + n))[0] for n in range(20)]


def test_a_server_that_drains_is_not_ready_answers_what_comes_and_goes(models):
    with run_endpoint(models) as server, grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert stub.ServerReady(service_pb2.ServerReadyRequest()).ready
        server.process.send_signal(signal.SIGTERM)
        while stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=60).ready:
            pass
        assert stub.ServerLive(service_pb2.ServerLiveRequest()).live
        assert not stub.ModelReady(service_pb2.ModelReadyRequest(name="affine")).ready
        assert _answer(stub.ModelInfer(_affine([[1, 2, 3, 4]]))) == expected([[1, 2, 3, 4]])[0]
        assert server.process.wait(60) == 0
        with pytest.raises(grpc.RpcError) as caught:
            stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=60)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_what_is_under_way_when_the_door_closes_is_answered(models):
    with run_endpoint(models) as server, grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        calls = [stub.ModelInfer.future(_slow(ROUNDS, x), timeout=120) for x in range(4)]
        stub.ServerReady(service_pb2.ServerReadyRequest())
        server.process.send_signal(signal.SIGTERM)
        assert [_answer(call.result()) for call in calls] == [[x + ROUNDS] for x in range(4)]
        assert server.process.wait(60) == 0


def test_a_port_that_is_taken(models, server):
    taken = str(server.grpc_port)
    with (
        pytest.raises(RuntimeError, match=f"Port {taken} cannot be opened for gRPC"),
        run_endpoint(models, COLDPRESS_GRPC_PORT=taken),
    ):
        pass
