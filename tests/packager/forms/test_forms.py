"""Forms of a model: built the same every time, right to the bit, measured, and chosen by stated rules."""

import hashlib
import json

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from coldpress.bundle.wheels import engine_library
from coldpress.cache import cache_dir
from coldpress.errors import ConfigError, ModelError
from coldpress.forms.candidates import FORMS, Form, build_forms, cpu_flags
from coldpress.forms.choose import GROWTH_BYTES, _best, _choice, _Tried, choose_form
from coldpress.forms.ort_format import canonical
from coldpress.forms.trial import Opening, Trial, try_model
from coldpress.machine import host_runs
from coldpress.reference import Difference, Reference, compare_outputs
from coldpress.samples.load import SampleSet
from coldpress.samples.synthesis import synthesize
from coldpress_runtime.manifest import Model
from coldpress_runtime.warmup import lacks
from tests.support.models import feeds, fetch
from tests.support.tiny import MODELS

HERE = next(a for a in ("x86_64", "arm64") if host_runs(a))
ELSEWHERE = {"x86_64": "arm64", "arm64": "x86_64"}[HERE]
BLOCKS = {"avx2", "fma"} <= cpu_flags()


@pytest.fixture(autouse=True)
def own_choices(tmp_path, monkeypatch):
    """Choices kept by other tests are not ours; wheels and models are."""
    (tmp_path / "cache").mkdir()
    for module in ("coldpress.forms.choice", "coldpress.cache"):
        monkeypatch.setattr(f"{module}.cache_dir", lambda *parts: _made(tmp_path / "cache" / "/".join(parts)))


def _made(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def engine():
    return engine_library("3.13", HERE, cache_dir("wheels"))


@pytest.fixture
def tiny(tmp_path):
    def write(name):
        path = tmp_path / f"{name}.onnx"
        onnx.save(MODELS[name](), path)
        return path

    return write


def conv(path, channels=32):
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((channels, 3, 3, 3)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], name="first"), helper.make_node("Relu", ["c"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("y", 1, ["n", channels, 14, 14])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"character": "αβγ", "license": "AGPL-3.0"})
    onnx.save(model, path)
    return path


def choose(model, engine, work, **options):
    reference = Reference(model)
    samples = options.pop("samples", None) or synthesize(reference)
    options = {"architecture": HERE, "threads": 1, "budget_s": 0.0} | options
    return choose_form(model, reference, samples, engine=engine, work=work, **options)


def test_the_plain_form_is_the_file_itself_and_every_form_is_reported(tiny, engine, tmp_path):
    model = tiny("mlp")
    choice = choose(model, engine, tmp_path / "work")
    assert [row.name for row in choice.candidates] == list(FORMS)
    assert [row.name for row in choice.candidates if not row.why_not] == [choice.name]
    plain = choice.candidates[0]
    assert plain.equal
    assert plain.bytes == model.stat().st_size
    assert plain.cold_ms > plain.warm_ms > 0
    assert plain.peak_mb > 10
    assert json.loads(json.dumps(choice.to_json()))["chosen"] == choice.name
    assert choice.measured


@pytest.mark.parametrize(
    ("name", "form"),
    [
        # On some CPUs a product of matrices adds up in another order when its weights are not laid out again.
        *(("mlp", form) for form in FORMS if form != "ort-mapped-unpacked"),
        *(("zipmap", form) for form in FORMS),
        *(("every_type", form) for form in FORMS),
    ],
)
def test_a_form_that_is_asked_for_ships_and_answers_to_the_bit(tiny, engine, tmp_path, name, form):
    model = tiny(name)
    choice = choose(model, engine, tmp_path / "work", wanted=form)
    assert choice.name == form
    assert not choice.measured
    record = Model.read(choice.model, "model")  # what the runtime reads
    file = choice.files[record.path]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == record.sha256
    opening = Opening(1, record.optimization, record.mapped, record.prepacking)
    reference = Reference(model)
    requests = synthesize(reference).requests
    got = try_model(file, opening, requests, library=engine.path, answers=True)
    assert compare_outputs(reference.run(requests[0]), got.answers[0]).equal


