from io import BytesIO

import numpy as np
import pyarrow.parquet as pq
import pytest

from coldpress_runtime.batch.job import Job, Outcome
from coldpress_runtime.batch.layout import Layout, Model
from coldpress_runtime.batch.options import Options
from coldpress_runtime.batch.stores import Stat, open_store
from coldpress_runtime.batch.tables import convert, write_table
from coldpress_runtime.batch.writers import JsonLinesWriter, json_texts
from coldpress_runtime.errors import BatchError
from coldpress_runtime.signature import ValueInfo
from coldpress_runtime.tensor import DTYPES, Tensor
from tests.support.scoring import score_bytes
from tests.support.tiny import open_service


@pytest.fixture
def store(tmp_path):
    (tmp_path / "store").mkdir()
    return open_store(str(tmp_path / "store" / "scores.jsonl"))[0]


def _converted(store, kind, lines, outputs):
    store.put("scores.jsonl", lines)
    convert(store, store.stat("scores.jsonl"), "table", kind, outputs)
    found = store.stat("table")
    return BytesIO(store.read("table", 0, found.size, found.version))


_LINES = '{"f":1.5,"i":-7,"s":"naïve","h":"NaN","b":true}\n{"f":"-Infinity","i":2,"s":"x","h":0.1,"b":false}\n'.encode()


@pytest.fixture
def scored(tmp_path):
    service = open_service(tmp_path / "bundle", "every_type")
    (part,) = score_bytes(service, "x.jsonl", _LINES)
    assert part.scored == 2
    return part.output, service.session.outputs


def test_parquet_has_the_types_of_the_model(store, scored):
    table = pq.read_table(_converted(store, "parquet", *scored))
    assert [(field.name, str(field.type)) for field in table.schema] == [
        ("row", "int64"), ("F", "float"), ("I", "int64"), ("S", "string"), ("H", "halffloat"), ("B", "bool"),
    ]  # fmt: skip
    rows = table.to_pylist()
    assert rows[0]["S"] == "naïve"
    assert np.isnan(rows[0]["H"])
    assert rows[1] == {"row": 1, "F": -np.inf, "I": 2, "S": "x", "H": np.float16(0.1), "B": False}


def test_npz_has_an_array_for_each_output(store, scored):
    with np.load(_converted(store, "npy", *scored), allow_pickle=False) as arrays:
        assert {name: (array.dtype.name, array.shape) for name, array in arrays.items()} == {
            "row": ("int64", (2,)), "F": ("float32", (2,)), "I": ("int64", (2,)), "S": ("str160", (2,)),
            "H": ("float16", (2,)), "B": ("bool", (2,)),
        }  # fmt: skip
        assert arrays["S"].tolist() == ["naïve", "x"]
        assert np.isnan(arrays["H"][0])
        assert arrays["F"].tolist() == [1.5, -np.inf]


def _tensor(name, dtype, shape):
    return ValueInfo(name, "tensor", DTYPES[dtype], shape)


def test_numbers_are_the_same_to_the_bit_through_many_blocks(store):
    numbers = np.random.default_rng(0).standard_normal((60_000, 2, 3)).astype(np.float32)
    infos = [_tensor("y", "FP32", ("n", 2, 3))]
    rows = np.delete(np.arange(60_001), 7)
    lines = JsonLinesWriter(infos).rows(rows, [json_texts(Tensor.from_numpy(numbers), infos[0])])
    assert len(lines) > 4 << 20
    with np.load(_converted(store, "npy", lines, infos)) as arrays:
        assert np.array_equal(arrays["y"], numbers)
        assert np.array_equal(arrays["row"], rows)
    store.delete("table")
    file = pq.ParquetFile(_converted(store, "parquet", lines, infos))
    table = file.read()
    assert np.array_equal(np.array(table["y"].to_pylist(), np.float32), numbers)
    assert np.array_equal(table["row"].to_numpy(), rows)


def test_what_is_no_tensor_is_text(store):
    infos = [ValueInfo("maps", "sequence"), _tensor("z", "COMPLEX64", ("n",)), _tensor("t", "BYTES", ("n", 2))]
    lines = (
        b'{"row":0,"maps":{"1":0.5},"z":[1.0,2.0],"t":["a",{"b64":"/w=="}]}\n'
        b'{"row":1,"maps":null,"z":[0,0],"t":["",""]}\n'
    )
    rows = pq.read_table(_converted(store, "parquet", lines, infos)).to_pylist()
    assert rows[0] == {"row": 0, "maps": '{"1":0.5}', "z": "[1.0,2.0]", "t": ["a", '{"b64":"/w=="}']}
    store.delete("table")
    with np.load(_converted(store, "npy", lines, infos)) as arrays:
        assert arrays["maps"].tolist() == ['{"1":0.5}', "null"]
        assert arrays["t"].tolist() == [["a", '{"b64":"/w=="}'], ["", ""]]


