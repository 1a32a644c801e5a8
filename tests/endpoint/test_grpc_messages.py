"""The gRPC messages: generated from the .proto file as it is, and on the wire what Triton's client has."""

import pytest
from tritonclient.grpc import model_config_pb2, service_pb2

from coldpress_endpoint.grpc import open_inference_pb2
from tests.support.proto import FOLDER, NAMES, generate

_OURS = open_inference_pb2.DESCRIPTOR.message_types_by_name


def test_the_generated_code_is_that_of_the_proto_file():
    for name, content in generate().items():
        assert (FOLDER / name).read_bytes() == content, "run `make proto`"
    assert len(NAMES) == 2


def _fields(message):
    return {field.name: (field.number, field.type, field.is_repeated) for field in message.fields}


@pytest.mark.parametrize("name", sorted(_OURS))
def test_each_field_has_the_number_and_type_that_tritons_client_reads(name):
    ours = _OURS[name]
    theirs = {**model_config_pb2.DESCRIPTOR.message_types_by_name, **service_pb2.DESCRIPTOR.message_types_by_name}[name]
    assert _fields(ours).items() <= _fields(theirs).items()
    for nested in ours.nested_types:
        assert _fields(nested).items() <= _fields(theirs.nested_types_by_name[nested.name]).items()


def test_both_sides_messages_live_in_one_process():
    ours = open_inference_pb2.ModelInferRequest(model_name="digits", raw_input_contents=[b"\0\1"])
    ours.parameters["seed"].int64_param = -7
    theirs = service_pb2.ModelInferRequest.FromString(ours.SerializeToString())
    assert theirs.parameters["seed"].int64_param == -7
    assert open_inference_pb2.ModelInferRequest.FromString(theirs.SerializeToString()) == ours
