import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coldpress_runtime.batch.writers import CsvWriter, JsonLinesWriter, json_texts, output_names
from coldpress_runtime.signature import ValueInfo
from coldpress_runtime.tensor import DTYPES, Tensor

_CONSTANTS = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}


def _info(name="y", dtype="FP32", shape=("n", 2)):
    return ValueInfo(name, "tensor", DTYPES[dtype], shape)


def _numbers(value):
    if isinstance(value, list):
        return list(map(_numbers, value))
    return _CONSTANTS.get(value, value) if isinstance(value, str) else value


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8", "int64", "uint64", "bool"])
@given(data=st.data())
def test_numbers_come_back_to_the_bit(dtype, data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=3))
    array = data.draw(hnp.arrays(dtype, shape))
    texts = json_texts(Tensor.from_numpy(array), _info())
    assert len(texts) == len(array)
    for text, row in zip(texts, array, strict=True):
        again = np.array(_numbers(json.loads(text)), dtype).reshape(row.shape)
        np.testing.assert_array_equal(again, row)
        assert np.array_equal(np.signbit(again), np.signbit(row)) or np.isnan(row).any() or dtype == "bool"


def test_numbers_are_as_short_as_their_type_allows():
    assert json_texts(Tensor.from_flat("FP32", (2,), [0.1, 16777216]), _info()) == [b"0.1", b"16777216.0"]
    assert json_texts(Tensor.from_flat("FP64", (1, 2), [0.1, 1e300]), _info()) == [b"[0.1,1e+300]"]
    assert json_texts(Tensor.from_flat("FP32", (1, 1, 2), [1e-7, 3]), _info()) == [b"[[1e-7,3.0]]"]


@pytest.mark.parametrize("dtype", ["BF16", "INT4", "FLOAT8E4M3FN"])
def test_types_that_numpy_lacks(dtype):
    assert json_texts(Tensor.from_flat(dtype, (2, 1), [1, -2]), _info()) in (
        [b"[1.0]", b"[-2.0]"],
        [b"[1]", b"[-2]"],
    )


def test_complex_numbers_are_pairs():
    assert json_texts(Tensor.from_flat("COMPLEX64", (2, 1), [1j, 2]), _info()) == [b"[[0.0,1.0]]", b"[[2.0,0.0]]"]


def test_texts():
    tensor = Tensor("BYTES", (4,), ["null", 'a"\n', "é\u2028", b"\xff"])
    texts = json_texts(tensor, _info(dtype="BYTES"))
    assert list(map(json.loads, texts)) == ["null", 'a"\n', "é\u2028", {"b64": "/w=="}]
    nested = Tensor("BYTES", (2, 2), ["a", "b", "c", b"\xfe"])
    assert [json.loads(text) for text in json_texts(nested, _info())] == [["a", "b"], ["c", {"b64": "/g=="}]]


def test_maps_of_float32_are_short_too():
    entry = ValueInfo("", "map", key=DTYPES["INT64"], value=DTYPES["FP32"])
    infos = {"sequence": ValueInfo("y", "sequence", item=entry), "map": entry}
    narrow = float(np.float32(0.1))
    for info in infos.values():
        texts = json_texts([{3: narrow, 5: float("nan")}, {3: -float("inf")}], info)
        assert list(map(json.loads, texts)) == [{"3": 0.1, "5": "NaN"}, {"3": "-Infinity"}]
    assert json_texts([[{1: narrow}], []], infos["sequence"]) == [b'[{"1":0.1}]', b"[]"]
    entry.value = DTYPES["FP64"]
    assert json_texts([{3: narrow}], entry) == [f'{{"3":{narrow!r}}}'.encode()]


def test_sequences_of_tensors_and_absent_values():
    info = ValueInfo("y", "sequence", item=_info())
    items = [[Tensor.from_flat("FP32", (2,), [0.1, float("inf")]), Tensor.from_flat("INT64", (), [7])], None]
    assert json_texts(items, info) == [b'[[0.1,"Infinity"],7]', b"null"]


def test_an_output_called_row_hides_no_number():
    infos = [_info("row"), _info("output_row"), _info("y")]
    assert output_names(infos) == ["output_output_row", "output_row", "y"]
    line = JsonLinesWriter(infos).rows(np.array([7]), [[b"1"], [b"2"], [b"3"]])
    assert json.loads(line) == {"row": 7, "output_output_row": 1, "output_row": 2, "y": 3}


def test_names_with_quotes():
    line = JsonLinesWriter([_info('a"b')]).rows(np.array([0]), [[b"1"]])
    assert json.loads(line) == {"row": 0, 'a"b': 1}


def _table(infos, numbers, outputs):
    writer = CsvWriter(infos)
    texts = [writer.texts(place, values) for place, values in enumerate(outputs)]
    text = (writer.head() + writer.rows(np.array(numbers), texts)).decode()
    return list(csv.reader(text.splitlines(keepends=True), strict=True))


def test_csv_has_a_column_a_number():
    infos = [_info("label", "INT64", ("n",)), _info("p,q", "FP32", ("n", 2, 1)), _info("w", "BOOL", ("n", 1))]
    pairs = np.array([[[0.1], [0.2]], [[np.nan], [-np.inf]]], np.float32)
    outputs = [Tensor.from_flat("INT64", (2,), [3, 4]), Tensor.from_numpy(pairs),
               Tensor.from_flat("BOOL", (2, 1), [True, False])]  # fmt: skip
    assert _table(infos, [5, 9], outputs) == [
        ["row", "label", "p,q.0", "p,q.1", "w"],
        ["5", "3", "0.1", "0.2", "true"],
        ["9", "4", "NaN", "-Infinity", "false"],
    ]


def test_csv_has_one_column_of_json_where_the_model_does_not_say_how_many():
    infos = [
        _info("open", "FP32", ("n", "m")), _info("text", "BYTES", ("n",)), _info("texts", "BYTES", ("n", 2)),
        ValueInfo("maps", "sequence"), _info("whole", "FP32", (3,)), _info("unknown", "FP32", ()),
    ]  # fmt: skip
    outputs = [
        Tensor.from_flat("FP32", (1, 2), [1, 2]),
        Tensor("BYTES", (1,), ['a,"b\n']),
        Tensor("BYTES", (1, 2), ["x", "y"]),
        [[{1: 0.5}]],
        [Tensor.from_flat("FP32", (3,), [1, 2, 3])],
        [7],
    ]
    assert _table(infos, [0], outputs) == [
        ["row", "open", "text", "texts", "maps", "whole", "unknown"],
        ["0", "[1.0,2.0]", 'a,"b\n', '["x","y"]', '[{"1":0.5}]', "[1.0,2.0,3.0]", "7"],
    ]


@given(hnp.arrays("float32", hnp.array_shapes(min_dims=2, max_dims=3, max_side=3)), st.booleans())
def test_csv_has_the_numbers_of_json(array, one_by_one):
    """However rows ran: together, or each by itself."""
    writer = CsvWriter([_info("y", "FP32", ("n", *array.shape[1:]))])
    values = [Tensor.from_numpy(row) for row in array] if one_by_one else Tensor.from_numpy(array)
    texts = json_texts(Tensor.from_numpy(array), _info())
    assert writer.texts(0, values) == [text.translate(None, b'[]"') for text in texts]


def test_no_rows_are_no_bytes():
    assert JsonLinesWriter([_info()]).rows(np.empty(0, np.int64), [[]]) == b""
