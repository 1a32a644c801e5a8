"""The servers that are compared: each a command, in a folder, on a port."""

import json
import os
import shutil
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

__all__ = ["TITLES", "Server", "interpreter", "servers"]

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


def interpreter() -> tuple[Path, str]:
    """Return the Python of every arm, and its version: one that functions run on."""
    for minor in PYTHONS:
        if found := find_interpreter(minor):
            return found, minor
    return Path(sys.executable), f"{sys.version_info.major}.{sys.version_info.minor}"


def servers(case: Case, python: Path, minor: str, scratch: Path) -> dict[str, Server]:
    """Build every arm for the case below ``scratch``."""
    config = Config(
        model=ModelConfig(source=case.model, name=case.name),
        function=FunctionConfig(python=minor),  # type: ignore[arg-type]  # one of PYTHONS
    )
    plan = make_plan(config, "container", scratch / "container")
    execute(plan)
    bundle = scratch / "container" / "function"
    empty = scratch / "empty"
    shutil.copytree(bundle, empty)
    shutil.copy(APPS / "empty_server.py", empty / "server.py")
    for stale in (empty / "__pycache__").glob("server.*"):
        stale.unlink()
    listen = {"UVICORN_HOST": "127.0.0.1", "UVICORN_PORT": "{port}", "PYTHONDONTWRITEBYTECODE": "1"}
    packages = wheels(_PEERS, python, minor)
    peers = {"PYTHONPATH": os.pathsep.join((str(packages), str(APPS))), "MODEL": str(case.model)}
    uvicorn = ("-m", "uvicorn", "fastapi_server:app", "--http", "httptools", "--loop", "uvloop", "--ws", "none")
    quiet = ("--no-access-log", "--log-level", "warning", "--port", "{port}")
    own = (str(python), *COMMAND[1:])
    return {
        "coldpress": Server("coldpress", own, bundle, listen),
        "fastapi": Server("fastapi", (str(python), "-S", *uvicorn, *quiet), APPS, peers),
        "litserve": Server("litserve", (str(python), "-S", "litserve_server.py", "{port}"), APPS, peers),
        "empty": Server("empty", own, empty, listen),
    }


def init_ms(log: str) -> float:
    """Return what coldpress says that its opening took, engine and model and all, from its first line of log."""
    for line in log.splitlines():
        if line.startswith("{") and "init" in (record := json.loads(line)):
            return float(record["init"]["total_ms"])
    return 0.0
