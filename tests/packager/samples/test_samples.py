import json

import numpy as np
import pytest

from coldpress.errors import SamplesError
from coldpress.samples.load import load_samples
from coldpress.signature import Port, Signature

_NAMES = {"FP32": "float32", "INT64": "int64", "INT32": "int32", "BYTES": "object", "BOOL": "bool", "FP16": "float16"}


def signature(**inputs):
    """Inputs as `name="FP32 N 64"`; `?` is an unknown dimension, a lone `*` an unknown rank."""
    ports = []
    for name, text in inputs.items():
        datatype, *dims = text.split()
        shape = None if dims == ["*"] else tuple(int(d) if d.isdigit() else None if d == "?" else d for d in dims)
        ports.append(Port(name, "tensor", "tensor", datatype, _NAMES[datatype], shape))
    return Signature(tuple(ports), ())


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        path = tmp_path / "samples.npz"
        np.savez(path, **arrays)
        return path

    return write


@pytest.fixture
def jsonl(tmp_path):
    def write(*rows):
        path = tmp_path / "samples.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


def test_rows_along_the_batch_dimension_become_requests_of_one_row(npz):
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    got = load_samples(npz(x=x, label=np.array([2, 0, 1])), signature(x="FP32 N 4"))
    assert [r["x"].tolist() for r in got.requests] == [[row] for row in x.tolist()]
    assert got.labels.tolist() == [2, 0, 1]
    assert got.origin == "samples.npz"
    assert got.assumed == ()


def test_an_input_called_label_is_an_input(npz):
    got = load_samples(npz(label=np.zeros((2, 3), np.float32)), signature(label="FP32 N 3"))
    assert got.labels is None
    assert len(got.requests) == 2


def test_a_stack_of_whole_inputs_is_cut_along_the_extra_dimension(npz):
    got = load_samples(npz(x=np.zeros((5, 2, 3, 3), np.float32)), signature(x="FP32 2 3 3"))
    assert [r["x"].shape for r in got.requests] == [(2, 3, 3)] * 5


def test_a_fixed_batch_of_one_is_cut_and_a_fixed_batch_of_four_in_fours(npz):
    got = load_samples(npz(x=np.zeros((6, 3), np.float32)), signature(x="FP32 1 3"))
    assert [r["x"].shape for r in got.requests] == [(1, 3)] * 6
    got = load_samples(npz(x=np.zeros((8, 3), np.float32), label=np.arange(8)), signature(x="FP32 4 3"))
    assert [r["x"].shape for r in got.requests] == [(4, 3)] * 2
    assert got.labels.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_the_batch_is_found_on_another_axis_by_its_symbol_or_its_length(npz):
    arrays = {"x": np.zeros((3, 8), np.float32), "state": np.zeros((2, 3, 5), np.float32), "sr": np.int64(16000)}
    for inputs in (
        {"x": "FP32 N S", "state": "FP32 2 N 5", "sr": "INT64"},
        {"x": "FP32 ? ?", "state": "FP32 2 ? 5", "sr": "INT64"},
    ):
        got = load_samples(npz(**arrays), signature(**inputs))
        assert [{k: v.shape for k, v in r.items()} for r in got.requests] == [
            {"x": (1, 8), "state": (2, 1, 5), "sr": ()}
        ] * 3


def test_the_arrays_of_a_graph_are_one_request(npz):
    got = load_samples(
        npz(x=np.zeros((5, 7), np.float32), edges=np.zeros((2, 9), np.int64)),
        signature(x="FP32 nodes 7", edges="INT64 2 edges"),
    )
    assert [{k: v.shape for k, v in r.items()} for r in got.requests] == [{"x": (5, 7), "edges": (2, 9)}]


def test_floats_and_whole_numbers_are_brought_to_the_inputs_own_width(npz):
    got = load_samples(npz(x=np.ones((2, 3)), i=np.ones((2, 1), np.int64)), signature(x="FP32 N 3", i="INT32 N 1"))
    assert {k: v.dtype.name for k, v in got.requests[0].items()} == {"x": "float32", "i": "int32"}


