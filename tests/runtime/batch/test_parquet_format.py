import datetime as dt
import decimal
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coldpress_runtime.batch.chunks import Position, Sizes
from coldpress_runtime.batch.features import Signature
from coldpress_runtime.batch.formats import open_format
from coldpress_runtime.batch.options import Options
from coldpress_runtime.errors import BatchError, InputError, StoreError
from tests.support.scoring import lines_of, score_bytes
from tests.support.tiny import open_service


def _parquet(columns, **options):
    file = BytesIO()
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), file, **options)
    return file.getvalue()


def _rows(service, table, sizes=None, written=None, **options):
    data = table if isinstance(table, bytes) else _parquet(table, **(written or {}))
    parts = score_bytes(service, "x.parquet", data, sizes, **options)
    rows = [row for part in parts for row in lines_of(part.output)]
    rejects = {row["row"]: row for part in parts for row in lines_of(part.rejects)}
    assert sorted([*(row["row"] for row in rows), *rejects]) == list(range(len(rows) + len(rejects)))
    return rows, rejects


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        ({"a": [1.5, 2], "b": [3, 4]}, {}),
        ({"b": [3, 4], "id": ["x", "y"], "a": [1.5, 2]}, {"columns": ("a", "b")}),
        ({"x": [[1.5, 3], [2, 4]]}, {}),
        ({"x": [[1.5, 3], [2, 4]], "id": [1, 2]}, {}),
        ({"pixels": pa.array([[1.5, 3], [2, 4]], pa.list_(pa.float32(), 2))}, {}),
        ({"id": [1, 2], "pixels": pa.array([[1.5, 3], [2, 4]], pa.large_list(pa.float64()))}, {"columns": ("pixels",)}),
        ({"a": pa.array([1.5, 2], pa.float16()), "b": pa.array([3, 4], pa.uint8())}, {}),
        ({"a": pa.array([decimal.Decimal("1.5"), decimal.Decimal(2)]), "b": [3, 4]}, {}),
        ({"a": pa.array([1.5, 2]).dictionary_encode(), "b": [3, 4]}, {}),
    ],
)
def test_columns_become_the_only_input(tmp_path, columns, options):
    service = open_service(tmp_path / "bundle", "fp32")
    rows, rejects = _rows(service, columns, **options)
    assert not rejects
    assert [row["y"] for row in rows] == [[1.5, 3], [2, 4]]


def test_columns_of_several_inputs(tmp_path):
    service = open_service(tmp_path / "bundle", "two_inputs")
    columns = {"right.0": [1, 2], "right.1": [3, 4], "in/left:0": [[1, 1], [2, 2]], "more": [None, None]}
    assert [row["sum/of:both"] for row in _rows(service, columns)[0]] == [[2, 4], [4, 6]]
    columns = {"right[0]": [1, 2], "in/left:0": [[1], [2]]}
    assert [row["sum/of:both"] for row in _rows(service, columns)[0]] == [[2], [4]]
    with pytest.raises(InputError, match="lacks the column \"right\", which the model takes; it has 'in/left:0', 'z'"):
        _rows(service, {"in/left:0": [[1]], "z": [1]})


def test_every_type(tmp_path):
    service = open_service(tmp_path / "bundle", "every_type")
    columns = {"f": [0.5, 1], "i": [1, 2], "s": ["a", "é"], "h": [1, 2], "b": [True, False]}
    assert _rows(service, columns)[0] == [
        {"row": 0, "F": 0.5, "I": 1, "S": "a", "H": 1, "B": True},
        {"row": 1, "F": 1, "I": 2, "S": "é", "H": 2, "B": False},
    ]


def test_rows_that_do_not_fit_are_rejects(tmp_path):
    service = open_service(tmp_path / "bundle", "fp32")
    columns = {"a": [1.0, None, 2, float("nan"), 1e300, 3], "b": [1.0] * 6}
    rows, rejects = _rows(service, columns)
    assert [row["row"] for row in rows] == [0, 2, 3, 5]
    assert rejects[1] == {"row": 1, "reason": 'Column "a" is null, expected a value.', "record": '{"a":null,"b":1.0}'}
    assert "element 0 is 1e+300, which FP32 cannot hold" in rejects[4]["reason"]


