"""Warm-up inputs as the page shows them."""

import base64
import json
import struct

import pytest

from coldpress.serve.about import examples
from coldpress_runtime.errors import RequestError
from coldpress_runtime.manifest import Manifest
from tests.support.tiny import manifest


def read(inputs, data):
    warmup = {"inputs": [dict(zip(("name", "datatype", "shape"), each, strict=True)) for each in inputs],
              "data": "model/warmup.bin" if data is not None else None}  # fmt: skip
    return examples(Manifest.parse(manifest(warmup=warmup)), data)


def test_zeros_and_empty_texts_stand_for_data_that_does_not_ship():
    found = read([("a", "FP16", [1, 2]), ("b", "BYTES", [2]), ("c", "BOOL", []), ("d", "INT64", [0])], None)
    assert [each["values"] for each in found] == [[[0.0, 0.0]], ["", ""], False, []]
    assert all(each["data"] is None for each in found)


def test_data_is_cut_at_each_inputs_own_end():
    texts = struct.pack("<I", 2) + b"hi" + struct.pack("<I", 0)
    data = struct.pack("<2f", 1.5, float("nan")) + texts + struct.pack("<q", 1 << 60)
    found = read([("a", "FP32", [2]), ("b", "BYTES", [2]), ("c", "INT64", [1])], data)
    assert [each["values"] for each in found] == [[1.5, "NaN"], ["hi", ""], [1 << 60]]
    assert [base64.b64decode(each["data"]) for each in found] == [data[:8], texts, data[-8:]]
    json.dumps(found, allow_nan=False)


def test_what_is_too_long_to_look_at_is_not_written_out():
    (found,) = read([("a", "FP32", [100, 100])], bytes(40_000))
    assert found["values"] is None
    assert len(base64.b64decode(found["data"])) == 40_000


def test_data_that_is_too_short_is_one_sentence():
    with pytest.raises(RequestError, match="needs 8"):
        read([("a", "FP32", [2])], b"1234")
