"""Samples of every model: what it is judged on, and others to calibrate with; each with labels.

`evaluation` and `calibration` share no photograph view, sentence, string, file or row. The functions are given the
original, for the labels that nothing but the original can give.
"""

import json
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.shrink import data
from benchmarks.shrink.decode import alphabet, best_face, detections, read_line
from coldpress.reference import Reference
from tests.support import minilm, models

__all__ = ["SAMPLERS", "Samples", "drawn", "sampler", "table", "write"]

Request = dict[str, Any]
Answer = Mapping[str, Any]
_EVALUATED = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
WHOLE = len(_EVALUATED)  # `photos` begins with each photograph whole
_OTHERS = ("china.jpg", "flower.jpg", "hubble_deep_field.jpg", "ihc.png", "motorcycle_right.png", "retina.jpg")


@dataclass(frozen=True)
class Samples:
    """Requests with one label each.

    Attributes:
        states: Inputs that the next request takes from an output of the last.
        sound: The recording that the requests were cut from, float32 in -1 to 1 at 16 kHz.
    """

    requests: Sequence[Request]
    labels: np.ndarray
    states: Mapping[str, str] = field(default_factory=dict)
    sound: np.ndarray | None = None

    def answers(self, run: Callable[[Request], Answer]) -> list[Answer]:
        """Answer all requests in order, carrying states."""
        return [answer for _, answer in self._steps(run)]

    def alone(self, run: Callable[[Request], Answer]) -> list[Request]:
        """Return the requests with the states that they meet in a row, so that each can be answered alone."""
        return [request for request, _ in self._steps(run)] if self.states else list(self.requests)

    def _steps(self, run: Callable[[Request], Answer]) -> Iterator[tuple[Request, Answer]]:
        held: Request = {}
        for request in self.requests:
            answer = run(request | held)
            yield request | held, answer
            held = {name: answer[output] for name, output in self.states.items()}


def write(samples: Samples, folder: Path, name: str) -> Path:
    """Write samples as users have them: `.npz`, `.jsonl` where shapes differ, a folder for a recording."""
    folder.mkdir(parents=True, exist_ok=True)
    if samples.sound is not None:
        (folder / name).mkdir(exist_ok=True)
        with wave.open(str(folder / name / "sound.wav"), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes((samples.sound * 32768).astype(np.int16).tobytes())
        return folder / name
    shapes = {tuple(np.shape(value) for value in request.values()) for request in samples.requests}
    if len(shapes) == 1:
        columns = {key: np.stack([request[key] for request in samples.requests]) for key in samples.requests[0]}
        if all(value.shape[1:2] == (1,) for value in columns.values()):
            columns = {key: value[:, 0] for key, value in columns.items()}
        np.savez(folder / f"{name}.npz", label=samples.labels, **columns)
        return folder / f"{name}.npz"
    with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as lines:
        for request, label in zip(samples.requests, samples.labels.tolist(), strict=True):
            row = {key: value.tolist() for key, value in request.items()}
            lines.write(json.dumps(row | {"label": label}) + "\n")
    return folder / f"{name}.jsonl"


def sampler(
    evaluation: Callable[[], Sequence[Any]],
    calibration: Callable[[], Sequence[Any]],
    request: Callable[[Any], Request],
    label: Callable[[Any, Answer], Any],
) -> Callable[[Reference], tuple[Samples, Samples]]:
    """Return what makes both sets: `request` of each item, `label` of the item and the original's answer."""

    def make(original: Reference) -> tuple[Samples, Samples]:
        both = []
        for items in (evaluation(), calibration()):
            requests = [request(item) for item in items]
            answers = [original.run(request) for request in requests]
            labels = [label(item, answer) for item, answer in zip(items, answers, strict=True)]
            both.append(Samples(requests, np.asarray(labels)))
        return both[0], both[1]

    return make


def first(answer: Answer) -> Any:
    """Return the first output."""
    return next(iter(answer.values()))


def flat(_: Any, answer: Answer) -> np.ndarray:
    """Return all outputs in one vector."""
    return np.concatenate([np.ravel(value) for value in answer.values()])


# Pictures


def photos(count: int, names: Sequence[str] = _EVALUATED) -> list[Image.Image]:
    """Return views of photographs in turn: each whole, then cut and mirrored; one named twice comes twice as often."""
    turns = [names[i % len(names)] for i in range(count)]
    return [data.view(data.photo(name), turns[:i].count(name)) for i, name in enumerate(turns)]


def portraits(count: int, start: int) -> list[Image.Image]:
    """Return pictures that faces and other patches stand in, three by three or alone, on grey."""
    patches = (data.faces() * 255).astype(np.uint8)
    found = []
    for number in range(count):
        rng = np.random.default_rng(start * 1000 + number)
        page = Image.new("RGB", (320, 320), (int(rng.integers(60, 200)),) * 3)
        side = 3 if number % 2 else 1
        for place in range(side * side):
            patch = start + int(rng.integers(0, 50)) + (100 if rng.random() < 0.2 else 0)
            size = int(rng.integers(200, 300) // side)
            corner = (320 * (place % side) // side + 10 // side, 320 * (place // side) // side + 10 // side)
            page.paste(Image.fromarray(patches[patch]).resize((size, size), Image.Resampling.BICUBIC), corner)
        found.append(page)
    return found


def people(count: int, part: int) -> list[Image.Image]:
    """Return photographs, half of them with faces; parts 0 and 1 share no photograph and no face."""
    names = (("astronaut.png", *_EVALUATED), ("china.jpg", *_OTHERS))[part]
    half = count // 2
    return [*photos(half, names), *portraits(count - half, 50 * part)]


def boxed(image: Image.Image, size: int = 320) -> Request:
    """Return nudenet's input: padded to a square at the right and below, RGB in 0 to 1, float32 [1, 3, size, size]."""
    square = Image.new("RGB", (max(image.size),) * 2)
    square.paste(image)
    pixels = np.asarray(square.resize((size, size), Image.Resampling.BILINEAR), np.float32) / 255
    return {"images": np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])}


def centred(image: Image.Image) -> Request:
    """Return opennsfw's input: the middle of the picture, BGR less the mean, float32 [1, 224, 224, 3]."""
    pixels = np.asarray(image.resize((256, 256), Image.Resampling.BILINEAR).crop((16, 16, 240, 240)), np.float32)
    return {"input:0": (pixels[:, :, ::-1] - np.array([104, 117, 123], np.float32))[None]}


def square(size: int) -> Callable[[Image.Image], Request]:
    """Return what makes BlazeFace's input: a square in -1 to 1, float32 [1, size, size, 3]."""

    def request(image: Image.Image) -> Request:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        cut = image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BILINEAR)
        return {"input:0": np.asarray(cut, np.float32)[None] / 127.5 - 1}

    return request