@pytest.mark.skipif(not BLOCKS, reason="this CPU is not one whose blocks of channels are known")
def test_a_form_bound_to_a_kind_of_cpu_says_so_and_ships_with_a_portable_one(engine, tmp_path):
    model = conv(tmp_path / "conv.onnx")
    choice = choose(model, engine, tmp_path / "work", wanted="ort-mapped")
    assert choice.model["cpu"] == ["avx2", "fma", "avx512f" if "avx512f" in cpu_flags() else "!avx512f"]
    assert choice.portable["cpu"] == []
    assert choice.portable["path"] == "model/portable.onnx"
    assert set(choice.files) == {"model/model.ort", "model/portable.onnx"}
    assert choice.files["model/portable.onnx"] == model
    assert lacks(tuple(choice.model["cpu"])) == []


@pytest.mark.parametrize(
    ("flags", "cpu"),
    [
        ({"avx2", "fma", "avx512f"}, ("avx2", "fma", "avx512f")),
        ({"avx2", "fma"}, ("avx2", "fma", "!avx512f")),
        ({"asimd"}, None),
    ],
)
def test_a_bound_form_opens_on_its_own_kind_of_cpu_only(engine, tmp_path, monkeypatch, flags, cpu):
    if not BLOCKS:
        pytest.skip("this CPU is not one whose blocks of channels are known")
    monkeypatch.setattr("coldpress.forms.candidates.cpu_flags", lambda: frozenset(flags))
    model = conv(tmp_path / "conv.onnx")
    forms = {f.name: f for f in build_forms(model, tmp_path / "w", FORMS, threads=1, library=engine.path)}
    assert not forms["onnx-optimized"].refused
    if cpu is None:
        assert "bound to CPUs" in forms["ort-mapped"].refused
        return
    assert forms["ort-mapped"].cpu == cpu
    (tmp_path / "same").write_text(f"processor : 0\nflags : {' '.join(flags)}\n")
    (tmp_path / "other").write_text(f"processor : 0\nflags : {' '.join(flags ^ {'avx512f'})}\n")
    assert lacks(cpu, str(tmp_path / "same")) == []
    assert lacks(cpu, str(tmp_path / "other")) == [cpu[2]]


@pytest.mark.parametrize("form", FORMS[1:])
def test_files_are_the_same_every_time_and_keep_the_metadata(engine, tmp_path, form):
    model = conv(tmp_path / "conv.onnx")
    built = []
    for attempt in ("a", "b"):
        (made,) = build_forms(model, tmp_path / attempt, (form,), threads=1, library=engine.path)
        assert not made.refused
        built.append(made.file.read_bytes())
    assert built[0] == built[1]
    assert Reference(made.file, optimization="disabled").metadata == {"character": "αβγ", "license": "AGPL-3.0"}


@pytest.mark.models
@pytest.mark.parametrize("name", ["ocr_rec", "nudenet", "silero", "digits_rf_zipmap"])
def test_real_models_in_ort_format_are_the_same_every_time_and_right(engine, tmp_path, name):
    model = fetch(name)
    digests = set()
    for attempt in ("a", "b", "c"):
        (form,) = build_forms(model, tmp_path / attempt, ("ort-mapped",), threads=1, library=engine.path)
        digests.add(hashlib.sha256(form.file.read_bytes()).hexdigest())
    assert len(digests) == 1
    reference, request = Reference(model), feeds(name)
    got = try_model(form.file, form.opening, [request], library=engine.path, answers=True)
    assert compare_outputs(reference.run(request), got.answers[0]).equal
    assert Reference(form.file, optimization="disabled").metadata == reference.metadata