def test_lists_of_other_lengths(tmp_path):
    lists = [[1, 2], [1, 2, 3], [3, 4], None, [5, None], []]
    rows, rejects = _rows(open_service(tmp_path / "fixed", "fp32"), {"x": lists})
    assert [row["y"] for row in rows] == [[1, 2], [3, 4]]
    assert rejects[1]["reason"] == 'Column "x" holds a list of shape [3], expected [2].'
    assert rejects.keys() == {1, 3, 4, 5}
    open_axis = open_service(tmp_path / "open", "two_inputs")
    columns = {"in/left:0": [[1], [1, 2], [3, 4]], "right": [[1], [1, 1], [1, 1]]}
    assert [row["sum/of:both"] for row in _rows(open_axis, columns)[0]] == [[2], [2, 3], [4, 5]]


@pytest.mark.parametrize(
    "values",
    [["a", "b"], [dt.datetime(2026, 1, 1, tzinfo=dt.UTC), None], [{"z": 1}, {"z": 2}]],
    ids=["text", "time", "struct"],
)
def test_columns_that_hold_no_numbers(tmp_path, values):
    service = open_service(tmp_path / "bundle", "fp32")
    with pytest.raises(InputError, match=r"Column \"a\" holds .*, not what input 'x' of FP32 takes"):
        _rows(service, {"a": values, "b": [1.0, 2.0]})


def test_a_column_of_nulls(tmp_path):
    rows, rejects = _rows(open_service(tmp_path / "bundle", "fp32"), {"a": [None, None], "b": [1.0, 2.0]})
    assert not rows
    assert rejects[1]["record"] == '{"a":null,"b":2.0}'


def test_chunks_go_through_row_groups_and_a_job_goes_on_anywhere(tmp_path):
    service = open_service(tmp_path / "bundle", "fp32")
    numbers = np.arange(1000.0)
    data = _parquet({"a": numbers, "unused": ["long text" * 9] * 1000, "b": -numbers}, row_group_size=300)
    options = Options(columns=("a", "b"))
    form = open_format("x", data, Signature.of(service, options.columns), options)
    chunks = list(form.chunks(BytesIO(data), Position(), Sizes(rows=70)))
    assert sum(chunk.records for chunk in chunks) == 1000
    assert max(chunk.records for chunk in chunks) == 70
    found = np.concatenate([form.rows(chunk).columns["x"] for chunk in chunks])
    assert np.array_equal(found, np.stack([numbers, -numbers], 1))
    for chunk in chunks:
        rest = list(form.chunks(BytesIO(data), chunk.end, Sizes(rows=70)))
        numbers_left = [number for part in rest for number in form.rows(part).numbers.tolist()]
        assert numbers_left == list(range(chunk.end.row, 1000))


def test_large_row_groups_are_read_in_parts(tmp_path):
    service = open_service(tmp_path / "bundle", "fp64")
    numbers = np.random.default_rng(0).random((2, 3_000_000))
    data = _parquet({"a": numbers[0], "b": numbers[1]}, row_group_size=3_000_000, use_dictionary=False)
    longest = 0

    class Watched(BytesIO):
        def read(self, size=-1, /):
            nonlocal longest
            longest = max(longest, size)
            return super().read(size)

    form = open_format("x.parquet", data, Signature.of(service), Options())
    rows = (form.rows(chunk) for chunk in form.chunks(Watched(data), Position(2_950_000, 2_950_000), Sizes()))
    assert np.array_equal(np.concatenate([part.columns["x"] for part in rows]), numbers[:, 2_950_000:].T)
    assert longest < 2 << 20