def face(_: Any, answer: Answer) -> np.ndarray:
    """Return the most likely face's probability and anchor."""
    return np.array(best_face(value for value in answer.values() if value.shape[-1] == 1), np.float64)


# Text in pictures


def lines(count: int, part: int) -> list[Image.Image]:
    """Return rendered lines of text."""
    return [data.render(text, 10_000 * part + i) for i, text in enumerate(data.strings(count, part))]


def line(image: Image.Image, width: int = 320) -> Request:
    """Return PP-OCR's input for one line: 48 high, in -1 to 1, zeros to the right, float32 [1, 3, 48, width]."""
    fitted = image.resize((min(width, round(image.width * 48 / image.height)), 48), Image.Resampling.BILINEAR)
    pixels = np.zeros((1, 3, 48, width), np.float32)
    pixels[0, :, :, : fitted.width] = np.asarray(fitted, np.float32).transpose(2, 0, 1) / 127.5 - 1
    return {"x": pixels}


def turned(count: int, part: int) -> list[tuple[Image.Image, int]]:
    """Return lines, every second upside down: the picture, and 1 where it was turned."""
    pictures = lines(count, part)
    return [(picture.rotate(180) if i % 2 else picture, i % 2) for i, picture in enumerate(pictures)]


def pages(count: int, part: int) -> list[Image.Image]:
    """Return pages of text, 320 by 320: cut out of a scanned one, or set of rendered lines."""
    found = []
    for number in range(count):
        if number % 3 == 0:
            found.append(data.view(data.photo("text.png" if part else "page.png"), number + 1).resize((320, 320)))
            continue
        page = Image.new("RGB", (320, 320), (255, 255, 255))
        for row, text in enumerate(data.strings(6, 2 * number + part)):
            page.paste(data.render(text, number + 77 * part).resize((200 + 10 * row, 30)), (5 + 12 * row, 8 + 52 * row))
        found.append(page)
    return found


def page(image: Image.Image) -> Request:
    """Return PP-OCR's input for a whole page: ImageNet's mean and deviation, float32 [1, 3, height, width]."""
    pixels = np.asarray(image, np.float32) / 255
    normal = (pixels - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    return {"x": np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32)}


# Sound


def speech(original: Reference) -> tuple[Samples, Samples]:
    """Return frames of speech for silero-vad: 512 samples after 64 that came before, and the state carried along.

    Calibration hears the recording faster, with noise: there is only one.
    """
    _, sound = data.speech()
    rng = np.random.default_rng(0)
    faster = np.interp(np.arange(0, len(sound), 1.12), np.arange(len(sound)), sound)
    other = (0.6 * faster + rng.normal(0, 0.003, len(faster))).astype(np.float32)
    found = []
    for recording in (sound, other):
        recording = (recording * 32767).astype(np.int16).astype(np.float32) / 32768  # noqa: PLW2901  (as the file has it)
        frames = len(recording) // 512
        padded = np.concatenate([np.zeros(64, np.float32), recording[: frames * 512]])
        zero = np.zeros((2, 1, 128), np.float32)
        requests = [
            {"input": padded[None, 512 * i : 512 * i + 576], "state": zero, "sr": np.array(16000, np.int64)}
            for i in range(frames)
        ]
        samples = Samples(requests, np.zeros(frames, np.int64), {"state": "stateN"}, recording)
        speaks = [int(answer["output"].item() > 0.5) for answer in samples.answers(original.run)]
        found.append(replace(samples, labels=np.array(speaks)))
    return found[0], found[1]


