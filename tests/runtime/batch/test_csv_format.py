import csv
import io

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coldpress_runtime.batch.chunks import RAW_BYTES, Chunk, Position, Sizes
from coldpress_runtime.batch.csv_format import CsvFormat
from coldpress_runtime.batch.csv_head import Head, read_head
from coldpress_runtime.batch.features import Signature
from coldpress_runtime.batch.formats import START_BYTES
from coldpress_runtime.errors import InputError
from coldpress_runtime.signature import ValueInfo
from coldpress_runtime.tensor import DTYPES, Tensor
from tests.support.scoring import lines_of, score_bytes
from tests.support.tiny import open_service


def _signature(*, columns=(), **inputs):
    """Inputs as ``name="FP32[n,3]"``."""
    infos = {}
    for name, kind in inputs.items():
        dtype, _, axes = kind.rstrip("]").partition("[")
        shape = tuple(int(axis) if axis.isdigit() else axis for axis in axes.split(",") if axis)
        infos[name] = ValueInfo(name, "tensor", DTYPES[dtype], shape)
    return Signature(infos, None, columns)


def _open(data, signature):
    return CsvFormat(signature, read_head(io.BytesIO(data), signature.columns))


def _read(data, signature, sizes=None):
    """Values by record, reasons by record, and the raw bytes of rejects."""
    form = _open(data, signature)
    values, reasons, raws, row = {}, {}, {}, 0
    for chunk in form.chunks(io.BytesIO(data), Position(), sizes or Sizes()):
        rows = form.rows(chunk)
        assert chunk.first == row
        row += chunk.records
        found = [*rows.numbers.tolist(), *(reject.row for reject in rows.rejects)]
        assert sorted(found) == list(range(chunk.first, row))
        for place, number in enumerate(rows.numbers.tolist()):
            values[number] = {name: column[place] for name, column in rows.columns.items()}
        for reject in rows.rejects:
            reasons[reject.row], raws[reject.row] = reject.reason, reject.raw
            assert form.record(chunk, reject.row) == reject.raw or chunk.reason
    return values, reasons, raws


def _lists(values, name="x"):
    return {number: value[name].tolist() for number, value in values.items()}


_THREE = _signature(x="FP32[n,3]")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a,b,c\n1,2,3\n", {0: [1, 2, 3]}),
        (b"1,2,3\n4,5,6", {0: [1, 2, 3], 1: [4, 5, 6]}),
        (b"\xef\xbb\xbf1,2,3\r\n4,5,6\r\n", {0: [1, 2, 3], 1: [4, 5, 6]}),
        (b'\xef\xbb\xbf"a","b","c"\r\n"1","2","3"\r\n', {0: [1, 2, 3]}),
        (b"a;b;c\n1;2;3\n", {0: [1, 2, 3]}),
        (b"a\tb\tc\n1\t2\t3\n", {0: [1, 2, 3]}),
        (b"1;2;3\n", {0: [1, 2, 3]}),
        (b"\n\na,b,c\n\n1,2,3\n \n\r\n4,5,6\n\n", {0: [1, 2, 3], 1: [4, 5, 6]}),
        (b'"a,1","b\nb",c\n1,2,3\n', {0: [1, 2, 3]}),
        (b"nan,inf,c\n1,2,3\n", {0: [1, 2, 3]}),
        (b'"a;b;c;d",b,c\n1,2,3\n', {0: [1, 2, 3]}),
        (b"\r\n\r\na,b,c\r\n\r\n1,2,3\r\n", {0: [1, 2, 3]}),
        (b" 1, -2,+3\n", {0: [1, -2, 3]}),
        (b"1e2,.5,3.\n", {0: [100, 0.5, 3]}),
    ],
    ids=str,
)
def test_files_that_say_the_same_in_many_ways(data, expected):
    values, reasons, _ = _read(data, _THREE)
    assert _lists(values) == expected
    assert reasons == {}


