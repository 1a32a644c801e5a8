import json
from io import BytesIO, RawIOBase

import numpy as np
import pytest

from coldpress_runtime.batch.chunks import Position, Sizes
from coldpress_runtime.batch.features import Signature
from coldpress_runtime.batch.formats import open_format
from coldpress_runtime.batch.npy_format import NpyFormat
from coldpress_runtime.batch.options import Options
from coldpress_runtime.errors import InputError
from tests.support.scoring import lines_of, score_bytes
from tests.support.tiny import open_service


def _npy(array):
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()


def _npz(save=np.savez, **arrays):
    file = BytesIO()
    save(file, **arrays)
    return file.getvalue()


def _rows(service, name, data, sizes=None, **options):
    parts = score_bytes(service, name, data, sizes, **options)
    rows = [row for part in parts for row in lines_of(part.output)]
    rejects = {row["row"]: row for part in parts for row in lines_of(part.rejects)}
    assert sorted([*(row["row"] for row in rows), *rejects]) == list(range(len(rows) + len(rejects)))
    return rows, rejects


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4", "f2", "i8", "u1", "?"])
def test_an_array_is_scored_item_by_item(tmp_path, dtype):
    service = open_service(tmp_path / "bundle", "fp32")
    array = np.array([[0, 1], [1, 0], [1, 1]], dtype)
    rows, rejects = _rows(service, "x.npy", _npy(array), Sizes(rows=2))
    assert not rejects
    assert [row["y"] for row in rows] == array.astype(float).tolist()


def test_numbers_that_do_not_fit_are_rejects(tmp_path):
    service = open_service(tmp_path / "bundle", "uint8")
    array = np.array([[0, 255], [0.5, 1], [256, 1], [1, 2], [np.nan, 1], [1, -1], [1, 2.0**70]])
    rows, rejects = _rows(service, "x.npy", _npy(array))
    assert [row["y"] for row in rows] == [[0, 255], [1, 2]]
    assert rejects.keys() == {1, 2, 4, 5, 6}
    assert rejects[1]["reason"] == "Input 'x' is UINT8: element 0 is 0.5, which UINT8 cannot hold."
    assert json.loads(rejects[5]["record"]) == {"x": [1, -1]}


def test_floats_that_would_become_infinite_are_rejects_and_infinities_are_values(tmp_path):
    service = open_service(tmp_path / "bundle", "fp16")
    rows, rejects = _rows(service, "x.npy", _npy(np.array([[70000.0, 1], [np.inf, np.nan], [65504, 1]])))
    assert [row["y"] for row in rows] == [["Infinity", "NaN"], [65504, 1]]
    assert rejects.keys() == {0}


@pytest.mark.parametrize(("model", "good", "bad"), [("bf16", [1.5, 2], [1, 3e39]), ("bool", [0, 1], [0, 2])])
def test_other_types(tmp_path, model, good, bad):
    service = open_service(tmp_path / "bundle", model)
    rows, rejects = _rows(service, "x.npy", _npy(np.array([good, bad, good])))
    assert [row["y"] for row in rows] == [good, good]
    assert rejects.keys() == {1}


@pytest.mark.parametrize("kind", ["U", "S"])
def test_texts(tmp_path, kind):
    service = open_service(tmp_path / "bundle", "bytes")
    rows, _ = _rows(service, "x.npy", _npy(np.array([["a", "bc"], ["d", ""]], kind)))
    assert [row["y"] for row in rows] == [["a", "bc"], ["d", ""]]


def test_a_job_goes_on_where_it_was(tmp_path):
    service = open_service(tmp_path / "bundle", "fp32")
    data = _npy(np.arange(20, dtype=np.float32).reshape(10, 2))
    form = NpyFormat(Signature.of(service), data)
    chunks = list(form.chunks(BytesIO(data), Position(), Sizes(rows=3)))
    assert [chunk.records for chunk in chunks] == [3, 3, 3, 1]
    end = chunks[1].end
    rest = list(form.chunks(BytesIO(data[end.offset :]), end, Sizes(rows=3)))
    assert rest == chunks[2:]


def test_a_file_that_ends_too_soon(tmp_path):
    service = open_service(tmp_path / "bundle", "fp32")
    data = _npy(np.arange(20, dtype=np.float32).reshape(10, 2))[:-20]
    form = NpyFormat(Signature.of(service), data)
    found = []
    with pytest.raises(InputError, match="The file ends after 7 of 10 records"):
        found.extend(chunk.records for chunk in form.chunks(BytesIO(data), Position(), Sizes(rows=4)))
    assert found == [4, 3]


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((3, 3), "f4"), r"has shape \[3, 3\], expected \[\?, 2\] for input 'x'"),
        (np.zeros(3, "f4"), r"has shape \[3\], expected \[\?, 2\]"),
        (np.float32(1), "has no axes"),
        (np.asfortranarray(np.zeros((3, 2), "f4")), "lies column by column"),
        (np.array([[None, 1]], object), "save plain arrays"),
        (np.zeros(3, [("a", "f4")]), "save plain arrays"),
    ],
)
def test_arrays_that_the_model_does_not_take(tmp_path, array, reason):
    service = open_service(tmp_path / "bundle", "fp32")
    with pytest.raises(InputError, match=reason):
        _rows(service, "x.npy", _npy(array))


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x05\x00{'a'}", b"\x93NUMPY\x09\x00\x00\x00"])
def test_what_is_no_npy_file(tmp_path, data):
    service = open_service(tmp_path / "bundle", "fp32")
    with pytest.raises(InputError, match=r"no \.npy array that can be read"):
        _rows(service, "x.npy", data)


