"""Reading and writing models: what is refused and in which words, and what external data may and may not do."""

import gzip
import io
import json
import os
import pickle
import zipfile

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from coldpress.errors import ModelError
from coldpress.model import external_data
from coldpress.model import files as model_module
from coldpress.model.files import MAX_IR, MAX_OPSET, check_runs, model_files, read_model, write_model
from tests.support.graphs import answers, graph, model, node, same_bits, tensor, value

X = np.arange(6, dtype=np.float32).reshape(2, 3)
GOOD = model([node("Add", ["x", "w"], ["y"])], weights=[tensor("w", X)])


def refused(path):
    with pytest.raises(ModelError) as caught:
        read_model(path)
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    return text


def put(tmp_path, data, name="m.onnx"):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.SerializeToString())
    return path


def external(location, *, length=24, offset=0, extra=True, shape=(2, 3)):
    """GOOD with its weight outside."""
    made = onnx.ModelProto()
    made.CopyFrom(GOOD)
    weight = made.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.dims[:] = shape
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    if extra:
        weight.external_data.add(key="offset", value=str(offset))
        weight.external_data.add(key="length", value=str(length))
    return made


def test_a_good_model_is_read_as_it_is(tmp_path):
    assert read_model(put(tmp_path, GOOD)) == GOOD


def test_a_path_may_be_text(tmp_path):
    assert read_model(str(put(tmp_path, GOOD))) == GOOD