def test_lines_of_json_come_with_or_without_their_batch_dimension(jsonl):
    path = jsonl({"x": [1.5, 2], "s": ["é"], "label": 1}, {"x": [[3, 4]], "s": [["b"]], "label": 0})
    got = load_samples(path, signature(x="FP32 N 2", s="BYTES N 1"))
    assert [r["x"].tolist() for r in got.requests] == [[[1.5, 2]], [[3, 4]]]
    assert [r["s"].tolist() for r in got.requests] == [[["é"]], [["b"]]]
    assert got.requests[0]["s"].dtype == object
    assert got.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("arrays", "inputs", "words"),
    [
        ({"y": np.ones(3)}, {"x": "FP32 N 3"}, ["'x'", "missing"]),
        ({"x": np.ones((1, 3)), "y": np.ones(3)}, {"x": "FP32 N 3"}, ["'y'", "no input"]),
        ({"x": np.ones((2, 4))}, {"x": "FP32 N 3"}, ["'x'", "[1, 4]", "FP32 [N, 3]"]),
        ({"x": np.ones(3)}, {"x": "FP32 N 3"}, ["'x'", "[3]", "FP32 [N, 3]"]),
        ({"x": np.ones((1, 3))}, {"x": "INT64 N 3"}, ["'x'", "float64", "INT64 [N, 3]"]),
        ({"x": np.array([["a"]])}, {"x": "FP32 N 1"}, ["'x'", "FP32"]),
        ({"x": np.full((1, 1), 1 << 40)}, {"x": "INT32 N 1"}, ["'x'", "1099511627776", "INT32"]),
        ({"x": np.full((1, 1), 1e9)}, {"x": "FP16 N 1"}, ["'x'", "too large", "FP16"]),
        ({"x": np.ones((0, 3))}, {"x": "FP32 N 3"}, ["'x'", "[0, 3]"]),
        ({"x": np.ones((2, 3)), "y": np.ones((3, 1, 3))}, {"x": "FP32 N 3", "y": "FP32 1 3"}, ["x 2", "y 3"]),
        ({"x": np.ones((3, 3)), "label": np.ones(2)}, {"x": "FP32 N 3"}, ["'label'", "[2]", "3 requests"]),
    ],
)
def test_arrays_that_do_not_match_name_the_input_what_came_and_what_was_expected(npz, arrays, inputs, words):
    with pytest.raises(SamplesError) as caught:
        load_samples(npz(**arrays), signature(**inputs))
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"x": [1, 2]}], ["line 1", "'x'", "[1, 2]", "FP32 [N, 3]"]),
        ([{"x": [1, 2, 3]}, {"y": 1}], ["line 2", "'x'", "missing"]),
        ([{"x": [[1, 2], [3]]}], ["line 1", "ragged"]),
        ([{"x": None}], ["line 1", "'x'"]),
        ([[1, 2]], ["line 1", "list", "object"]),
        ([], ["no samples"]),
        ([{"x": [1, 2, 3], "label": 1}, {"x": [1, 2, 3]}], ["label", "1 of 2"]),
    ],
)
def test_lines_that_do_not_match_say_which_line(jsonl, rows, words):
    with pytest.raises(SamplesError) as caught:
        load_samples(jsonl(*rows), signature(x="FP32 N 3"))
    assert [word for word in words if word not in str(caught.value)] == []


def test_pickled_objects_are_refused_and_not_run(npz, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "boom"), "w"))

    with pytest.raises(SamplesError, match="'x' holds Python objects"):
        load_samples(npz(x=np.array([Bomb()], dtype=object)), signature(x="FP32 N"))
    assert not (tmp_path / "boom").exists()


def _port(kind):
    return Signature((Port("v", kind, kind.partition("(")[0], "", "", None),), ())


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("seq(tensor(float))", [[[1, 2]], [[3, 4]]], [np.float32([[1, 2]]), np.float32([[3, 4]])]),
        ("seq(tensor(string))", [["é"]], [np.array(["é"], object)]),
        ("optional(tensor(int64))", [7], np.int64([7])),
        ("optional(tensor(float))", None, None),
        ("optional(seq(tensor(float)))", [[1]], [np.float32([1])]),
        ("map(int64,float)", {"3": 0.5}, {3: 0.5}),
        ("map(string,float)", {"a": 0.5}, {"a": 0.5}),
    ],
)
def test_lines_hold_sequences_maps_and_optionals_as_the_model_takes_them(jsonl, kind, given, expected):
    (request,) = load_samples(jsonl({"v": given}), _port(kind)).requests
    np.testing.assert_equal(request["v"], expected)
    pairs = zip(request["v"], expected, strict=True) if kind.startswith("seq") else [(request["v"], expected)]
    assert all(getattr(a, "dtype", None) == getattr(b, "dtype", None) for a, b in pairs)


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        ("seq(tensor(float))", 3, "'v' holds a int where seq"),
        ("seq(tensor(float))", [[1, [2]]], "'v' is ragged"),
        ("seq(tensor(int64))", [["a"]], "'v' came as <U1; expected INT64"),
        ("map(int64,float)", {"a": 1}, "keys that are no whole numbers"),
    ],
)
def test_lines_with_other_kinds_of_values_say_so(jsonl, kind, given, words):
    with pytest.raises(SamplesError, match=words):
        load_samples(jsonl({"v": given}), _port(kind))


@pytest.mark.parametrize("name", ["samples.npz", "samples.jsonl"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"\xff\xfe{}", b"[" * 100_000])
def test_damaged_files_are_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SamplesError, match="samples"):
        load_samples(tmp_path / name, signature(x="FP32 N 3"))


def test_missing_files_and_other_kinds_are_refused(tmp_path):
    with pytest.raises(SamplesError, match="no sample file"):
        load_samples(tmp_path / "none.npz", signature(x="FP32 N"))
    (tmp_path / "a.csv").write_text("1,2\n")
    with pytest.raises(SamplesError, match="neither"):
        load_samples(tmp_path / "a.csv", signature(x="FP32 N"))


def test_an_archive_that_unpacks_to_more_than_the_limit_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("coldpress.samples.files.MAX_BYTES", 1 << 20)
    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros((1 << 20, 3), np.float32))
    assert (tmp_path / "bomb.npz").stat().st_size < 1 << 20
    with pytest.raises(SamplesError, match="unpacks to"):
        load_samples(tmp_path / "bomb.npz", signature(x="FP32 N 3"))
