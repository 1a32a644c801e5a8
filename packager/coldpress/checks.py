"""What ``coldpress doctor`` looks at: each check says ok, warn or fail, and what to do when it is not ok."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from coldpress.errors import PackError

__all__ = ["Check", "run_checks"]

_PYTHONS = ("3.12", "3.13", "3.14")  # Lambda's, of those that the engine's wheels exist for
_ROOM_BYTES = 1_000_000_000  # for a build's copies of the engine and a model of the largest size that fits
_ARM64 = (
    "older ONNX Runtimes stop at load on Lambda's arm64, where /sys names no processors; this one should only warn "
    "(github.com/microsoft/onnxruntime/issues/10038): invoke a deployed function once before you rely on it"
)


@dataclass(frozen=True)
class Check:
    """One finding: ``status`` is ok, warn or fail; ``advice`` is empty when there is nothing to do."""

    name: str
    status: str
    found: str
    advice: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the record that ``doctor --json`` prints."""
        return asdict(self)


def run_checks(project: Path, *, online: bool = False) -> tuple[Check, ...]:
    """Look at this machine and at the project in ``project``; ask the package index only when ``online``."""
    looks: list[Callable[[], Check]] = [_python, _engine, _pip, _interpreters, _sam, _credentials, _cache]
    checks = [look() for look in looks]
    checks += [_free("out", project), *_project(project)]
    return (*checks, _index()) if online else tuple(checks)


def _python() -> Check:
    found = f"{platform.python_implementation()} {platform.python_version()} on {sys.platform} {platform.machine()}"
    if sys.version_info < (3, 11):  # noqa: UP036  (a checkout can be run by any Python, and this is where to say so)
        return Check("python", "fail", found, "coldpress runs on Python 3.11 or later: install one")
    if sys.platform == "win32":
        return Check("python", "warn", found, "built functions are Linux's: use WSL to verify and measure them")
    return Check("python", "ok", found)


def _engine() -> Check:
    from coldpress.bundle.wheels import engine_pins, installed_engine  # noqa: PLC0415  (doctor must start without it)

    pin = engine_pins()["version"]
    again = f"run `pip install --force-reinstall --no-deps onnxruntime=={pin}`"
    try:
        installed = version("onnxruntime")
    except PackageNotFoundError:
        return Check("engine", "fail", "onnxruntime is not installed", again)
    if installed != pin:
        advice = f"the bundle carries {pin}, and models must be checked with the same: {again}"
        return Check("engine", "fail", f"onnxruntime {installed}", advice)
    architecture = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine())
    if sys.platform != "linux" or architecture is None:
        return Check("engine", "ok", f"onnxruntime {installed}; the library for Linux is fetched when packing")
    engine = installed_engine(architecture)
    if engine is None:
        return Check("engine", "fail", f"onnxruntime {installed}, whose library is not the pinned file", again)
    return Check("engine", "ok", f"onnxruntime {installed}, {engine.path.name} is the pinned file")


def _pip() -> Check:
    code, said = _run([sys.executable, "-m", "pip", "--version"])
    if code:
        return Check("pip", "fail", "pip does not run", f"run `{sys.executable} -m ensurepip --upgrade`")
    return Check("pip", "ok", " ".join(said.split()[:2]))


def _interpreters() -> Check:
    from coldpress.interpreters import find_interpreter  # noqa: PLC0415  (as above)

    found = [minor for minor in _PYTHONS if find_interpreter(minor)]
    missing = [minor for minor in _PYTHONS if minor not in found]
    text = f"CPython {', '.join(found)}" if found else "none of CPython " + ", ".join(_PYTHONS)
    if not missing:
        return Check("bytecode", "ok", text)
    advice = (
        f"for functions on {', '.join(missing)}, install that Python here (`uv python install {missing[-1]}`, pyenv): "
        "without it modules are compiled at every cold start"
    )
    return Check("bytecode", "warn", text, advice)


def _sam() -> Check:
    command = shutil.which("sam")
    if not command:
        return Check("sam", "warn", "no `sam` on PATH", "to deploy to AWS, run `uv tool install aws-sam-cli`")
    code, said = _run([command, "--version"])
    if code:
        return Check("sam", "fail", f"{command} does not run", "install aws-sam-cli again")
    return Check("sam", "ok", said.strip())


def _credentials() -> Check:
    """Look where AWS's own tools look first; only whether there are any, never what they say."""
    named = [
        name for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE") if os.environ.get(name)
    ]
    files = [
        Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials"),
        Path(os.environ.get("AWS_CONFIG_FILE") or Path.home() / ".aws" / "config"),
    ]
    if named:
        return Check("credentials", "ok", f"AWS credentials named by {named[0]}")
    if any(place.is_file() for place in files):
        return Check("credentials", "ok", "AWS settings in a file")
    return Check("credentials", "warn", "no AWS credentials", "only deploying needs them: run `aws configure sso`")


def _cache() -> Check:
    from coldpress.cache import cache_dir  # noqa: PLC0415  (as above)

    try:
        return _free("cache", cache_dir())
    except OSError as error:
        found, _, advice = str(error).partition("; ")
        return Check("cache", "fail", found, advice.rstrip("."))


def _free(name: str, folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.1f} GB free at {folder}"
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Check(name, "fail", f"{folder} cannot be written: {error.strerror}", "choose another folder")
    if free < _ROOM_BYTES:
        return Check(name, "warn", found, f"a build may need {_ROOM_BYTES / 1e9:.0f} GB: make room")
    return Check(name, "ok", found)


def _project(folder: Path) -> list[Check]:
    path = folder / "coldpress.toml"
    if not path.is_file():
        return [Check("project", "ok", "no coldpress.toml here: defaults apply")]
    from coldpress.config import load_config  # noqa: PLC0415  (only with a project)

    try:
        config = load_config(path)
    except PackError as error:
        return [Check("project", "fail", "coldpress.toml cannot be used", str(error))]
    checks = [
        Check("project", "ok", f"coldpress.toml: CPython {config.function.python}, {config.function.architecture}")
    ]
    for name, place in (("model", config.model.source), ("hooks", config.function.hooks)):
        if place is not None and not place.is_file():
            checks.append(Check(name, "fail", f"{place} is not there", f"correct the path of {name} in coldpress.toml"))
    if config.function.architecture == "arm64":
        checks.append(Check("arm64", "warn", "the function is for arm64", _ARM64))
    return checks


def _index() -> Check:
    """Ask pip, with its own settings, for the list of one package's versions."""
    code, said = _run([sys.executable, "-m", "pip", "index", "versions", "six", "--disable-pip-version-check"], 60)
    if code:
        reason = (said.strip().splitlines() or ["no answer"])[-1]
        return Check("index", "fail", reason[:200], "check pip's settings: `pip config list`, proxy, certificates")
    return Check("index", "ok", "pip's package index answers")


def _run(command: list[str], timeout: float = 30) -> tuple[int, str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, done.stdout or done.stderr
