"""The page of `coldpress serve` as people use it: a real Chromium, the real server, real models."""

import contextlib
import json
import subprocess
import sys
import wave

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from tests.support.browser import axe, find
from tests.support.models import fetch
from tests.support.playground import open_chromium, opened
from tests.support.serving import serve, write_function
from tests.support.tiny import MODELS

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="awslambdaric is for Linux"),
    pytest.mark.xdist_group("playground"),  # one browser, and each server once
]

HOOKS = """
from coldpress_runtime.errors import RequestError
from coldpress_runtime.http import Response

def preprocess(request):
    print("got", len(request.body), request.headers.get("content-type"), flush=True)
    if request.body == b"crash":
        raise ValueError("a secret")
    if len(request.body) < 4:
        raise RequestError("The picture has fewer than 4 bytes; send a larger one.")
    preprocess.body = request.body
    return {"x": [[float(len(request.body))] * 64]}

def postprocess(outputs):
    if preprocess.body.startswith(b"\\x89PNG"):
        return Response(200, {"Content-Type": "image/png"}, preprocess.body)
    scores = outputs["probabilities"].tolist()[0]
    return {"label": "cat", "scores": {"cat": 0.9, "dog": 0.1, "cow": -0.2}, "boxes": [{"left": 1, "top": 2}]}
"""


ANSWERS = """
import json
from coldpress_runtime.http import Response

def preprocess(request):
    preprocess.wanted = request.json()["answer"]
    return {"x": [[0.0] * 64]}

def postprocess(outputs):
    return {
        "many scores": {f"word {i}": i / 150_000 for i in range(150_000)},
        "long text": "word " * 100_000,
        "own outputs": {"outputs": ["one", "two"]},
        "refusal of its own": Response(400, {"Content-Type": "application/json"}, b'{"error": {"code": 3}}'),
        "redirect": Response(302, {"Location": "/elsewhere"}, b""),
        "names of methods": {"first": "toString", "second": "valueOf", "third": "constructor"},
    }[preprocess.wanted]
"""


def odd_scores():
    """Scores among which there are infinities, and what is no number."""
    rows = np.float32([[-np.inf, 1, 3, np.nan, 2]])
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["rows", "nothing"], ["scores"]),
    ]
    constants = [onnx.numpy_helper.from_array(rows, "rows"), onnx.numpy_helper.from_array(np.float32(0), "zero")]
    return _model(nodes, {"x": [1, 4]}, {"scores": [1, 5]}, constants)


def detector():
    """A picture in; two boxes as YOLOv8 lays them out, [1, 4 + classes, boxes], wherever one looks."""
    rows = np.zeros((1, 6, 8), np.float32)
    rows[0, :, :2] = [[16, 32], [16, 32], [16, 8], [16, 8], [0.9, 0.1], [0.05, 0.8]]
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["rows", "nothing"], ["boxes"]),
    ]
    constants = [onnx.numpy_helper.from_array(rows, "rows"), onnx.numpy_helper.from_array(np.float32(0), "zero")]
    return _model(nodes, {"images": [1, 3, 64, 64]}, {"boxes": [1, 6, 8]}, constants)


def loudest():
    """One second of sound in; its largest sample out, and how many there were."""
    nodes = [
        helper.make_node("ReduceMax", ["audio"], ["peak"], keepdims=0),
        helper.make_node("Size", ["audio"], ["samples"]),
    ]
    return _model(nodes, {"audio": [1, "n"]}, {"peak": [], "samples": []}, (), {"samples": TensorProto.INT64})


def mean_colour():
    """A picture of any size in; the mean of each channel out."""
    return _model([helper.make_node("ReduceMean", ["picture"], ["mean"], axes=[2, 3], keepdims=0)],
                  {"picture": [1, 3, 8, 8]}, {"mean": [1, 3]})  # fmt: skip


