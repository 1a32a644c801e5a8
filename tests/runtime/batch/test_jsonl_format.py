import json
import re
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldpress_runtime.batch.chunks import RAW_BYTES, Chunk, Position, Sizes
from coldpress_runtime.batch.features import Signature
from coldpress_runtime.batch.jsonl_format import JsonLinesFormat
from coldpress_runtime.errors import BatchError, InputError
from coldpress_runtime.signature import ValueInfo
from coldpress_runtime.tensor import DTYPES, Tensor
from tests.support.scoring import score_lines
from tests.support.tiny import open_service


def _signature(*, columns=(), **inputs):
    """Inputs as ``name="FP32[n,3]"``."""
    infos = {}
    for name, kind in inputs.items():
        dtype, _, axes = kind.rstrip("]").partition("[")
        shape = tuple(int(axis) if axis.isdigit() else axis for axis in axes.split(",") if axis)
        infos[name] = ValueInfo(name, "tensor", DTYPES[dtype], shape)
    return Signature(infos, None, columns)


def _chunk(lines):
    data = b"".join(line + b"\n" for line in lines)
    return Chunk(5, len(lines), data, Position(len(data), 5 + len(lines)))


def _singles(rows, signature):
    """Each record's values as lists, by its number."""
    found = {}
    for place, number in enumerate(rows.numbers.tolist()):
        found[number] = {}
        for name, column in rows.columns.items():
            value = column[place] if isinstance(column, list) else column[place : place + 1]
            if not isinstance(value, Tensor):
                value = Tensor.from_numpy(value, signature.inputs[name].dtype)
            data = value.data if isinstance(value.data, list) else bytes(value.data)
            found[number][name] = (value.dtype.name, value.shape, data)
    return found


_NUMBERS = st.one_of(
    st.integers(-3, 300), st.integers(), st.floats(width=32, allow_nan=False), st.floats(),
    st.sampled_from([0, 1, -0.0, 1e39, 65519.9, 65520, 1e308, 2**53, 2**53 + 1, 2**63, 2**64, 5e-324]),
)  # fmt: skip
_ODD = st.one_of(
    st.booleans(), st.none(), st.text(max_size=3), st.just([]), st.just({}), st.just({"b64": "AA=="}),
    st.sampled_from(["NaN", "-Infinity", '"', "\\", "1"]),
)  # fmt: skip
_VALUES = st.one_of(_NUMBERS, _NUMBERS, _NUMBERS, _ODD)
_TEXTS = st.sampled_from(
    [b"-0", b"1E5", b"0.10", b"1e400", b"01", b"+1", b".5", b"1.", b"NaN", b"0x1", b'"\\ud800"', b" 1\r"]
)


def _written(values):
    """JSON of a value; bytes are taken as they are."""
    if isinstance(values, bytes):
        return values
    if isinstance(values, list):
        return b"[" + b",".join(map(_written, values)) + b"]"
    if isinstance(values, dict):
        return (
            b"{" + b",".join(json.dumps(key).encode() + b":" + _written(value) for key, value in values.items()) + b"}"
        )
    return json.dumps(values).encode()


def _vectors(values, width):
    return st.lists(values, min_size=width, max_size=width)


def _mostly(good, bad):
    return st.lists(st.one_of(good, good, good, bad), min_size=1, max_size=6)


@pytest.mark.parametrize(
    "dtype", ["FP32", "FP64", "FP16", "BF16", "INT64", "UINT64", "INT8", "UINT8", "BOOL", "BYTES", "INT4"]
)
@given(data=st.data())
def test_the_fast_road_finds_what_the_exact_one_does(dtype, data):
    kind = {"BOOL": st.booleans(), "BYTES": st.text(max_size=5)}.get(dtype, _NUMBERS)
    whole = {"INT4": st.integers(-8, 7), "UINT8": st.integers(0, 255)}.get(dtype, st.integers(-100, 100))
    good = _vectors(whole if "INT" in dtype else kind, 2)
    bad = st.one_of(_vectors(st.one_of(_VALUES, _TEXTS), 2), st.lists(kind, max_size=3), _VALUES)
    shaped = data.draw(st.sampled_from(["bare", "named", "columns"]))
    records = data.draw(_mostly(good, bad))
    names = ("left", "right")
    if shaped == "named":
        records = [{"x": record} for record in records]
    if shaped == "columns":
        records = [dict(zip(names, record, strict=False)) if isinstance(record, list) else record for record in records]
        extra = data.draw(st.sampled_from([{}, {"id": "a1"}, {"id": [1, "b"]}]))
        records = [record | extra if isinstance(record, dict) else record for record in records]
    signature = _signature(x=f"{dtype}[n,2]", columns=names if shaped == "columns" else ())
    _compare(signature, [_written(record) for record in records])


