"""The servers that are compared: each a command, in a folder, on a port."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.arms import PYTHONS, Arm, wheels
from benchmarks.cases import Case
from coldpress.config import Config, FunctionConfig, ModelConfig
from coldpress.emulate.process import CLEAN
from coldpress.interpreters import find_interpreter
from coldpress.pack import execute
from coldpress.plan import make_plan
from coldpress.render.container import COMMAND

__all__ = ["TITLES", "Server", "fastapi", "interpreter", "litserve", "peer_variables", "servers"]

APPS = Path(__file__).with_name("apps")
TITLES = {
    "coldpress": "coldpress",
    "fastapi": "FastAPI + uvicorn (uvloop, httptools) + orjson, by hand",
    "litserve": "LitServe",
    "empty": "uvicorn without an application",
}
_PEERS = Arm("serve", "the peers of benchmarks/serve", "bench-serve")


@dataclass(frozen=True)
class Server:
    """How to start one; ``{port}`` in a word or a variable is the port."""

    name: str
    command: tuple[str, ...]
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def on(self, port: int) -> tuple[list[str], dict[str, str]]:
        """Return the command and the variables for a port."""
        words = [word.replace("{port}", str(port)) for word in self.command]
        return words, {name: text.replace("{port}", str(port)) for name, text in {**CLEAN, **self.variables}.items()}


def interpreter(wanted: Path | None = None) -> tuple[Path, str]:
    """Return the Python of every arm, and its version: one that is built like that of images, if there is one.

    Official images and distributions compile Python with the help of a profile, which makes it a third faster than one
    that people compile for themselves; and that third falls on some servers more than on others.
    """
    found = [path for minor in PYTHONS if (path := find_interpreter(minor))]
    question = "import sysconfig; print('--enable-optimizations' in str(sysconfig.get_config_var('CONFIG_ARGS')))"
    built_well = [path for path in found if _asked(path, question) == "True"]
    distribution = [path for path in (Path("/usr/bin/python3"),) if path.exists()]  # which does not say so
    chosen = wanted or (*built_well, *distribution, *found, Path(sys.executable))[0]
    return chosen, _asked(chosen, "import sys; print('%d.%d' % sys.version_info[:2])")


def _asked(python: Path, question: str) -> str:
    done = subprocess.run([python, "-I", "-S", "-c", question], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def servers(case: Case, python: Path, minor: str, scratch: Path) -> dict[str, Server]:
    """Build every arm for the case below ``scratch``."""
    packages = wheels(_PEERS, python, minor)
    bundle = _pack(case, python, minor, packages, scratch / "container")
    empty = scratch / "empty"
    shutil.copytree(bundle, empty)
    shutil.copy(APPS / "empty_server.py", empty / "server.py")
    for stale in (empty / "__pycache__").glob("server.*"):
        stale.unlink()
    listen = {"UVICORN_HOST": "127.0.0.1", "UVICORN_PORT": "{port}", "PYTHONDONTWRITEBYTECODE": "1"}
    own = (str(python), *COMMAND[1:])
    return {
        "coldpress": Server("coldpress", own, bundle, listen),
        "fastapi": fastapi(case, python, packages),
        "litserve": litserve(case, python, packages),
        "empty": Server("empty", own, empty, listen),
    }


def fastapi(case: Case, python: Path, packages: Path) -> Server:
    """Return the server that people write by hand, around a case's model."""
    words = ("-m", "uvicorn", "fastapi_server:app", "--http", "httptools", "--loop", "uvloop", "--ws", "none")
    quiet = ("--no-access-log", "--log-level", "warning", "--port", "{port}")
    return Server("fastapi", (str(python), "-S", *words, *quiet), APPS, peer_variables(case, packages, APPS))


def litserve(case: Case, python: Path, packages: Path) -> Server:
    """Return LitServe around a case's model."""
    command = (str(python), "-S", "litserve_server.py", "{port}")
    return Server("litserve", command, APPS, peer_variables(case, packages, APPS))


def peer_variables(case: Case, packages: Path, apps: Path) -> dict[str, str]:
    """Return what a peer's server is told: where its packages and its application are, and the model."""
    return {"PYTHONPATH": os.pathsep.join((str(packages), str(apps))), "MODEL": str(case.model)}


def _pack(case: Case, python: Path, minor: str, packages: Path, out: Path) -> Path:
    """Pack a container; one for a Python that functions do not run on gets its httptools and bytecode from here."""
    function = FunctionConfig(python=minor) if minor in PYTHONS else FunctionConfig()  # type: ignore[arg-type]
    config = Config(model=ModelConfig(source=case.model, name=case.name), function=function)
    execute(make_plan(config, "container", out))
    bundle = out / "function"
    if minor not in PYTHONS:
        shutil.rmtree(bundle / "httptools")
        shutil.copytree(packages / "httptools", bundle / "httptools")
        for compiled in list(bundle.rglob("__pycache__")):
            shutil.rmtree(compiled)
        command = [python, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", bundle]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return bundle


def init_ms(log: str) -> float:
    """Return what coldpress says that its opening took, engine and model and all, from its first line of log."""
    for line in log.splitlines():
        if line.startswith("{") and "init" in (record := json.loads(line)):
            return float(record["init"]["total_ms"])
    return 0.0