def _zip(*names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return stream.getvalue()


def _safetensors():
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return len(header).to_bytes(8, "little") + header + b"\0\0\0\0"


FOREIGN = {
    "torch zip": (_zip("archive/data.pkl", "archive/data/0"), "PyTorch", "torch.onnx.export"),
    "torch pickle": (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x00.", "PyTorch", "torch.onnx.export"),
    "pickle": (pickle.dumps({"a": [1, 2]}), "pickle", "skl2onnx"),
    "safetensors": (_safetensors(), "safetensors", "torch.onnx.export"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + b"\0" * 64, "Keras", "tf2onnx"),
    "keras": (_zip("config.json", "model.weights.h5"), "Keras", "model.export"),
    "tflite": (b"\x1c\0\0\0TFL3" + b"\0" * 64, "TensorFlow Lite", "--tflite"),
    "ort": (b"\x1c\0\0\0ORTM" + b"\0" * 64, "ORT format", ".onnx file"),
    "gguf": (b"GGUF\3\0\0\0" + b"\0" * 64, "GGUF", "optimum"),
    "npz": (_zip("a.npy"), "npz", "not data"),
    "zip": (_zip("readme.txt"), "zip archive", "unpack"),
    "gzip": (gzip.compress(b"x" * 100, mtime=0), "gzip", "gunzip"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n", "Git LFS pointer", "git lfs pull"),
    "html": (b"<!DOCTYPE html>\n<html><body>404</body></html>", "web page", "raw file"),
    "xml": (b"<?xml version='1.0'?><net/>", "XML", "ONNX"),
    "json": (b'{"learner": {}}', "JSON", "onnxmltools"),
    "lightgbm": (b"tree\nversion=v4\nnum_class=1\n", "LightGBM", "onnxmltools"),
    "text": (b"hello, world\n", "text", ".onnx file"),
    "noise": (bytes(range(255, 0, -1)), "not an ONNX model", "export"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_another_format_is_named_with_the_way_out(tmp_path, kind):
    data, what, advice = FOREIGN[kind]
    text = refused(put(tmp_path, data))
    assert what in text
    assert advice in text


def test_a_missing_file(tmp_path):
    assert "There is no file" in refused(tmp_path / "no.onnx")


def test_a_folder(tmp_path):
    assert "is a folder" in refused(tmp_path)
    put(tmp_path, GOOD, "inside.onnx")
    assert "inside.onnx" in refused(tmp_path)
    (tmp_path / "saved_model.pb").touch()
    assert "tf2onnx" in refused(tmp_path)


def test_an_empty_file(tmp_path):
    assert "is empty" in refused(put(tmp_path, b""))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "m.onnx")
    assert "not a regular file" in refused(tmp_path / "m.onnx")


def test_a_truncated_model(tmp_path):
    assert "breaks off" in refused(put(tmp_path, GOOD.SerializeToString()[:-10]))


def read_or_refused(path):
    """Read, or come away with one sentence; anything else is a failure of the test."""
    try:
        read_model(path)
    except ModelError as error:
        return str(error).count("\n") == 0
    return True


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(1, len(GOOD.SerializeToString()) - 1))
def test_a_model_cut_anywhere_is_refused_in_one_sentence_or_still_whole(tmp_path_factory, cut):
    assert read_or_refused(put(tmp_path_factory.mktemp("cut"), GOOD.SerializeToString()[:cut]))


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, len(GOOD.SerializeToString()) - 1), byte=st.integers(0, 255))
def test_a_flipped_byte_ends_in_a_model_or_in_one_sentence(tmp_path_factory, place, byte):
    data = bytearray(GOOD.SerializeToString())
    data[place] = byte
    assert read_or_refused(put(tmp_path_factory.mktemp("flip"), bytes(data)))


def test_a_model_without_a_graph(tmp_path):
    assert "without a graph" in refused(put(tmp_path, onnx.ModelProto(ir_version=8)))


def test_a_graph_without_outputs(tmp_path):
    made = onnx.ModelProto()
    made.CopyFrom(GOOD)
    del made.graph.output[:]
    assert "without outputs" in refused(put(tmp_path, made))


@pytest.mark.parametrize("domain", MAX_OPSET)
def test_a_newer_opset_is_refused_and_the_newest_is_read(tmp_path, domain):
    made = model([node("Relu", ["x"], ["y"])], domains=(("ai.onnx.ml", 3),))
    entry = next(entry for entry in made.opset_import if entry.domain == domain)
    entry.version = MAX_OPSET[domain]
    check_runs(put(tmp_path, made))
    read_model(tmp_path / "m.onnx")
    entry.version += 1
    assert f"opset {entry.version}" in refused(put(tmp_path, made))
    with pytest.raises(ModelError, match="under development"):
        check_runs(tmp_path / "m.onnx")


def test_a_newer_ir_version_is_refused_and_the_newest_is_read(tmp_path):
    made = model([node("Relu", ["x"], ["y"])], ir=MAX_IR)
    check_runs(put(tmp_path, made))
    read_model(tmp_path / "m.onnx")
    made.ir_version += 1
    assert f"IR version {MAX_IR + 1}" in refused(put(tmp_path, made))
    with pytest.raises(ModelError, match="cannot open"):
        check_runs(tmp_path / "m.onnx")


def test_a_model_without_operator_sets(tmp_path):
    made = onnx.ModelProto()
    made.CopyFrom(GOOD)
    del made.opset_import[:]
    assert "no operator set" in refused(put(tmp_path, made))


class TestSizes:
    def weight(self, **changes):
        made = onnx.ModelProto()
        made.CopyFrom(GOOD)
        for name, given_ in changes.items():
            if name == "dims":
                made.graph.initializer[0].dims[:] = given_
            else:
                setattr(made.graph.initializer[0], name, given_)
        return made

    def test_a_shape_of_more_than_the_data(self, tmp_path):
        text = refused(put(tmp_path, self.weight(dims=[100, 100])))
        assert "40000 bytes, and holds 24" in text

    def test_an_absurd_shape_is_not_allocated(self, tmp_path):
        assert "TiB" in refused(put(tmp_path, self.weight(dims=[2**40, 2**20])))

    def test_a_negative_dimension(self, tmp_path):
        assert "negative dimension -2" in refused(put(tmp_path, self.weight(dims=[-2, 3])))

    def test_an_unknown_element_type(self, tmp_path):
        assert "element type 99" in refused(put(tmp_path, self.weight(data_type=99)))

    def test_tensors_inside_branches_are_checked_too(self, tmp_path):
        inner = graph([node("Add", ["x", "w"], ["t"])], [], [value("t")], [tensor("w", X)])
        inner.initializer[0].dims[:] = [7, 7]
        made = model([node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)],
                     [value("x"), value("c", (), TensorProto.BOOL)])  # fmt: skip
        assert "[7, 7]" in refused(put(tmp_path, made))

    @pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1])
    def test_two_to_a_byte(self, tmp_path, kind):
        made = self.weight(data_type=kind, dims=[3], raw_data=b"\x21\x03")
        assert read_model(put(tmp_path, made)) == made