@pytest.mark.parametrize("data", [b"", b"\n\n", b"a,b,c", b"a,b,c\n", b"\xef\xbb\xbf", b"a,b,c\r\n\r\n"])
def test_nothing_but_a_header_is_no_record(data):
    assert _read(data, _THREE) == ({}, {}, {})


def test_values_that_are_not_finite_are_values():
    values, reasons, _ = _read(b"1,2,3\nNaN,-inf,Infinity\n", _THREE)
    assert reasons == {}
    assert np.isnan(values[1]["x"][0])
    assert values[1]["x"][1:].tolist() == [-np.inf, np.inf]


def test_each_bad_record_is_a_reject_with_its_reason_and_the_others_are_rows():
    data = (
        b"a,b,c\n1,2,3\n1,2\n1,2,3,4\n1,x,3\n1,,3\n1, ,3\n1,2,1e39\n4,5,6\n1,\xff,3\n"
        b'1,2,"3"4\n"1\n2",2,3\n1_0,2,3\n7,8,9'
    )
    values, reasons, raws = _read(data, _THREE)
    assert _lists(values) == {0: [1, 2, 3], 7: [4, 5, 6], 12: [7, 8, 9]}
    assert reasons == {
        1: "The record has 2 fields, expected 3.",
        2: "The record has 4 fields, expected 3.",
        3: 'Column "b" is "x", expected a number.',
        4: 'Column "b" is empty, expected a number.',
        5: 'Column "b" is empty, expected a number.',
        6: 'Column "c" is "1e39", expected a number that float32 holds.',
        8: 'Column "b" is "\\ufffd", expected a number.',
        9: "The record is not CSV: ',' expected after '\"'.",
        10: 'Column "a" is "1\\n2", expected a number.',
        11: 'Column "a" is "1_0", expected a number.',
    }
    assert raws[8] == b"1,\xff,3"
    assert raws[10] == b'"1\n2",2,3'


def test_without_a_header_a_bad_first_record_is_one_reject_and_columns_have_numbers():
    values, reasons, _ = _read(b"1,2\n4,5,6\n7,x,9\n", _THREE)
    assert _lists(values) == {1: [4, 5, 6]}
    assert reasons == {0: "The record has 2 fields, expected 3.", 2: 'Column 1 is "x", expected a number.'}


def test_a_first_record_of_empty_fields_is_no_header():
    values, reasons, _ = _read(b",,\n1,2,3\n", _THREE)
    assert _lists(values) == {1: [1, 2, 3]}
    assert list(reasons) == [0]


@pytest.mark.parametrize(
    "data",
    [
        b"1,2,3\n", b"1,2,3\r\n4,5,6", b'"1","2","3"\r\n', b'1,"x, y",3\n', b'1,"""x""\n",3\n', b"\n1,2\n\n1,2,3,4\n",
        b",,\n",
    ],
    ids=str,
)  # fmt: skip
def test_common_files_go_down_the_fast_road(data):
    form = CsvFormat(_THREE, Head(",", ("a", "b", "c"), 3))
    assert form._read_fast(Chunk(0, 1, data, Position(len(data), 1))) is not None


def test_columns_picks_and_orders_by_name():
    signature = _signature(x="FP32[n,2]", columns=("b", "a"))
    values, reasons, _ = _read(b'id, a ,name,b\nq,1,"x, y",2\nr,x,z,4\ns,5,\xff,6\n', signature)
    assert _lists(values) == {0: [2, 1], 2: [6, 5]}
    assert reasons == {1: 'Column "a" is "x", expected a number.'}


def test_a_header_of_numbers_is_one_where_columns_names_them():
    signature = _signature(x="FP32[n,2]", columns=("1", "0"))
    assert _lists(_read(b"0,1\n5,6\n", signature)[0]) == {0: [6, 5]}


