"""The functions that are compared: each arm turns a model into an unpacked Lambda function of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import onnxruntime as ort

from benchmarks.cases import Case
from coldpress.cache import cache_dir
from coldpress.emulate.process import unpack
from coldpress.errors import BundleError

__all__ = ["ARMS", "PYTHONS", "ROOT", "Arm", "Sizes", "build", "sizes", "wheels"]

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.13", "3.14", "3.12")  # Lambda's, the one that functions get unless asked first
APPS = Path(__file__).with_name("apps")
# What an expert deletes from the wheels: everything that inference does not open (seen with file-access tracing), the
# second copy of the engine included.
PRUNED = (
    "onnxruntime/tools", "onnxruntime/transformers", "onnxruntime/quantization", "onnxruntime/datasets",
    "onnxruntime/backend", "onnxruntime/capi/libonnxruntime*", "onnxruntime/ThirdPartyNotices.txt", "flatbuffers*",
    "google", "protobuf*", "packaging*", "bin", "numpy/f2py", "numpy/tests", "numpy/*/tests", "numpy/testing",
    "numpy/_core/include", "numpy/_core/lib", "numpy/random/lib", "numpy/random/_examples", "numpy/**/*.pyi",
    "*.dist-info",
)  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """One way to ship a model.

    Attributes:
        lock: the requirements file of its wheels, or "" for none.
        bytecode: whether its wheels are shipped compiled.
        prepare: turns the case's model into what is shipped; returns its file name in the folder.
    """

    name: str
    title: str
    lock: str = ""
    bytecode: bool = True
    pruned: tuple[str, ...] = ()
    prepare: Callable[[Case, Path], str] | None = None


@dataclass(frozen=True)
class Sizes:
    """Bytes of a function without its model: on disk, and each file deflated at level 6 (a zip without its headers)."""

    unzipped: int
    zipped: int
    model: int


def _as_it_is(case: Case, folder: Path) -> str:
    shutil.copy(case.model, folder / "model.onnx")
    return "model.onnx"


def _optimised(case: Case, folder: Path) -> str:
    """Optimise for this very CPU, as an expert who builds where he runs; ORT format where it can be written."""
    for name in ("model.ort", "model.onnx"):
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.optimized_model_filepath = str(folder / name)
        if name.endswith(".ort"):
            options.add_session_config_entry("session.save_model_format", "ORT")
        try:
            ort.InferenceSession(str(case.model), options, providers=["CPUExecutionProvider"])
        except Exception:  # noqa: BLE001  (then the other format; the plain file always works)
            continue
        return name
    return _as_it_is(case, folder)


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("floor", "empty handler"),
        Arm(
            "naive", "onnxruntime + numpy, as `sam build` ships them", "bench-naive", bytecode=False, prepare=_as_it_is
        ),
        Arm("expert", "the same by an expert", "bench-naive", pruned=PRUNED, prepare=_optimised),
        Arm("tract", "tract + numpy", "bench-tract", prepare=_as_it_is),
        Arm("fastapi", "FastAPI with Mangum, onnxruntime", "bench-fastapi", prepare=_as_it_is),
        Arm("coldpress", "coldpress"),
    )
}


def build(arm: Arm, case: Case, python: Path, minor: str, folder: Path) -> None:
    """Write the arm's function for the case into ``folder``, for the interpreter ``python`` of version ``minor``."""
    if arm.name == "coldpress":
        _pack(case, python, minor, folder)
        return
    folder.mkdir(parents=True)
    if arm.lock:
        shutil.copytree(wheels(arm, python, minor), folder, dirs_exist_ok=True, copy_function=os.link)
        shutil.copy(APPS / "wire.py", folder)
    shutil.copy(APPS / f"{arm.name}.py", folder / "app.py")
    if arm.prepare is not None:
        model = arm.prepare(case, folder)
        (folder / "spec.py").write_text(_spec(case, model), encoding="utf-8")
    if arm.bytecode:
        _compile(python, folder, "-l")


def _spec(case: Case, model: str) -> str:
    """Return what a handler knows of its model, as Python."""
    short = {"float32": "f32", "int64": "i64", "int32": "i32", "float64": "f64"}
    facts = [",".join([*map(str, value.shape), short[str(value.dtype)]]) for value in case.feeds.values()]
    return (
        f"MODEL = {model!r}\n"
        f"INPUTS = { {name: str(value.dtype) for name, value in case.feeds.items()}!r}\n"
        f"ORDER = {list(case.feeds)!r}\n"
        f"OUTPUTS = {list(case.expected)!r}\n"
        f"FACTS = {facts!r}\n"
    )


def wheels(arm: Arm, python: Path, minor: str) -> Path:
    """Install the arm's locked wheels into a folder of the cache, once, and give that folder."""
    lock = ROOT / "requirements" / f"{arm.lock}.txt"
    recipe = repr((lock.read_text(), minor, arm.bytecode, arm.pruned))
    home = cache_dir("bench") / f"{arm.name}-{minor}-{sha256(recipe.encode()).hexdigest()[:12]}"
    if home.is_dir():
        return home
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        target = Path(scratch, "tree")
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}") or "uv"
        command = [uv, "pip", "install", "--quiet", "--target", str(target), "--link-mode", "copy"]
        command += ["--python-version", minor, "--python-platform", f"{os.uname().machine}-manylinux_2_28"]
        command += [
            "--require-hashes",
            "--only-binary",
            ":all:",
            "--requirement",
            str(lock),
            "--python",
            sys.executable,
        ]
        subprocess.run(command, check=True)
        for pattern in arm.pruned:
            for path in list(target.glob(pattern)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        if arm.bytecode:
            _compile(python, target)
        target.rename(home)
    return home


def _compile(python: Path, folder: Path, *options: str) -> None:
    """Compile with unchecked hashes; files of another Python's syntax in the wheels are none of our business."""
    command = [
        str(python),
        "-I",
        "-m",
        "compileall",
        "-q",
        *options,
        "--invalidation-mode",
        "unchecked-hash",
        str(folder),
    ]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)


def pack(case: Case, minor: str, out: Path, target: str = "aws") -> dict[str, Any]:
    """Run `coldpress pack` as a user would, for Python ``minor`` where Lambda has it; return its JSON."""
    command = [
        sys.executable,
        "-m",
        "coldpress",
        "pack",
        str(case.model),
        "--target",
        target,
        "--out",
        str(out),
        "--json",
    ]
    command += ["--name", case.name, *(["--python", minor] if minor in PYTHONS else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BundleError(f"`coldpress pack` of {case.name} failed: {done.stderr.strip().splitlines()[-1]}")
    return dict(json.loads(done.stdout))


def _pack(case: Case, python: Path, minor: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        pack(case, minor, Path(scratch, "aws"))
        unpack(Path(scratch, "aws", "function.zip"), folder)
    if minor not in PYTHONS:  # the packer compiled for the function's own Python; here all arms run on this one
        for compiled in list(folder.rglob("__pycache__")):
            shutil.rmtree(compiled)
        _compile(python, folder)


def sizes(folder: Path) -> Sizes:
    """Measure a function's bytes, its model's apart."""
    unzipped = zipped = model = 0
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        if path.parent.name == "model" or path.name in {"model.onnx", "model.ort"}:
            model += path.stat().st_size
            continue
        content = path.read_bytes()
        unzipped += len(content)
        zipped += len(zlib.compress(content, 6))
    return Sizes(unzipped, zipped, model)