class TestExternalData:
    def data(self, tmp_path, size=24):
        (tmp_path / "w.bin").write_bytes(X.tobytes()[:size].ljust(size, b"\0"))

    def test_is_read_into_the_model(self, tmp_path):
        self.data(tmp_path)
        made = read_model(put(tmp_path, external("w.bin")))
        assert made == GOOD

    def test_without_offset_and_length(self, tmp_path):
        self.data(tmp_path)
        assert read_model(put(tmp_path, external("w.bin", extra=False))) == GOOD

    def test_in_a_folder_below(self, tmp_path):
        (tmp_path / "data").mkdir()
        self.data(tmp_path / "data")
        path = put(tmp_path, external("data/w.bin"))
        assert read_model(path) == GOOD
        assert model_files(path) == (path, tmp_path / "data" / "w.bin")

    def test_missing(self, tmp_path):
        assert "'w.bin', which is missing" in refused(put(tmp_path, external("w.bin")))

    def test_a_path_out_of_the_folder(self, tmp_path):
        self.data(tmp_path)
        (tmp_path / "model").mkdir()
        for location in ("../w.bin", str(tmp_path / "w.bin"), "a/../../w.bin", "..\\w.bin", "C:\\w.bin"):
            assert "outside the model's folder" in refused(put(tmp_path / "model", external(location)))

    def test_a_link_out_of_the_folder(self, tmp_path):
        self.data(tmp_path)
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "w.bin").symlink_to(tmp_path / "w.bin")
        assert "a link that leads outside" in refused(put(tmp_path / "model", external("w.bin")))

    def test_a_linked_folder_out_of_the_folder(self, tmp_path):
        (tmp_path / "model").mkdir()
        self.data(tmp_path)
        (tmp_path / "model" / "sub").symlink_to(tmp_path)
        assert "a link that leads outside" in refused(put(tmp_path / "model", external("sub/w.bin")))

    def test_a_download_cache_that_links_model_and_data_from_one_store(self, tmp_path):
        store, shown = tmp_path / "blobs", tmp_path / "snapshot"
        store.mkdir()
        shown.mkdir()
        self.data(store)
        put(store, external("w.bin"), "abc")
        (shown / "m.onnx").symlink_to(store / "abc")
        (shown / "w.bin").symlink_to(store / "w.bin")
        assert read_model(shown / "m.onnx") == GOOD

    def test_truncated(self, tmp_path):
        self.data(tmp_path, size=20)
        assert "ends at byte 24 of 'w.bin', which has 20" in refused(put(tmp_path, external("w.bin")))

    def test_an_offset_past_the_end(self, tmp_path):
        self.data(tmp_path)
        assert "truncated" in refused(put(tmp_path, external("w.bin", offset=10**12)))

    @pytest.mark.parametrize("offset", ["-4", "x", "1e3", "9" * 30, "٣"])
    def test_an_offset_that_is_no_size(self, tmp_path, offset):
        self.data(tmp_path)
        assert "no size" in refused(put(tmp_path, external("w.bin", offset=offset)))

    def test_a_length_unlike_the_shape(self, tmp_path):
        self.data(tmp_path)
        assert "gives length 20" in refused(put(tmp_path, external("w.bin", length=20)))

    def test_no_location(self, tmp_path):
        assert "names no file" in refused(put(tmp_path, external("")))

    def test_a_folder_in_place_of_the_file(self, tmp_path):
        (tmp_path / "w.bin").mkdir()
        assert "not a regular file" in refused(put(tmp_path, external("w.bin")))

    def test_a_pipe_in_place_of_the_file(self, tmp_path):
        os.mkfifo(tmp_path / "w.bin")
        assert "not a regular file" in refused(put(tmp_path, external("w.bin")))

    def test_an_absurd_shape_is_not_allocated(self, tmp_path):
        self.data(tmp_path)
        assert "truncated" in refused(put(tmp_path, external("w.bin", extra=False, shape=(2**18, 2**18))))


class TestWriting:
    def test_what_is_written_is_what_is_read(self, tmp_path):
        write_model(GOOD, tmp_path / "new" / "m.onnx")
        assert read_model(tmp_path / "new" / "m.onnx") == GOOD
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["m.onnx"]

    def test_the_bytes_are_the_same_every_time(self, tmp_path):
        for name in ("a", "b"):
            write_model(GOOD, tmp_path / name)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def test_a_failed_write_leaves_the_last_one(self, tmp_path):
        write_model(GOOD, tmp_path / "m.onnx")
        before = (tmp_path / "m.onnx").read_bytes()
        unreadable = external("w.bin")  # external to nobody knows where
        with pytest.raises(ModelError, match="unknown folder"):
            write_model(unreadable, tmp_path / "m.onnx")
        assert (tmp_path / "m.onnx").read_bytes() == before
        assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]

    def test_a_folder_in_the_way_is_said(self, tmp_path):
        (tmp_path / "m.onnx").mkdir()
        with pytest.raises(ModelError, match="could not be written"):
            write_model(GOOD, tmp_path / "m.onnx")