def _model(nodes, inputs, outputs, constants=(), types=None):
    def value(name, shape):
        return helper.make_tensor_value_info(name, (types or {}).get(name, TensorProto.FLOAT), shape)

    graph = helper.make_graph(
        nodes, "g", [value(*each) for each in inputs.items()], [value(*each) for each in outputs.items()], constants
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="module")
def chromium():
    if find() is None:
        pytest.skip("there is no Chromium: `make browser` fetches one where npm is, or install your system's")
    with open_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def servers(tmp_path_factory, digits_bundle):
    """Start what a test asks for, once."""
    folder = tmp_path_factory.mktemp("playground")
    with contextlib.ExitStack() as stack:
        running = {}

        def build(name):
            if name == "digits":
                return digits_bundle[0]
            if name == "hooks":
                return write_function(folder / name, "mlp", HOOKS)
            if name == "answers":
                return write_function(folder / name, "mlp", ANSWERS)
            if name in {"opennsfw", "nudenet", "magika", "digits_rf_zipmap"}:
                return fetch(name)
            made = {"detector": detector, "loudest": loudest, "mean_colour": mean_colour, "odd_scores": odd_scores}
            path = folder / f"{name}.onnx"
            path.write_bytes((made.get(name) or MODELS[name])().SerializeToString())
            return path

        def url(name):
            if name not in running:
                running[name] = stack.enter_context(serve(build(name))).url
            return running[name]

        yield url


@pytest.fixture
def look(chromium, servers):
    def open_(name, **options):
        return opened(chromium, servers(name), **options)

    return open_


def send(page):
    """Send, and wait for what comes."""
    page.click("#send")
    page.wait_for_selector("#send:not([aria-disabled])")
    return page


def answer(page):
    """The answer as JSON, from the raw view."""
    return json.loads(page.text_content("#raw"))


def card(page, name):
    return page.locator("section.card", has=page.get_by_role("heading", name=name, exact=True))


def picture(path, colour=(255, 0, 0), size=(32, 16)):
    Image.new("RGB", size, colour).save(path)
    return path


def test_a_digit_is_typed_sent_and_shown_as_bars_with_its_timing(look, digits):
    pixels = json.loads((digits / "request.json").read_text())["instances"][0]
    with look("digits") as page:
        assert page.title() == "digits · coldpress serve"
        assert "AWS Lambda, Python 3." in page.text_content("#where")
        for i, value in enumerate(pixels):
            page.get_by_label(f"pixels[0, {i}]", exact=True).fill(str(value))
        send(page)
        label = json.loads((digits / "expected.json").read_text())["label"]
        assert page.text_content("#status").startswith("200 OK")
        assert card(page, "label").locator(".figure").text_content() == str(label)
        rows = card(page, "probabilities").locator("tbody th").all_text_contents()
        assert rows[0] == f"class {label}"
        assert len(rows) == 5
        steps = page.locator("#timing dt").all_text_contents()
        assert steps == ["decode", "run the model", "encode", "around it", "browser and network", "round trip"]
        assert page.locator("#start-part").is_visible()
        page.click("#start-part summary")
        assert "session" in page.text_content("#steps")


def test_the_shown_curl_line_gives_the_same_answer(look):
    with look("digits") as page:
        page.get_by_label("pixels[0, 10]", exact=True).fill("7.5")
        send(page)
        command = page.text_content("#curl")
        assert "7.5" in command
        run = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
        assert run.returncode == 0, run.stderr
        assert json.loads(run.stdout) == answer(page)
        page.click("#copy")
        page.wait_for_selector("#copied:text('Copied')")
        assert page.evaluate("navigator.clipboard.readText()") == command


def test_a_body_that_curl_would_take_for_a_file_is_sent_as_it_is(look):
    with look("hooks") as page:
        page.check("input[name=mode][value=json]")
        page.fill("#body", "@secret")
        page.wait_for_selector("#curl:text('@secret')")
        command = page.text_content("#curl")
        send(page)
        assert page.text_content("#status").startswith("200")
    assert subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout.startswith(b'{"label"')