def test_texts_that_are_all_empty(tmp_path):
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<U0", "fortran_order": False, "shape": (3, 2)})
    service = open_service(tmp_path / "bundle", "bytes")
    assert [row["y"] for row in _rows(service, "x.npy", header.getvalue())[0]] == [["", ""]] * 3


def test_an_array_needs_a_model_of_one_input(tmp_path):
    service = open_service(tmp_path / "bundle", "two_inputs")
    with pytest.raises(InputError, match=r"use \.npz with an array for each"):
        _rows(service, "x.npy", _npy(np.zeros((1, 2), "f4")))
    with pytest.raises(InputError, match="columns names fields of tables"):
        _rows(open_service(tmp_path / "other", "fp32"), "x.npy", _npy(np.zeros((1, 2), "f4")), columns=("a", "b"))


def test_inputs_without_a_batch_axis(tmp_path):
    service = open_service(tmp_path / "bundle", "scalar")
    rows, _ = _rows(service, "x.npy", _npy(np.array([7, 8])))
    assert [row["y"] for row in rows] == [7, 8]


class _Raw(RawIOBase):
    """A file that returns a few bytes at a time, as a store's does at the end of a block."""

    def __init__(self, data):
        self._file = BytesIO(data)

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=0):
        return self._file.seek(offset, whence)

    def readinto(self, buffer):
        data = self._file.read(min(len(buffer), 100))
        buffer[: len(data)] = data
        return len(data)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_has_an_array_for_each_input(tmp_path, save):
    service = open_service(tmp_path / "bundle", "two_inputs")
    left = np.arange(20.0).reshape(10, 2)
    right = np.full((10, 2), 0.5, "f2")
    left[4, 1] = 1e300
    data = _npz(save, **{"in/left:0": left, "right": right, "labels": np.zeros(10)})
    rows, rejects = _rows(service, "a.npz", data, Sizes(rows=4))
    assert [row["sum/of:both"] for row in rows] == np.delete(left + right, 4, 0).tolist()
    assert rejects.keys() == {4}
    form = open_format("a.npz", data, Signature.of(service), Options())
    assert form.seeks
    chunks = list(form.chunks(_Raw(data), Position(), Sizes(rows=4)))
    assert [chunk.records for chunk in chunks] == [4, 4, 2]
    again = list(form.chunks(_Raw(data), chunks[0].end, Sizes(rows=4)))
    assert again == chunks[1:]


def test_the_only_array_of_npz_is_the_only_input(tmp_path):
    service = open_service(tmp_path / "bundle", "fp32")
    rows, _ = _rows(service, "a.npz", _npz(arr_0=np.ones((1, 2))))
    assert rows == [{"row": 0, "y": [1, 1]}]


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({}, "holds no array"),
        ({"right": np.zeros((1, 2))}, r"has the arrays \['right'\], but this model takes 'in/left:0', 'right'"),
        ({"right": np.zeros((1, 2)), "in/left:0": np.zeros((2, 2))}, "different numbers of records"),
        ({"right": np.zeros(1), "in/left:0": np.zeros((1, 2))}, r"Array 'right' has shape \[1\]"),
        ({"right": np.zeros((1, 2)), "in/left:0": np.array([["a", None]])}, "save plain arrays"),
    ],
)
def test_npz_files_that_the_model_does_not_take(tmp_path, arrays, reason):
    service = open_service(tmp_path / "bundle", "two_inputs")
    with pytest.raises(InputError, match=reason):
        _rows(service, "a.npz", _npz(**arrays))


def test_a_damaged_npz_file(tmp_path):
    service = open_service(tmp_path / "bundle", "fp32")
    data = _npz(np.savez_compressed, x=np.random.default_rng(0).random((500, 2)))
    for broken in (data[:-200], data[:300] + bytes(200) + data[500:]):
        with pytest.raises(InputError, match=r"no \.np[yz] (archive|array) that can be read"):
            _rows(service, "a.npz", broken)


def test_an_array_that_claims_too_much_is_not_held(tmp_path):
    service = open_service(tmp_path / "bundle", "scalar")
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": (1, 1 << 40)})
    hooks = "def preprocess(request):\n    return {'x': 0}\n"
    service = open_service(tmp_path / "hooked", "scalar", hooks)
    with pytest.raises(InputError, match="at most 16777216 are read as one"):
        _rows(service, "x.npy", header.getvalue() + bytes(100))


def test_preprocess_gets_json(tmp_path):
    hooks = (
        "def preprocess(request):\n    d = request.json()\n"
        "    return {'x': [d if type(d) is list else [d['a'], d['b'][0]]]}\n"
    )
    service = open_service(tmp_path / "bundle", "fp32", hooks)
    assert _rows(service, "x.npy", _npy(np.array([[1, 2], [3, 4]])))[0][1] == {"row": 1, "y": [3, 4]}
    data = _npz(a=np.array([1, 2]), b=np.array([[3], [4]]))
    assert _rows(service, "x.npz", data)[0] == [{"row": 0, "y": [1, 3]}, {"row": 1, "y": [2, 4]}]