def test_external_data_ships_beside_the_plain_file_under_its_own_name(engine, tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    onnx.save(MODELS["mlp"](), folder / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    choice = choose(folder / "m.onnx", engine, tmp_path / "work", wanted="onnx")
    assert set(choice.files) == {"model/model.onnx", "model/weights.bin"}
    again = choose(folder / "m.onnx", engine, tmp_path / "work", wanted="onnx")
    assert again == choice
    mapped = choose(folder / "m.onnx", engine, tmp_path / "work", wanted="ort-mapped")
    assert set(mapped.files) == {"model/model.ort"}


def test_a_choice_is_kept_with_its_files_and_made_again_when_they_are_damaged(tiny, engine, tmp_path):
    model = tiny("mlp")
    first = choose(model, engine, tmp_path / "one", wanted="ort-mapped")
    second = choose(model, engine, tmp_path / "two", wanted="ort-mapped")
    assert not (tmp_path / "two").exists()  # nothing was built
    assert second.model == first.model
    second.files["model/model.ort"].write_bytes(b"damaged")
    third = choose(model, engine, tmp_path / "three", wanted="ort-mapped")
    assert (tmp_path / "three").exists()
    assert third.model == first.model
    assert not list((tmp_path / "cache" / "forms").glob(".new-*"))


def test_a_cache_that_cannot_be_written_only_means_measuring_again(tiny, engine, tmp_path):
    (tmp_path / "cache" / "forms").write_text("a file where the folder should be")
    choice = choose(tiny("mlp"), engine, tmp_path / "work", wanted="ort-mapped")
    assert choice.files["model/model.ort"].is_file()


def test_another_model_or_other_samples_are_another_choice(tiny, engine, tmp_path):
    model = tiny("mlp")
    samples = SampleSet(({"x": np.ones((1, 64), np.float32)},))
    choose(model, engine, tmp_path / "one", wanted="onnx")
    choose(model, engine, tmp_path / "two", wanted="onnx", samples=samples)
    choose(model, engine, tmp_path / "three", wanted="onnx", threads=2)
    assert len(list((tmp_path / "cache" / "forms").iterdir())) == 3


def test_for_another_architecture_the_plain_file_ships_untimed(tiny, engine, tmp_path):
    choice = choose(tiny("mlp"), engine, tmp_path / "work", architecture=ELSEWHERE)
    assert choice.name == "onnx"
    assert not choice.measured
    assert ELSEWHERE in choice.note
    assert choice.portable is None
    with pytest.raises(ConfigError, match=ELSEWHERE):
        choose(tiny("mlp"), engine, tmp_path / "work", architecture=ELSEWHERE, wanted="ort")


def test_an_unknown_form_is_one_sentence(tiny, engine, tmp_path):
    with pytest.raises(ConfigError, match=r"'zip', expected one of onnx, "):
        choose(tiny("mlp"), engine, tmp_path / "work", wanted="zip")


# --- the rules, on figures instead of clocks


def tried(tmp_path, name, *, cold, warm=1.0, peak=50.0, size=1000, cpu=(), refused=""):
    file = tmp_path / name
    file.write_bytes(b"")
    with file.open("r+b") as opened:
        opened.truncate(size)
    trial = Trial(cold_ms=cold, warm_ms=warm, peak_mb=peak)
    return _Tried(Form(name, file, Opening(), {}, cpu, refused), Difference(), [trial] * (not refused), refused)


def decided(*entries):
    entries = list(entries)
    return _choice(entries, _best(entries, GROWTH_BYTES))


def test_the_quickest_form_wins_by_a_clear_margin_only(tmp_path):
    plain = tried(tmp_path, "onnx", cold=100)
    assert decided(plain, tried(tmp_path, "ort-mapped", cold=96)).name == "onnx"
    choice = decided(plain, tried(tmp_path, "ort-mapped", cold=90))
    assert choice.name == "ort-mapped"
    assert choice.candidates[0].why_not == "it starts later"


def test_a_gain_within_the_noise_of_a_small_model_does_not_count(tmp_path):
    plain = tried(tmp_path, "onnx", cold=18)
    choice = decided(plain, tried(tmp_path, "ort-mapped", cold=16.5))
    assert choice.name == "onnx"
    assert "2 ms" in choice.candidates[1].why_not
    assert decided(plain, tried(tmp_path, "ort-mapped", cold=15.5)).name == "ort-mapped"


def test_among_forms_about_as_quick_the_simplest_wins(tmp_path):
    choice = decided(
        tried(tmp_path, "onnx", cold=100),
        tried(tmp_path, "onnx-optimized", cold=62),
        tried(tmp_path, "ort-mapped", cold=60),
    )
    assert choice.name == "onnx-optimized"
    assert "5%" in choice.candidates[2].why_not


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"cold": 50, "warm": 1.5}, "warm answer"),
        ({"cold": 50, "peak": 80.0}, "peaks at 80 MB"),
        ({"cold": 50, "size": 2000 + GROWTH_BYTES}, "MB more, over"),
        ({"cold": 88, "size": 14_001_000}, "it saves 12.0 ms for 14.0 MB more"),
        ({"cold": 50, "refused": "its answers differ"}, "its answers differ"),
    ],
)
def test_a_quicker_form_is_refused_for_a_stated_reason(tmp_path, figures, words):
    choice = decided(tried(tmp_path, "onnx", cold=100), tried(tmp_path, "ort", **figures))
    assert choice.name == "onnx"
    assert words in choice.candidates[1].why_not