@given(
    _mostly(
        st.fixed_dictionaries({"a": _vectors(st.floats(width=32, allow_nan=False), 2), "b": st.text(max_size=4)}),
        st.dictionaries(st.sampled_from(["a", "b", "c"]), _VALUES),
    )
)
def test_the_fast_road_of_several_inputs(records):
    _compare(_signature(a="FP32[n,2]", b="BYTES[n]"), list(map(_written, records)))


def _compare(signature, lines):
    form = JsonLinesFormat(signature)
    lines = [line for line in lines if line.strip()]
    together = form.rows(_chunk(lines))
    exactly = form._read_exactly(lines, 5)
    assert _singles(together, signature) == _singles(exactly, signature)
    assert [(reject.row, reject.reason, reject.raw) for reject in together.rejects] == exactly.rejects
    assert len(together.numbers) + len(together.rejects) == len(lines)


def test_the_fast_road_is_taken():
    """What people write as a rule must not fall to the slow road unnoticed."""
    cases = [
        (_signature(x="FP32[n,2]"), [b"[1,0.5]", b"[0.0,1]"]),
        (_signature(x="FP32[n,2]"), [b'{"x":[1,0.5]}', b'{"x": [1e-7, -1]}']),
        (_signature(x="FP32[n,2,2]"), [b"[[1,0.5],[3,4]]"]),
        (_signature(x="INT64[n]"), [b"1", b"-7"]),
        (_signature(x="UINT8[n,2]"), [b"[0,255]"]),
        (_signature(x="BOOL[n]"), [b"true", b"false"]),
        (_signature(x="BYTES[n]"), [b'{"x":"naive"}', b'{"x":"\xc3\xa9,{}"}']),
        (_signature(x="FP32[n,s]", y="BYTES[n]"), [b'{"y":"a","x":[1,2,3]}']),
        (_signature(x="FP32[n,2]", columns=("b", "a")), [b'{"a":1,"b":2}', b'{"a":3,"b":4}']),
        (_signature(x="FP32[n,2]", columns=("b", "a")), [b'{"a":1,"b":2,"id":"x"}', b'{"id":"y","a":3,"b":4}']),
        (_signature(x="INT32[n]", columns=("a",)), [b'{"a":1}', b'{"a":2,"z":null}']),
    ]
    for signature, lines in cases:
        rows = JsonLinesFormat(signature)._read_fast(lines, 0)
        assert rows is not None, lines
        exactly = JsonLinesFormat(signature)._read_exactly(lines, 0)
        assert _singles(rows, signature) == _singles(exactly, signature)


def test_one_bad_line_sends_few_others_down_the_exact_road():
    signature = _signature(x="FP32[n,2]")
    form = JsonLinesFormat(signature)
    exact = []
    read = form._read_exactly
    form._read_exactly = lambda lines, first: exact.extend(lines) or read(lines, first)
    lines = [b"[1,2]"] * 1000
    lines[500] = b"[1]"
    rows = form.rows(_chunk(lines))
    assert len(rows.numbers) == 999
    assert [reject.row for reject in rows.rejects] == [505]
    assert len(exact) <= 32
    assert isinstance(rows.columns["x"], np.ndarray)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[1,2", "not JSON"),
        (b"[1,2,3]", r"Input 'x' has shape \[3\], expected \[2\]"),
        (b"[[1,2]]", "nested more than 1 deep"),
        (b"7", r"Input 'x' is 7, expected lists nested 1 deep"),
        (b'["a",1]', 'element 0 is "a", expected a number'),
        (b"[null,1]", "element 0 is null"),
        (b"[true,1]", "element 0 is true"),
        (b"[1e39,1]", r"element 0 is 1e\+39, which FP32 cannot hold"),
        (b"[1e400,1]", "a number beyond every float"),
        (b"[1\xff,2]", r"The record is not UTF-8 text \(byte 2 is 0xff\)"),
        (b'{"x":[1,2],"x":[1,2]}', "appears twice"),
        (b'{"x":[1,2],"y":1}', 'Input "y" is unknown'),
        (b'{"f0":1,"f1":2}', "has no field 'x', the model's only input; .* name them in columns"),
        (b"{}", "has no field 'x'"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1,2] [1,2]", "not JSON"),
        (b"[1," + b"1" * 5000 + b"]", "thousands of digits"),
    ],
)
def test_what_is_no_record_is_a_reject_that_says_why(tmp_path, line, reason):
    service = open_service(tmp_path / "bundle", "fp32")
    rows, rejects = score_lines(service, [1, 2], line, [3, 4])
    assert [row["row"] for row in rows] == [0, 2]
    assert re.search(reason, rejects[1])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a":1}', 'The record lacks the field "b", which columns names.'),
        (b"[1,2]", "The record is a list of 2, expected an object with the fields in columns."),
        (b'{"a":1,"b":[2]}', 'The field "b" is a list of 1, expected one value.'),
        (b'{"a":1,"b":"2"}', "Field 'b' is FP32: its value is \"2\", expected a number"),
        (b'{"a":1,"b":2,"b":2}', 'The key "b" appears twice'),
    ],
)
def test_columns_that_a_record_lacks(tmp_path, line, reason):
    service = open_service(tmp_path / "bundle", "fp32")
    rows, rejects = score_lines(service, {"b": 2, "a": 1}, line, {"a": "NaN", "b": 0, "z": 1}, columns=("a", "b"))
    assert [row["y"] for row in rows] == [[1, 2], ["NaN", 0]]
    assert rejects[1].startswith(reason)


