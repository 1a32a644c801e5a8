"""What ``coldpress doctor`` looks at: each check says ok, warn or fail, and what to do when it is not ok."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from coldpress.errors import PackError
from coldpress.targets import TARGETS, Target

__all__ = ["Check", "run_checks"]

_PYTHONS = ("3.12", "3.13", "3.14")  # the providers', of those that the engine's wheels exist for
_ROOM_BYTES = 1_000_000_000  # for a build's copies of the engine and a model of the largest size that fits
_ARM64 = (
    "older ONNX Runtimes stop at load on Lambda's arm64, where /sys names no processors; this one should only warn "
    "(github.com/microsoft/onnxruntime/issues/10038): invoke a deployed function once before you rely on it"
)


@dataclass(frozen=True)
class Tool:
    """What deploys to a target: the command, how it is had, and where it looks for credentials.

    Attributes:
        variables: environment variables that name credentials.
        files: the default place below the home folder, by the variable that can name another one.
    """

    name: str
    install: str
    login: str
    variables: tuple[str, ...]
    files: Mapping[str, str]


_TOOLS = {
    "aws": Tool(
        "sam",
        "run `uv tool install aws-sam-cli`",
        "aws configure sso",
        ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        {"AWS_SHARED_CREDENTIALS_FILE": ".aws/credentials", "AWS_CONFIG_FILE": ".aws/config"},
    ),
    "gcp": Tool(
        "gcloud",
        "install the Google Cloud CLI (cloud.google.com/sdk/docs/install)",
        "gcloud auth login",
        ("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE"),
        {"CLOUDSDK_CONFIG": ".config/gcloud"},
    ),
    "azure": Tool(
        "az",
        "run `uv tool install azure-cli`",
        "az login",
        (),
        {"AZURE_CONFIG_DIR": ".azure"},
    ),
    "alibaba": Tool(
        "s",
        "run `npm install --global @serverless-devs/s`",
        "s config add",
        (),
        {"serverless_devs_config_home": ".s"},
    ),
    "container": Tool(
        "docker",
        "install Docker, or Podman under that name",
        "docker login",
        (),
        {"DOCKER_CONFIG": ".docker"},
    ),
}


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


def run_checks(project: Path, *, target: str = "aws", online: bool = False) -> tuple[Check, ...]:
    """Look at this machine and at the project in ``project``, for one target.

    Args:
        project: a folder, which may hold a ``coldpress.toml``.
        target: where functions are to be deployed.
        online: whether to ask the package index, too.
    """
    looks: list[Callable[[], Check]] = [_python, _engine, _pip, _interpreters]
    checks = [look() for look in looks]
    checks += [look(TARGETS[target], _TOOLS[target]) for look in (_tool, _credentials)]
    checks += [_cache(), _free("out", project), *_project(project, TARGETS[target])]
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


def _tool(target: Target, tool: Tool) -> Check:
    command = shutil.which(tool.name)
    if not command:
        return Check(tool.name, "warn", f"no `{tool.name}` on PATH", f"to deploy to {target.title}, {tool.install}")
    code, said = _run([command, "--version"])
    if code:
        return Check(tool.name, "fail", f"{command} does not run", f"install it again: {tool.install}")
    return Check(tool.name, "ok", (said.strip().splitlines() or [command])[0])


def _credentials(target: Target, tool: Tool) -> Check:
    """Look where the provider's own tools look first; only whether there are any, never what they say."""
    named = [name for name in tool.variables if os.environ.get(name)]
    files = [Path(os.environ.get(variable) or Path.home() / place) for variable, place in tool.files.items()]
    if named:
        return Check("credentials", "ok", f"{target.title} credentials named by {named[0]}")
    if any(place.exists() for place in files):
        return Check("credentials", "ok", f"{target.title} settings in a file")
    found = f"no credentials for {target.title}"
    return Check("credentials", "warn", found, f"only deploying needs them: run `{tool.login}`")


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


def _project(folder: Path, target: Target) -> list[Check]:
    path = folder / "coldpress.toml"
    if not path.is_file():
        return [Check("project", "ok", "no coldpress.toml here: defaults apply")]
    from coldpress.config import load_config  # noqa: PLC0415  (only with a project)

    try:
        config = load_config(path)
        function = target.check(config)
        target.values(config, "model")
    except PackError as error:
        return [Check("project", "fail", f"coldpress.toml cannot be used for {target.title}", str(error))]
    checks = [Check("project", "ok", f"coldpress.toml: CPython {function.python}, {function.architecture}")]
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