def test_a_saved_body_gives_the_same_answer_by_curl(look, tmp_path):
    with look("mean_colour") as page:
        card(page, "picture").locator("input[type=file]").set_input_files(picture(tmp_path / "red.png"))
        page.wait_for_selector(".preview")
        page.get_by_text("How it becomes numbers").click()
        page.get_by_label("Fit").select_option("stretch")
        send(page)
        assert answer(page)["outputs"]["mean"] == [[1.0, 0.0, 0.0]]


def test_names_of_classes_stay_with_the_model(look):
    with look("digits") as page:
        send(page)
        page.click("#names-part summary")
        page.fill("#names", "\n".join(f"digit {i}" for i in range(10)))
        assert card(page, "probabilities").locator("tbody th").first.text_content().startswith("digit ")
        page.reload()
        page.wait_for_selector("#form:not([hidden])")
        send(page)
        assert card(page, "probabilities").locator("tbody th").first.text_content().startswith("digit ")


def test_softmax_only_when_it_is_chosen(look):
    with look("fp32") as page:
        card(page, "x").get_by_label("Give as").select_option("json")
        page.get_by_label("x as JSON").fill("[[1, 3]]")
        send(page)
        scores = card(page, "y").locator("tbody .num")
        assert scores.all_text_contents() == ["3", "1"]
        card(page, "y").get_by_label("Softmax").check()
        assert scores.all_text_contents() == ["0.8808", "0.1192"]


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 255)])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_a_picture_becomes_numbers_as_its_settings_say(look, tmp_path, colour, order):
    with look("mean_colour") as page:
        source = card(page, "picture")
        source.locator("input[type=file]").set_input_files(picture(tmp_path / "one.png", colour))
        page.get_by_text("How it becomes numbers").click()
        source.get_by_label("Values").select_option("imagenet")
        source.get_by_label("Colours").select_option(order)
        assert source.get_by_label("Values").input_value() == "own"
        send(page)
        pixel = np.array(colour, np.float32)[:: 1 if order == "rgb" else -1] / 255
        expected = (pixel - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        assert answer(page)["outputs"]["mean"][0] == pytest.approx(expected.tolist(), abs=1e-4)


def test_a_letterbox_keeps_the_ratio_and_fills_with_grey(look, tmp_path):
    with look("mean_colour") as page:
        source = card(page, "picture")
        source.locator("input[type=file]").set_input_files(picture(tmp_path / "wide.png", (255, 255, 255)))
        page.get_by_text("How it becomes numbers").click()
        source.get_by_label("Values").select_option("letterbox")
        send(page)
        assert answer(page)["outputs"]["mean"][0] == pytest.approx([(255 + 114) / 2 / 255] * 3, abs=1e-5)


def test_a_file_that_is_no_picture_and_settings_that_are_no_numbers_are_said(look, tmp_path):
    (tmp_path / "fake.png").write_bytes(b"not a picture")
    with look("mean_colour") as page:
        source = card(page, "picture")
        send(page)
        assert source.get_by_role("alert").text_content() == "Choose a picture first."
        source.locator("input[type=file]").set_input_files(tmp_path / "fake.png")
        page.wait_for_selector("text=no picture that this browser can read")
        source.locator("input[type=file]").set_input_files(picture(tmp_path / "red.png"))
        page.get_by_text("How it becomes numbers").click()
        source.get_by_label("Mean").fill("1, 2")
        send(page)
        assert "write one number, or 3 with commas between" in source.get_by_role("alert").text_content()


def test_a_drawing_is_a_picture_too(look):
    with look("digits") as page:
        card(page, "pixels").get_by_label("Give as").select_option("picture")
        page.get_by_role("button", name="Draw one instead").click()
        box = page.locator(".board").bounding_box()
        page.mouse.move(box["x"] + 60, box["y"] + 30)
        page.mouse.down()
        page.mouse.move(box["x"] + 140, box["y"] + 30, steps=12)
        page.mouse.move(box["x"] + 90, box["y"] + 170, steps=12)
        page.mouse.up()
        page.get_by_text("How it becomes numbers").click()
        page.get_by_label("Divide by").fill("15.9375")
        page.get_by_label("Invert").check()
        send(page)
        assert card(page, "label").locator(".figure").text_content() == "7"


def test_a_sound_is_resampled_cut_and_heard(look, tmp_path):
    samples = (np.sin(2 * np.pi * 220 * np.arange(8000) / 8000) * 16384).astype("<i2")
    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    with look("loudest") as page:
        source = card(page, "audio")
        source.get_by_label("Give as").select_option("sound")
        source.locator("input[type=file]").set_input_files(tmp_path / "tone.wav")
        page.wait_for_selector("text=the model hears 16,000 samples, 1.00 s of 1.00 s")
        send(page)
        assert {each["name"]: each["data"][0] for each in answer(page)["outputs"]}["samples"] == 16_000
        source.get_by_label("Samples a second").select_option("8000")
        source.get_by_label("Begin at second").fill("0.5")
        page.wait_for_selector("text=the model hears 4,000 samples, 0.50 s of 1.00 s")
        source.get_by_label("Samples", exact=True).fill("512")
        page.wait_for_selector("text=the model hears 512 samples")
        send(page)
        assert answer(page)["outputs"]["samples"] == 512
        assert answer(page)["outputs"]["peak"] == pytest.approx(0.5, abs=0.01)
        (tmp_path / "fake.wav").write_bytes(b"RIFFnothing")
        source.locator("input[type=file]").set_input_files(tmp_path / "fake.wav")
        page.wait_for_selector("text=no sound that this browser can read")


def test_boxes_are_drawn_on_the_picture_when_chosen(look, tmp_path):
    with look("detector") as page:
        card(page, "images").locator("input[type=file]").set_input_files(picture(tmp_path / "p.png", size=(128, 128)))
        page.wait_for_selector(".preview")
        send(page)
        output = card(page, "boxes")
        assert output.locator(".box").count() == 0
        output.get_by_label("Show", exact=True).select_option("boxes")
        assert output.locator(".box").all_text_contents() == ["class 0 0.90", "class 1 0.80"]
        table = [row.split("\t") for row in output.locator("tbody").inner_text().splitlines()]
        # Boxes of 16 and 8 pixels around (16, 16) and (32, 32), on a picture that is twice as wide as the input.
        assert [row[3:] for row in table] == [["16", "16", "48", "48"], ["56", "56", "72", "72"]]
        output.get_by_text("How the numbers are read as boxes").click()
        output.get_by_label("Least score").fill("0.85")
        assert output.locator(".box").count() == 1
        output.get_by_label("Least score").fill("0.99")
        assert "No box is above the threshold" in output.inner_text()


def test_a_real_detector_finds_the_same_boxes_as_a_client(look, tmp_path):
    with look("nudenet") as page:
        card(page, "images").locator("input[type=file]").set_input_files(picture(tmp_path / "p.png", size=(64, 48)))
        page.wait_for_selector(".preview")
        send(page)
        assert page.text_content("#status").startswith("200 OK")
        assert "boxes" in card(page, "output0").get_by_label("Show", exact=True).inner_html()


def test_maps_of_classes_are_bars(look):
    with look("zipmap") as page:
        page.get_by_label("scores[0, 0]", exact=True).fill("0.25")
        page.get_by_label("scores[0, 1]", exact=True).fill("0.75")
        send(page)
        output = card(page, "by_class")
        assert output.locator("tbody th").all_text_contents() == ["5", "3"]
        assert output.locator("tbody .num").all_text_contents() == ["0.75", "0.25"]
        output.get_by_label("Show", exact=True).select_option("list")
        assert output.locator("thead th").all_text_contents() == ["row", "3", "5"]


@pytest.mark.parametrize(
    ("name", "typed", "expected"),
    [
        ("int64", "[[9007199254740993, -9223372036854775808]]", [[9007199254740993, -9223372036854775808]]),
        ("fp32", '[["NaN", "-Infinity"]]', [["NaN", "-Infinity"]]),
        ("bool", "[[true, false]]", [[True, False]]),
        ("bytes", '[["a\\nb", "ü"]]', [["a\nb", "ü"]]),
    ],
)
def test_values_arrive_to_the_last_digit(look, name, typed, expected):
    with look(name) as page:
        card(page, "x").get_by_label("Give as").select_option("json")
        page.get_by_label("x as JSON").fill(typed)
        send(page)
        assert answer(page)["outputs"]["y"] == expected


@pytest.mark.parametrize("name", ["fp16", "bf16", "fp64", "int8", "uint8"])
def test_numbers_go_as_bytes_the_same_as_in_json(look, name):
    values = [[i % 100, (7 * i) % 100 if "int" in name else (i * 0.37) % 60] for i in range(2500)]
    with look(name) as page:
        card(page, "x").get_by_label("Give as").select_option("json")
        page.get_by_label("x as JSON").fill(json.dumps(values))
        page.wait_for_selector("#curl:text('request.bin')")
        send(page)
        found = np.array(answer_of(page)["outputs"][0]["data"], np.float64).reshape(-1, 2)
        page.check("input[name=mode][value=json]", force=True)
        page.fill("#body", json.dumps({"inputs": {"x": values}}))
        send(page)
        assert found.tolist() == np.array(answer_of(page)["outputs"]["y"], np.float64).tolist()


def answer_of(page):
    """The whole answer, however long: as the page keeps it."""
    return page.evaluate("JSON.parse(jsonText(state.document))")


def test_sequences_and_maps_are_given_as_json(look):
    with look("sequences") as page:
        page.get_by_label("parts as JSON").fill("[[1, 2], [3]]")
        send(page)
        assert answer(page)["outputs"]["joined"] == [1, 2, 3]
    with look("counts") as page:
        page.get_by_label("counts as JSON").fill('{"a": 2, "b": 0.5}')
        send(page)
        assert answer(page)["outputs"]["y"] == [[2, 0.5]]


def test_texts_are_typed_one_a_line(look):
    with look("every_type") as page:
        page.get_by_label("s, one text a line").fill("one\ntwo, three")
        for name in "fih":
            card(page, name).get_by_label("Size of axis 0").fill("2")
            page.keyboard.press("Tab")
        send(page)
        assert answer(page)["outputs"]["S"] == ["one", "two, three"]
        assert answer(page)["outputs"]["F"] == [0, 0]


def test_refusals_are_shown_in_the_functions_words(look):
    with look("digits") as page:
        page.get_by_label("pixels[0, 3]", exact=True).fill("seven")
        send(page)
        assert page.text_content("#status").startswith("400")
        shown = page.get_by_role("alert").filter(has_text="pixels").text_content()
        assert shown == answer(page)["error"]
        page.check("input[name=mode][value=json]", force=True)
        page.fill("#body", "{")
        send(page)
        assert page.text_content("#error").startswith("The body is not JSON")
        page.fill("#body", '{"inputs": {"pixels": [[1]]}}')
        send(page)
        assert page.text_content("#error") == answer(page)["error"]
        page.get_by_role("button", name="Example").click()
        send(page)
        assert page.text_content("#status").startswith("200")
        page.select_option("#path", "/v2/models/digits/infer")
        send(page)
        assert card(page, "probabilities").locator(".bar").count() == 5


def test_hooks_take_files_and_answer_as_they_like(look, tmp_path):
    with look("hooks") as page:
        (tmp_path / "notes.txt").write_text("hello there")
        field = page.locator("#panel-file input[type=file]")
        send(page)
        assert page.text_content("#problem") == "Choose a file first."
        field.set_input_files(tmp_path / "notes.txt")
        assert page.get_by_label("Content type").input_value() == "text/plain"
        send(page)
        facts = card(page, "result")
        assert facts.locator("dd").first.text_content() == "cat"
        assert facts.locator(".bars tbody th").all_text_contents() == ["cat", "dog", "cow"]
        assert "--data-binary '@notes.txt'" in page.text_content("#curl")
        field.set_input_files(picture(tmp_path / "red.png"))
        send(page)
        assert page.locator("#outputs img").evaluate("e => e.decode().then(() => e.naturalWidth)") == 32
        page.click("#log-part summary")
        page.wait_for_selector("#log:has-text('image/png')")


def test_hooks_that_fail_show_their_sentence_and_the_log_has_the_rest(look, tmp_path):
    with look("hooks") as page:
        (tmp_path / "tiny.bin").write_bytes(b"abc")
        page.locator("#panel-file input[type=file]").set_input_files(tmp_path / "tiny.bin")
        send(page)
        assert page.text_content("#error") == "The picture has fewer than 4 bytes; send a larger one."
        (tmp_path / "crash.bin").write_bytes(b"crash")
        page.locator("#panel-file input[type=file]").set_input_files(tmp_path / "crash.bin")
        send(page)
        assert "preprocess in hooks.py failed with ValueError" in page.text_content("#error")
        page.click("#log-part summary")
        page.wait_for_selector("#log:has-text('a secret')")


def test_a_hostile_name_stays_text(chromium, tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    model = MODELS["fp32"]()
    model.graph.node[0].input[0] = model.graph.input[0].name = evil
    model.graph.node[0].output[0] = model.graph.output[0].name = evil + "'"
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with serve(tmp_path / "m.onnx") as running, opened(chromium, running.url) as page:
        send(page)
        assert page.locator("#outputs h3").text_content() == evil + "'"
        assert page.locator("img").count() == 0


def test_scores_that_are_no_numbers_come_last_and_leave_the_others_readable(look):
    with look("odd_scores", width=600) as page:
        send(page)
        rows = page.locator("#outputs .bars tbody tr")
        assert rows.locator("th").all_text_contents() == [f"class {i}" for i in (2, 4, 1, 0, 3)]
        bars = [bar.bounding_box()["width"] for bar in rows.locator(".bar").all()]
        assert bars[0] > bars[1] > bars[2] > bars[4]
        assert page.evaluate("document.documentElement.scrollWidth") == 600


@pytest.mark.parametrize(
    ("answer", "shown", "place"),
    [
        ("many scores", "word 149999", "#outputs .bars .first"),
        ("long text", "word word", "#outputs pre"),
        ("own outputs", "two", "#outputs table"),
        ("refusal of its own", '{"code": 3}', "#error"),
        ("redirect", "sends callers on", "#error"),
        ("names of methods", "toString", "#outputs .facts"),
    ],
)
def test_whatever_a_hook_answers_is_shown(look, answer, shown, place):
    with look("answers") as page:
        page.check("input[name=mode][value=json]")
        page.fill("#body", json.dumps({"answer": answer}))
        send(page)
        assert shown in page.locator(place).text_content()
        assert len(page.text_content("#outputs")) < 200_000


def test_a_browser_that_keeps_nothing_shows_the_page_too(chromium, servers):
    with contextlib.closing(chromium.new_context()) as context:
        context.add_init_script("delete Window.prototype.localStorage; Object.defineProperty(window, 'localStorage', "
                                "{get() { throw new DOMException('denied', 'SecurityError'); }})")  # fmt: skip
        page = context.new_page()
        page.goto(servers("odd_scores"))
        page.wait_for_selector("#form:not([hidden])")
        send(page)
        page.click("#names-part summary")
        page.fill("#names", "zero\none\ntwo")
        assert page.locator("#outputs .bars .first th").text_content() == "two"


def test_a_server_that_has_gone_is_said(chromium, tmp_path):
    (tmp_path / "m.onnx").write_bytes(MODELS["fp32"]().SerializeToString())
    with serve(tmp_path / "m.onnx") as running:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(running.url)
        page.wait_for_selector("#form:not([hidden])")
        running.stop()
        send(page)
        assert "does not answer" in page.text_content("#error")
        context.close()


def test_everything_is_done_by_keyboard_alone(look):
    with look("digits") as page:
        focused = "(e => e.id || e.getAttribute('aria-label') || e.name)(document.activeElement)"
        seen = []
        for _ in range(80):
            page.keyboard.press("Tab")
            seen.append(page.evaluate(focused))
            ring = page.evaluate(
                "(e => [e, e.nextElementSibling].some(x => x && getComputedStyle(x).outlineStyle !== 'none'))"
                "(document.activeElement)"
            )
            assert ring, f"nothing shows that {seen[-1]} has the focus"
            if seen[-1] == "pixels[0, 0]":
                page.keyboard.type("5")
            if seen[-1] == "send":
                break
        assert next(filter(None, seen)) == "mode"
        assert [name for name in seen if name and name.startswith("pixels[")] == [f"pixels[0, {i}]" for i in range(64)]
        assert seen[-1] == "send"
        page.keyboard.press("Enter")
        page.wait_for_selector("#outputs .card")
        page.keyboard.press("Shift+Tab")
        page.keyboard.type("3")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#status:text('200')")
        page.locator("input[name=mode][value=inputs]").focus()
        page.keyboard.press("ArrowRight")
        assert page.locator("#panel-json").is_visible()


def test_what_comes_is_announced(look):
    with look("digits") as page:
        roles = page.evaluate(
            "['status', 'error', 'problem', 'copied', 'where'].map(id => byId(id).getAttribute('role'))"
        )
        assert roles == ["status", "alert", "alert", "status", "status"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_scheme_of_the_reader_is_followed(look, scheme):
    with look("digits", scheme=scheme) as page:
        red = page.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")
        assert (red > 128) == (scheme == "light")


def fill_and_send(page, name, folder):
    """Bring a page into the state in which most of it shows."""
    if name in {"detector", "opennsfw"}:
        page.locator("section.card input[type=file]").set_input_files(picture(folder / "p.png", size=(128, 96)))
        page.wait_for_selector(".preview")
    if name == "hooks":
        (folder / "notes.txt").write_text("hello there")
        page.locator("#panel-file input[type=file]").set_input_files(folder / "notes.txt")
    send(page)
    page.wait_for_selector("#outputs .card")
    if name == "detector":
        card(page, "boxes").get_by_label("Show", exact=True).select_option("boxes")
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    if page.locator("#log-part").is_visible():
        page.wait_for_selector("#log:not(:empty)")


PAGES = ["digits", "detector", "hooks", "opennsfw", "digits_rf_zipmap", "magika"]


@pytest.mark.parametrize("width", [1280, 768, 390])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_the_window(look, tmp_path, name, width):
    with look(name, width=width) as page:
        fill_and_send(page, name, tmp_path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "dark")])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_keeps_people_from_using_it(look, tmp_path, name, width, scheme):
    """Contrast, names, roles and focus, as axe-core judges them by WCAG 2.2 AA, before and after an answer."""
    script = axe()
    if script is None:
        pytest.skip("there is no axe-core: `make browser` fetches it where npm is")
    audit = (
        "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}).then(r => "
        "r.violations.map(v => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 160), v.nodes[0].failureSummary]))"
    )
    with look(name, width=width, scheme=scheme) as page:
        page.evaluate(script + "; 0")
        assert page.evaluate(audit) == []
        fill_and_send(page, name, tmp_path)
        assert page.evaluate(audit) == []
        page.check("input[name=mode][value=json]", force=True)
        page.fill("#body", "{")
        send(page)
        assert page.evaluate(audit) == []