def note(item: tuple[int, float]) -> Request:
    """Return two seconds of one note for basic-pitch: key 0 to 87 of a piano, with overtones, at 22,050 Hz."""
    key, phase = item
    seconds = np.arange(43844) / 22050
    pitch = 440 * 2 ** ((key - 48) / 12)
    wave_ = sum(0.3 / part * np.sin(2 * np.pi * pitch * part * seconds + phase) for part in (1, 2, 3))
    return {"serving_default_input_2:0": np.asarray(wave_, np.float32)[None, :, None]}


# Text and tables


def sentence(text: str) -> Request:
    """Return MiniLM's inputs for one sentence."""
    return minilm.encode([text])


def embedded(_: Any, answer: Answer) -> np.ndarray:
    """Return the mean over tokens, of length 1."""
    mean = first(answer)[0].mean(0)
    return mean / np.linalg.norm(mean)


def ends(item: tuple[Path, int]) -> Request:
    """Return magika's input: the first and the last 1,024 bytes of a file, white space cut off, 256 for none."""
    content = item[0].read_bytes()
    head, tail = content[:4096].lstrip()[:1024], content[-4096:].rstrip()[-1024:]
    row = np.full(2048, 256, np.int32)
    row[: len(head)] = np.frombuffer(head, np.uint8)
    row[2048 - len(tail) :] = np.frombuffer(tail, np.uint8)
    return {"bytes": row[None]}


def tokens(ids: np.ndarray) -> Request:
    """Return LAC's inputs for one sentence."""
    return {"token_ids": ids[None], "length": np.array([len(ids)], np.int64)}


def tags(_: Any, answer: Answer) -> np.ndarray:
    """Return the most likely tag of each character, -1 after the last, int64 [40]."""
    found = first(answer)[0].argmax(1)
    return np.pad(found, (0, 40 - len(found)), constant_values=-1)


def drawn(name: str, count: int) -> Callable[[Reference], tuple[Samples, Samples]]:
    """Return what makes random rows for a model of tests.support.models, with all its answers as labels."""

    def rows(seed: int) -> list[Request]:
        batches = [models.feeds(name, seed + i) for i in range(count // 4)]
        return [{key: value[i : i + 1] for key, value in batch.items()} for batch in batches for i in range(4)]

    return sampler(lambda: rows(0), lambda: rows(10_000), lambda row: row, flat)


def table(name: str, most: int = 2000) -> Callable[[Reference], tuple[Samples, Samples]]:
    """Return what makes samples of a model trained here: the test split, and rows of the training split."""

    def make(_: Reference) -> tuple[Samples, Samples]:
        x_train, y_train, x, y = models.DERIVED[name].split()
        pairs = ((x[:most], y[:most]), (x_train[:200], y_train[:200]))
        found = [Samples([{"X": row[None]} for row in rows], labels) for rows, labels in pairs]
        return found[0], found[1]

    return make


SAMPLERS: dict[str, Callable[[Reference], tuple[Samples, Samples]]] = {
    "minilm": sampler(lambda: data.sentences(600), lambda: data.sentences(64, 1), sentence, embedded),
    "nudenet": sampler(
        lambda: photos(48, (*_EVALUATED, "astronaut.png")),
        lambda: [*photos(36, (*data.CLOSE, "china.jpg", "flower.jpg", "motorcycle_right.png")), *portraits(12, 50)],
        boxed,
        lambda _, answer: detections(first(answer)),
    ),
    "ocr_rec": sampler(
        lambda: lines(200, 1), lambda: lines(48, 2), line, lambda _, answer: read_line(first(answer), alphabet())
    ),
    "ocr_det": sampler(lambda: pages(18, 0), lambda: pages(12, 1), page, lambda _, a: first(a)[0, 0] > 0.3),
    "ocr_cls": sampler(
        lambda: turned(160, 1), lambda: turned(32, 2), lambda item: line(item[0], 192), lambda item, _: item[1]
    ),
    "magika": sampler(
        lambda: data.labelled_files(800), lambda: data.labelled_files(64, 1), ends, lambda item, _: item[1]
    ),
    "opennsfw": sampler(lambda: photos(24), lambda: photos(24, _OTHERS), centred, lambda _, a: float(first(a)[0, 1])),
    "silero": speech,
    "blazeface_front": sampler(lambda: people(60, 0), lambda: people(32, 1), square(128), face),
    "blazeface_back": sampler(lambda: people(60, 0), lambda: people(32, 1), square(256), face),
    "basic_pitch": sampler(
        lambda: [(key, 0.0) for key in range(12, 76)],
        lambda: [(key, 1.0) for key in range(12, 76, 4)],
        note,
        lambda item, _: item[0],
    ),
    "lac": sampler(lambda: data.tagged_text(120, 0), lambda: data.tagged_text(32, 1), tokens, tags),
    "atspm": drawn("atspm_phase", 64),
}