def test_a_bound_form_counts_the_bytes_of_its_stand_in_which_is_the_best_of_the_others(tmp_path):
    entries = [
        tried(tmp_path, "onnx", cold=100, size=3000),
        tried(tmp_path, "onnx-optimized", cold=80, size=2500),
        tried(tmp_path, "ort-mapped", cold=40, size=3100, cpu=("avx512f",)),
    ]
    choice = decided(*entries)
    assert choice.name == "ort-mapped"
    assert choice.candidates[2].total_bytes == 5600
    assert choice.portable["path"] == "model/portable.onnx"
    assert choice.files["model/portable.onnx"].name == "onnx-optimized"
    assert "ships too" in choice.candidates[1].why_not
    assert "avx512f" in choice.candidates[1].why_not


# --- files in ORT format


def test_a_file_that_is_not_in_ort_format_is_refused(tiny):
    for content in (b"", b"x" * 100, b"\x10\0\0\0ORTM", b"\xff\xff\xff\x7fORTM" + bytes(100), tiny("mlp").read_bytes()):
        with pytest.raises(ModelError, match="ORT format"):
            canonical(content)


def test_putting_a_file_in_order_twice_changes_nothing_more(tiny, engine, tmp_path):
    (form,) = build_forms(tiny("mlp"), tmp_path / "w", ("ort",), threads=1, library=engine.path)
    content = form.file.read_bytes()
    assert canonical(content) == content


# --- one process


def test_what_the_engine_refuses_comes_back_as_its_sentence(tiny, engine, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"bad\.onnx"):
        try_model(tmp_path / "bad.onnx", Opening(), library=engine.path)
    with pytest.raises(ModelError, match="x"):
        try_model(tiny("mlp"), Opening(), [{"x": np.zeros((1, 3), np.float32)}], library=engine.path)


def test_a_process_that_dies_is_one_sentence(tiny, tmp_path):
    (tmp_path / "libonnxruntime.so").write_bytes(b"no library")
    with pytest.raises(ModelError, match=r"libonnxruntime|library"):
        try_model(tiny("mlp"), Opening(), library=tmp_path / "libonnxruntime.so")


def test_sequences_and_strings_go_to_the_process_and_back(tiny, engine):
    parts = [np.array([1.5, 2.5], np.float32), np.array([], np.float32)]
    trial = try_model(tiny("sequences"), Opening(), [{"parts": parts}], library=engine.path, answers=True)
    reference = Reference(tiny("sequences")).run({"parts": parts})
    assert compare_outputs(reference, trial.answers[0]).equal
    everything = {
        "f": np.float32([1]),
        "i": np.int64([-1]),
        "s": np.array(["ü\0"], object),
        "h": np.float16([2]),
        "b": np.array([True]),
    }
    trial = try_model(tiny("every_type"), Opening(), [everything], library=engine.path, answers=True)
    assert compare_outputs({k.upper(): v for k, v in everything.items()}, trial.answers[0]).equal