class TestLargeModels:
    """The limit of one protobuf message, lowered: external data then stays outside and travels along."""

    @pytest.fixture(autouse=True)
    def _small_limit(self, monkeypatch):
        monkeypatch.setattr(model_module, "INLINE_LIMIT", 2000)

    def make(self, tmp_path):
        rng = np.random.default_rng(0)
        big = {name: rng.normal(size=(3, 300)).astype(np.float32) for name in ("a", "b")}
        made = model(
            [node("MatMul", ["x", "a"], ["p"]), node("MatMul", ["x", "b"], ["q"]), node("Add", ["p", "q"], ["y"])],
            outputs=[value("y", (2, 300))],
            weights=[tensor(name, array) for name, array in big.items()],
        )
        folder = tmp_path / "source"
        folder.mkdir()
        saved = onnx.ModelProto()
        saved.CopyFrom(made)  # onnx.save moves the tensors out of the model it is given
        onnx.save(saved, folder / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0)
        return made, folder / "m.onnx"

    def test_external_data_travels_along(self, tmp_path):
        made, path = self.make(tmp_path)
        read = read_model(path)
        assert all(t.data_location == TensorProto.EXTERNAL for t in read.graph.initializer)
        write_model(read, tmp_path / "out" / "n.onnx")
        assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["n.onnx", "n.onnx.data"]
        assert str(tmp_path).encode() not in (tmp_path / "out" / "n.onnx").read_bytes()
        again = onnx.load(tmp_path / "out" / "n.onnx")
        assert same_bits(answers(again, {"x": X}), answers(made, {"x": X}))
        assert model_files(tmp_path / "out" / "n.onnx") == (
            tmp_path / "out" / "n.onnx",
            tmp_path / "out" / "n.onnx.data",
        )

    def test_weights_in_the_message_move_out_of_one_that_is_too_large(self, tmp_path):
        made, _ = self.make(tmp_path)
        before = made.SerializeToString()
        write_model(made, tmp_path / "n.onnx")
        assert made.SerializeToString() == before
        assert (tmp_path / "n.onnx").stat().st_size < 1000
        assert same_bits(answers(onnx.load(tmp_path / "n.onnx"), {"x": X}), answers(made, {"x": X}))

    def test_tensors_start_at_a_page(self, tmp_path):
        _, path = self.make(tmp_path)
        write_model(read_model(path), tmp_path / "n.onnx")
        held = onnx.load(tmp_path / "n.onnx", load_external_data=False)
        places = [external_data.external_of(t, tmp_path / "n.onnx") for t in held.graph.initializer]
        assert [place.offset % 4096 for place in places] == [0, 0]


class TestCheckRuns:
    def said(self, tmp_path, made):
        with pytest.raises(ModelError) as caught:
            check_runs(put(tmp_path, made))
        text = str(caught.value)
        assert str(tmp_path) not in text
        assert "onnxruntime_src" not in text
        assert "\n" not in text
        return text

    def test_a_good_model(self, tmp_path):
        check_runs(put(tmp_path, GOOD))

    def test_an_operator_of_another_library(self, tmp_path):
        made = model([node("Tokenize", ["x"], ["y"], domain="my.ops", name="tok")], domains=(("my.ops", 1),))
        text = self.said(tmp_path, made)
        assert "my.ops.Tokenize (node 'tok')" in text

    def test_a_local_function_is_no_unknown_operator(self, tmp_path):
        function = helper.make_function(
            "my", "F", ["a"], ["b"], [node("Neg", ["a"], ["b"])], [helper.make_opsetid("", 17)]
        )
        check_runs(
            put(tmp_path, model([node("F", ["x"], ["y"], domain="my")], domains=(("my", 1),), functions=[function]))
        )

    def test_an_operator_that_this_opset_lacks(self, tmp_path):
        text = self.said(tmp_path, model([node("Gelu", ["x"], ["y"], name="act")]))
        assert "node 'act' (Gelu)" in text
        assert "17" in text

    def test_a_type_without_a_kernel(self, tmp_path):
        kind = TensorProto.BFLOAT16
        made = model(
            [node("Acosh", ["x"], ["y"], name="a")], [value("x", dtype=kind)], [value("y", dtype=kind)], opset=22
        )
        assert "implementation for Acosh" in self.said(tmp_path, made)

    def test_a_name_that_nothing_defines(self, tmp_path):
        assert "'q'" in self.said(tmp_path, model([node("Add", ["x", "q"], ["y"])]))