@pytest.mark.parametrize("kind", ["parquet", "npy"])
def test_rows_of_postprocess_are_texts(store, kind):
    lines = b'{"row":0,"file":"a.png","n":1}\n{"row":2,"file":"b.png","result":[1,2]}\n'
    file = _converted(store, kind, lines, ())
    if kind == "parquet":
        assert pq.read_table(file).to_pylist() == [
            {"row": 0, "file": "a.png", "result": '{"n":1}'},
            {"row": 2, "file": "b.png", "result": "[1,2]"},
        ]
    else:
        with np.load(file) as arrays:
            assert arrays["file"].tolist() == ["a.png", "b.png"]
            assert arrays["result"].tolist() == ['{"n":1}', "[1,2]"]


@pytest.mark.parametrize("kind", ["parquet", "npy"])
def test_no_rows_are_an_empty_table(store, kind):
    infos = [_tensor("y", "FP32", ("n", 2))]
    file = _converted(store, kind, b"", infos)
    if kind == "parquet":
        assert str(pq.read_schema(file)) == "row: int64\ny: list<element: float>\n  child 0, element: float"
    else:
        with np.load(file) as arrays:
            assert (arrays["row"].shape, arrays["y"].dtype.name) == ((0,), "float32")


def test_rows_that_differ_in_shape_are_no_array(store):
    infos = [_tensor("y", "FP32", ("n", "m"))]
    for lines in (b'{"row":0,"y":[1]}\n{"row":1,"y":[1,2]}\n', b'{"row":0,"y":[[1],[1,2]]}\n'):
        with pytest.raises(BatchError, match='Rows of "y" differ in shape, which an array cannot; write parquet'):
            _converted(store, "npy", lines, infos)
    rows = pq.read_table(_converted(store, "parquet", b'{"row":0,"y":[1]}\n{"row":1,"y":[1,2]}\n', infos)).to_pylist()
    assert [row["y"] for row in rows] == [[1], [1, 2]]


@pytest.mark.parametrize("kind", ["parquet", "npy"])
def test_whoever_converts_again_changes_nothing(store, kind, scored):
    first = _converted(store, kind, *scored).getvalue()
    before = store.stat("table")
    convert(store, store.stat("scores.jsonl"), "table", kind, scored[1])
    assert store.stat("table") == before
    assert store.read("table", 0, before.size, before.version) == first


@pytest.mark.parametrize(("kind", "extension"), [("parquet", "parquet"), ("npy", "npz")])
def test_a_job_that_is_done_gets_the_table_that_was_asked_for(store, scored, kind, extension):
    lines, outputs = scored
    store.put("out/scores.jsonl", lines)
    options = Options(output_format=kind)
    layout = Layout(store, "job", "out/scores.jsonl", "out/rejects.jsonl", "out/manifest.json", "out/checkpoint")
    job = Job(store, Stat("in", 1, "1"), "in", layout, Model("m", "1", "0" * 64), options, lambda _stream: None)
    assert write_table(job, Outcome("unfinished", {}), outputs) == ""
    assert store.stat(f"out/scores.{extension}") is None
    key = write_table(job, Outcome("done", {}), outputs)
    assert key == f"out/scores.{extension}"
    before = store.stat(key)
    assert write_table(job, Outcome("already-done", {}), outputs) == key
    assert store.stat(key) == before
    assert write_table(job._replace(options=Options()), Outcome("done", {}), outputs) == ""


def test_only_the_outputs_that_were_written(store, tmp_path):
    service = open_service(tmp_path / "bundle", "every_type")
    options = Options(output_format="parquet", outputs=("S", "F"))
    (part,) = score_bytes(service, "x.jsonl", _LINES, outputs=options.outputs)
    store.put("scores.jsonl", part.output)
    layout = Layout(store, "job", "scores.jsonl", "r", "m", "c")
    job = Job(store, Stat("in", 1, "1"), "in", layout, Model("m", "1", "0" * 64), options, lambda _stream: None)
    key = write_table(job, Outcome("done", {}), service.session.outputs)
    found = store.stat(key)
    assert pq.read_table(BytesIO(store.read(key, 0, found.size, found.version))).column_names == ["row", "S", "F"]