def test_columns_fill_the_shape_of_an_input():
    signature = _signature(x="FP32[n,2,2]", columns=("a", "b", "c", "d"))
    lines = [b'{"d":4,"c":3,"b":2,"a":1}', b'{"a":5,"b":6,"c":7,"d":8}']
    rows = JsonLinesFormat(signature).rows(_chunk(lines))
    assert rows.columns["x"].tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]


def test_columns_need_one_input(tmp_path):
    service = open_service(tmp_path / "bundle", "two_inputs")
    with pytest.raises(BatchError, match="this model has the inputs"):
        Signature.of(service, ("a",))
    with pytest.raises(BatchError, match="A record has 3 columns, but one record of input 'x' has shape"):
        JsonLinesFormat(_signature(x="FP32[n,2]", columns=("a", "b", "c")))
    service = open_service(tmp_path / "other", "fp32")
    with pytest.raises(BatchError, match="holds a name twice"):
        Signature.of(service, ("a", "a"))


def _chunks(signature, data, **sizes):
    return list(JsonLinesFormat(signature).chunks(BytesIO(data), Position(), Sizes(**sizes)))


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("FP32[n,2]", b"[\n[1,2],\n[3,4]\n]\n"),
        ("FP32[n,2]", b"\xef\xbb\xbf  [[1,2],[3,4]]"),
        ("FP32[n,2]", b'[{"x":[1,2]}, {"x":[3,4]}]\n'),
        ("FP32[n]", b"[1,2,3]\n"),
        ("BYTES[n]", b'[\r\n{"x":"a"}]'),
    ],
)
def test_one_json_array_is_refused_as_a_whole(kind, data):
    with pytest.raises(InputError, match="one JSON array, expected JSON Lines: write each record on a line of its own"):
        _chunks(_signature(x=kind), data)


@pytest.mark.parametrize(
    ("kind", "data"),
    [("FP32[n,2]", b"[1,2]\n[3,4]"), ("FP32[n,2,2]", b"[[1,2],[3,4]]\n[[5,6],[7,8]]"), ("FP32[]", b"[[[1]]]\n2\n")],
)
def test_records_that_are_arrays_are_none(kind, data):
    (chunk,) = _chunks(_signature(x=kind), data)
    assert chunk.records == 2


def test_a_record_that_is_too_long_is_one_reject():
    signature = _signature(x="FP32[n,2]")
    data = b"[1,2]\n[" + b"1," * 400_000 + b"1]\n[3,4]\n"
    form = JsonLinesFormat(signature)
    chunks = list(form.chunks(BytesIO(data), Position(), Sizes(bytes=1 << 12, record_bytes=1 << 17)))
    rows = [form.rows(chunk) for chunk in chunks]
    assert [number for part in rows for number in part.numbers.tolist()] == [0, 2]
    ((reject,),) = [part.rejects for part in rows if part.rejects]
    assert reject.row == 1
    assert "over 131072 bytes long" in reject.reason
    assert len(reject.raw) == RAW_BYTES