def test_chunks_are_small_however_large_rows_are(tmp_path):
    service = open_service(tmp_path / "bundle", "scalar", "def preprocess(request):\n    return {'x': 1}\n")
    texts = ["a" * 100] * 50 + ["b" * 100_000] * 10 + ["c" * 1_000_000] + ["d"]
    data = _parquet({"t": texts}, row_group_size=100)
    form = open_format("x", data, Signature.of(service), Options())
    chunks = list(form.chunks(BytesIO(data), Position(), Sizes(bytes=200_000, record_bytes=500_000)))
    assert max(len(chunk.data) for chunk in chunks) < 500_000
    assert [chunk.first for chunk in chunks if chunk.reason] == [60]
    rows, rejects = _rows(service, data, Sizes(bytes=200_000, record_bytes=500_000))
    assert len(rows) == 61
    assert rejects[60]["reason"] == "The record is over 500000 bytes long, which is more than is read as one."


def test_small_rows_are_never_too_long_together(tmp_path):
    service = open_service(tmp_path / "bundle", "fp32")
    rows, _ = _rows(service, {"a": np.arange(50.0), "b": np.arange(50.0)}, Sizes(record_bytes=100))
    assert len(rows) == 50


def test_no_rows(tmp_path):
    service = open_service(tmp_path / "bundle", "fp32")
    assert _rows(service, {"a": pa.array([], pa.float32()), "b": pa.array([], pa.float32())}) == ([], {})


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"a,b\n1,2\n"])
def test_what_is_no_parquet(tmp_path, data):
    service = open_service(tmp_path / "bundle", "fp32")
    with pytest.raises(InputError, match="no Parquet that can be read"):
        _rows(service, data)


def test_a_damaged_page_ends_the_input_behind_what_is_sound(tmp_path):
    service = open_service(tmp_path / "bundle", "int64", "def preprocess(request):\n    return {'x': [[0, 0]]}\n")
    data = bytearray(_parquet({"x": np.arange(3000)}, row_group_size=1000, compression="zstd", use_dictionary=False))
    place = pq.ParquetFile(BytesIO(data)).metadata.row_group(2).column(0).data_page_offset
    data[place + 40 : place + 400] = bytes(360)
    form = open_format("x", bytes(data), Signature.of(service), Options())
    read = []
    with pytest.raises(InputError, match="no Parquet that can be read"):
        read.extend(chunk.records for chunk in form.chunks(BytesIO(bytes(data)), Position(), Sizes()))
    assert read == [1000, 1000]


def test_columns_that_are_not_there(tmp_path):
    service = open_service(tmp_path / "bundle", "fp32")
    with pytest.raises(InputError, match='lacks the column "c"'):
        _rows(service, {"a": [1.0], "b": [1.0]}, columns=("a", "c"))
    with pytest.raises(BatchError, match="3 columns, but one record of input 'x' has shape"):
        _rows(service, {"a": [1.0], "b": [1.0], "c": [1.0]})


def test_trouble_with_the_store_is_none_of_the_file(tmp_path):
    class Gone(BytesIO):
        def read(self, size=-1, /):
            raise failure

        def seek(self, offset, whence=0, /):
            return super().seek(offset, whence)

    service = open_service(tmp_path / "bundle", "fp32")
    form = open_format("x.parquet", b"", Signature.of(service), Options())
    for failure in (StoreError("The bucket is closed."), TimeoutError(110, "Connection timed out")):
        with pytest.raises(type(failure)):
            next(form.chunks(Gone(_parquet({"a": [1.0], "b": [1.0]})), Position(), Sizes()))


def test_preprocess_gets_a_row_as_json(tmp_path):
    hooks = "def preprocess(request):\n    d = request.json()\n    return {'x': [[len(str(d['t'])), d['n'] or 0]]}\n"
    service = open_service(tmp_path / "bundle", "fp32", hooks)
    columns = {"t": ["abc", "é"], "n": [1, None], "when": [dt.date(2026, 1, 1)] * 2, "raw": [b"\xff", b""]}
    assert [row["y"] for row in _rows(service, columns)[0]] == [[3, 1], [1, 0]]