@pytest.mark.parametrize(
    ("data", "inputs", "columns", "reason"),
    [
        (b"a,b\n1,2\n", {"x": "FP32[n,2]"}, ("c",), 'The header lacks the column "c", which columns names'),
        (b"1,2\n", {"x": "FP32[n,1]"}, ("a",), 'The file has no header, and columns names "a"'),
        (b"a,b,a\n1,2,3\n", {"x": "FP32[n,1]"}, ("a",), 'The header has twice the column "a"'),
        (b"a,b\n1,2\n", {"x": "FP32[n,3]"}, (), r"A record has 2 columns, but one record of input 'x' has shape \[3\]"),
        (b"x,z\n1,2\n", {"x": "FP32[n]", "y": "FP32[n]"}, (), 'The header lacks the column "y", which the model takes'),
        (b"1,2\n", {"x": "FP32[n,m]", "y": "FP32[n]"}, (), "Input 'x' takes any number of columns; write a header"),
        (b"1,2\n", {"x": "COMPLEX64[n,2]"}, (), "Input 'x' is COMPLEX64, which CSV has no numbers for"),
        (b"a,b\r1,2\r3,4\r", {"x": "FP32[n,2]"}, (), "Lines end in a carriage return alone"),
        (b'a,"b"c\n1,2\n', {"x": "FP32[n,2]"}, (), "The first record is not CSV"),
        (b"a," * (START_BYTES // 2), {"x": "FP32[n,2]"}, (), "The first record is over 262144 bytes long"),
        ("a,b\n1,2\n".encode("utf-16"), {"x": "FP32[n,2]"}, (), "UTF-16"),
    ],
    ids=range(11),
)  # fmt: skip
def test_a_file_without_what_the_model_takes_is_refused_as_a_whole(data, inputs, columns, reason):
    with pytest.raises(InputError, match=reason):
        _read(data, _signature(columns=columns, **inputs))


def test_a_model_that_takes_no_tensors_is_told_to_use_json_lines():
    info = ValueInfo("x", "map", key=DTYPES["BYTES"], value=DTYPES["FP32"])
    with pytest.raises(InputError, match="Input 'x' is a map, which no column can hold; use JSON Lines"):
        CsvFormat(Signature({"x": info}), Head(",", ("a",), 1))


def test_columns_named_after_several_inputs_go_to_them_and_others_are_ignored():
    signature = _signature(age="INT64[n,1]", name="BYTES[n]", pixels="FP32[n,2,2]", box="FP32[n,2]")
    data = (
        b"pixels.3,id,name,pixels.0,age,pixels.1,pixels.2,box[1],box[0]\n"
        b'4,q,"Zo\xc3\xab ""Z""",1,9007199254740993,2,3,6,5\n'
    )
    values, reasons, _ = _read(data, signature)
    assert reasons == {}
    row = values[0]
    assert row["age"].tolist() == [9007199254740993]
    assert row["name"] == 'Zoë "Z"'
    assert row["pixels"].tolist() == [[1, 2], [3, 4]]
    assert row["box"].tolist() == [5, 6]


def test_several_inputs_without_a_header_take_columns_by_their_order():
    signature = _signature(a="FP32[n,2]", b="INT64[n]")
    values, reasons, _ = _read(b"1.5,2.5,3\n4,5,6.5\n", signature)
    assert values[0]["a"].tolist() == [1.5, 2.5]
    assert values[0]["b"] == 3
    assert reasons == {1: 'Column 2 is "6.5", expected a whole number.'}


def test_text_is_kept_as_it_is_and_what_is_no_utf_8_is_a_reject():
    data = b'label,text\n1," a\r\nb "\n2,5" pipe\n3,\xff\n4,\n5,"""q"""\n'
    values, reasons, _ = _read(data, _signature(text="BYTES[n]", columns=("text",)))
    assert {number: value["text"] for number, value in values.items()} == {
        0: " a\r\nb ", 1: '5" pipe', 3: "", 4: '"q"',
    }  # fmt: skip
    assert reasons == {2: 'Column "text" is "\\ufffd", expected text in UTF-8.'}


@pytest.mark.parametrize("kind", ["BF16[n,2]", "INT4[n,2]", "FP32[2]", "BOOL[n,2]", "FP16[n,2]"])
def test_any_datatype_and_records_that_run_alone_are_read(kind):
    signature = _signature(x=kind)
    form = _open(b"1,0\n", signature)
    (chunk,) = form.chunks(io.BytesIO(b"1,0\n100,x\n0,1\n"), Position(), Sizes())
    rows = form.rows(chunk)
    assert rows.numbers.tolist() == [0, 2]
    column = rows.columns["x"]
    info = signature.inputs["x"]
    first = column[0] if isinstance(column, list) else Tensor.from_numpy(column[:1], info.dtype)
    assert first == Tensor.from_flat(info.dtype, first.shape, [1, 0])
    assert first.shape == ((1, 2) if len(info.shape) == 2 else (2,))


def test_a_number_that_a_narrow_type_cannot_hold_is_a_reject():
    _, reasons, _ = _read(b"1,0\n100,1\n", _signature(x="INT4[n,2]"))
    assert list(reasons) == [1]
    assert "INT4" in reasons[1]


_FIELDS = st.sampled_from(
    [b"1", b"-2.5", b"0.0", b"13.0", b"1e-05", b"nan", b"x", b"", b" ", b" 7", b'"3"', b'"a,b"', b'"1\n2"', b'"q""q"',
     b'""', b'5"', b'"1"2', b'"', b"\xff", b"\r", b"70000", b"3.4e38", b"123456789012345678", b"true", b"\t", b"-"]
)  # fmt: skip
_ENDS = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\n\n", b"\n \n", b"\r"])


@st.composite
def _tables(draw):
    delimiter = draw(st.sampled_from(b",;\t"))
    width = draw(st.integers(1, 4))
    odd = draw(st.booleans())
    fields = _FIELDS if odd else st.sampled_from([b"1", b"-2.5", b"0.0", b'"3"', b"x", b'"1"', b'"a,;b"'])
    ends = _ENDS if odd else st.sampled_from([b"\n", b"\r\n"])
    table = b""
    for _ in range(draw(st.integers(1, 12))):
        count = draw(st.sampled_from([width] * 6 + [width + 1, 1]))
        table += bytes([delimiter]).join(draw(fields) for _ in range(count)) + draw(ends)
    return chr(delimiter), width, table[: len(table) - draw(st.integers(0, 2))]


@pytest.mark.parametrize("kind", ["FP32", "INT64", "FP16", "BYTES", "BOOL"])
@given(table=_tables(), data=st.data())
@example(table=("\t", 2, b"1\t2\n\t\n3\t4\n"), data=None)
@example(table=(",", 1, b'1\n\n""\n \n2'), data=None)
def test_both_roads_come_to_the_same(kind, table, data):
    delimiter, width, text = table
    picked = tuple(data.draw(st.permutations(range(width)))[: data.draw(st.integers(1, width))]) if data else (0,)
    names = tuple(f"c{column}" for column in range(width))
    signature = _signature(x=f"{kind}[n,{len(picked)}]", columns=tuple(names[column] for column in picked))
    form = CsvFormat(signature, Head(delimiter, names, width))
    position = Position(0 if text.startswith(b"\n") else 1, 5)
    for chunk in form.chunks(io.BytesIO(text), position._replace(offset=1), Sizes()):
        fast, exact = form._read_fast(chunk), form._read_exactly(chunk)
        assert len(exact.numbers) + len(exact.rejects) == chunk.records
        if fast is None:
            assert b'"' in text or b"\r" in text
            continue
        assert fast.numbers.tolist() == exact.numbers.tolist()
        assert fast.rejects == exact.rejects
        assert fast.columns.keys() == exact.columns.keys()
        for name, column in fast.columns.items():
            assert column.dtype == exact.columns[name].dtype
            assert column.shape == exact.columns[name].shape
            assert column.tobytes() == exact.columns[name].tobytes() or column.tolist() == exact.columns[name].tolist()


@given(
    rows=st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\x00")), min_size=2, max_size=2)),
    size=st.integers(1, 200),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_python_writes_is_read_back(rows, size, quoting, end):
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting, lineterminator=end)
    writer.writerows([["a", "b"], *rows])
    values, reasons, _ = _read(text.getvalue().encode(), _signature(a="BYTES[n]", b="BYTES[n]"), Sizes(size))
    assert reasons == {}
    assert [[values[number]["a"], values[number]["b"]] for number in sorted(values)] == rows


def test_a_record_that_is_too_long_is_a_reject_that_says_so():
    data = b"1,2,3\n" + b"4" * 5000 + b",5,6\n7,8,9\n"
    form = _open(data, _THREE)
    sizes = Sizes(100, record_bytes=1000)
    chunks = list(form.chunks(io.BytesIO(data), Position(), sizes))
    rows = [form.rows(chunk) for chunk in chunks]
    assert [part.numbers.tolist() for part in rows] == [[0], [], [2]]
    (reject,) = rows[1].rejects
    assert reject.row == 1
    assert reject.reason.startswith("The record is over 1000 bytes long")
    assert reject.raw == data[6 : 6 + len(reject.raw)]
    assert len(reject.raw) <= RAW_BYTES


def test_reading_goes_on_behind_the_header():
    data = b"a,b,c\n1,2,3\n4,5,6\n7,8,9\n"
    form = _open(data, _THREE)
    chunks = list(form.chunks(io.BytesIO(data), Position(), Sizes(rows=1)))
    for place, chunk in enumerate(chunks):
        rest = list(form.chunks(io.BytesIO(data[chunk.end.offset :]), chunk.end, Sizes(rows=1)))
        assert rest == chunks[place + 1 :]


_HOOK = """
from coldpress_runtime.errors import RequestError

def preprocess(request):
    record = request.json()
    texts = list(record.values()) if isinstance(record, dict) else record
    if texts[0] == "bad":
        raise RequestError("The first one is bad.")
    return {"x": [[float(len(text)) for text in texts]]}
"""


def _score(service, data, **options):
    (scored,) = score_bytes(service, "x.csv", data, **options)
    rejects = {line["row"]: (line["reason"], line["record"]) for line in lines_of(scored.rejects)}
    return [line["y"] for line in lines_of(scored.output)], rejects


def test_a_hook_gets_texts_by_the_names_of_the_header(tmp_path):
    service = open_service(tmp_path / "bundle", "fp32", _HOOK)
    data = b'name,note\nabc,"x, ""y"""\nbad,z\nq\n\xff,z\n"a"b,c\n\xc3\xab,\n'
    rows, rejects = _score(service, data)
    assert rows == [[3, 6], [1, 0]]
    assert rejects == {
        1: ("The first one is bad.", "bad,z"),
        2: ("The record has 1 field, expected 2.", "q"),
        3: ("The record is not UTF-8 text.", {"b64": "/yx6"}),
        4: ("The record is not CSV: ',' expected after '\"'.", '"a"b,c'),
    }
    assert _score(service, data, columns=("note", "name"))[0] == [[6, 3], [1, 3], [0, 1]]


def test_a_hook_gets_a_list_of_texts_without_a_header(tmp_path):
    service = open_service(tmp_path / "bundle", "fp32", _HOOK)
    assert _score(service, b"1.25,x\n22,\n") == ([[4, 1], [2, 0]], {})


def test_a_file_is_scored_row_by_row(tmp_path):
    service = open_service(tmp_path / "bundle", "mlp")
    good = b",".join([b"0.0"] * 64)
    (scored,) = score_bytes(service, "x.csv", good + b"\n" + good + b",1\r\n" + good + b"\n", outputs=("label",))
    assert lines_of(scored.output) == [{"row": 0, "label": 0}, {"row": 2, "label": 0}]
    (reject,) = lines_of(scored.rejects)
    reason = "The record has 65 fields, expected 64."
    assert reject == {"row": 1, "reason": reason, "record": (good + b",1").decode()}
