"""The servers that are compared: the endpoint, and what people would put in its place."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arms import ROOT, Arm, wheels
from benchmarks.cases import OIP, Case
from benchmarks.serve.arms import Server, fastapi, litserve, peer_variables
from coldpress.config import Config, ModelConfig
from coldpress.emulate.server import free_port
from coldpress.fallback.endpoint import FOLDER
from coldpress.fallback_config import FallbackConfig
from coldpress.pack import execute
from coldpress.plan import make_plan

__all__ = ["TITLES", "Asked", "endpoint", "peers"]

APPS = Path(__file__).with_name("apps")
TITLES = {
    "coldpress": "coldpress's endpoint",
    "fastapi": "FastAPI + uvicorn (uvloop, httptools) + orjson, by hand",
    "litserve": "LitServe",
    "bentoml": "BentoML",
    "mlserver": "MLServer, no parallel workers",
}
_LOCKS = {
    "coldpress": "bench-fallback",
    "fastapi": "bench-serve",
    "litserve": "bench-serve",
    "bentoml": "bench-fallback-bentoml",
    "mlserver": "bench-fallback-mlserver",
}
_MLSERVER = "from mlserver.cli import main; main()"
_NAMES = {"bench-fallback": "endpoint", "bench-serve": "serve"}


@dataclass(frozen=True)
class Asked:
    """A server, and the request that it takes: ``body`` is JSON, in the form of the server's own protocol."""

    server: Server
    path: str
    body: bytes

    def read(self, content: bytes, like: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs of an answer, in the element types of ``like``; raw numbers may follow the JSON."""
        document, end = json.JSONDecoder().raw_decode(content.decode("latin-1"))
        outputs = document["outputs"]
        if not isinstance(outputs, list):
            return {name: np.asarray(outputs[name], value.dtype) for name, value in like.items()}
        found = {}
        for each in outputs:
            value = like[each["name"]]
            size = each.get("parameters", {}).get("binary_data_size")
            flat = np.asarray(each["data"], value.dtype) if size is None else None
            if flat is None:
                flat, end = np.frombuffer(content[end : end + size], value.dtype), end + size
            found[each["name"]] = flat.reshape(value.shape)
        return found


def endpoint(case: Case, python: Path, minor: str, build: Path, *, threads: int = 1, **settings: Any) -> Server:
    """Return the endpoint's server as ``pack`` writes it around a case's model, below ``build``.

    ``settings`` are those of the server by their variables' names, such as ``MAX_BATCH``.
    """
    if not build.exists():
        config = Config(
            model=ModelConfig(source=case.model, name=case.name),
            fallback=FallbackConfig(endpoint="kubernetes", when=("error",)),
        )
        execute(make_plan(config, "container", build))
    models = build / FOLDER / "models"
    packages = _wheels("coldpress", python, minor)
    variables = {
        "PYTHONPATH": os.pathsep.join((str(packages), str(ROOT / "handlers"))),
        "COLDPRESS_MODELS": str(models),
        "COLDPRESS_HOST": "127.0.0.1",
        "COLDPRESS_PORT": "{port}",
        "COLDPRESS_THREADS": str(threads),
        "COLDPRESS_PROVIDERS": "cpu",
        **{f"COLDPRESS_{name}": str(value) for name, value in settings.items()},
    }
    return Server("coldpress", (str(python), "-S", "-m", "coldpress_endpoint"), models, variables)


def peers(case: Case, python: Path, minor: str, scratch: Path) -> tuple[dict[str, Asked], dict[str, str]]:
    """Return the other servers around a case's model, and why those are not there that cannot be installed."""
    makers = {"fastapi": _fastapi, "litserve": _litserve, "bentoml": _bentoml, "mlserver": _mlserver}
    found, missing = {}, {}
    for name, make in makers.items():
        try:
            packages = _wheels(name, python, minor)
        except subprocess.CalledProcessError as error:
            missing[name] = f"requirements/{_LOCKS[name]}.txt could not be installed (status {error.returncode})"
            continue
        found[name] = make(case, python, packages, scratch / name)
    return found, missing


def _wheels(name: str, python: Path, minor: str) -> Path:
    lock = _LOCKS[name]
    return wheels(Arm(_NAMES.get(lock, lock), name, lock), python, minor)


def _fastapi(case: Case, python: Path, packages: Path, _: Path) -> Asked:
    return Asked(fastapi(case, python, packages), "/predict", case.request.body)


def _litserve(case: Case, python: Path, packages: Path, _: Path) -> Asked:
    return Asked(litserve(case, python, packages), "/predict", case.request.body)


def _bentoml(case: Case, python: Path, packages: Path, scratch: Path) -> Asked:
    scratch.mkdir(parents=True)
    told = peer_variables(case, packages, APPS) | {
        "BENTOML_HOME": str(scratch),
        "BENTOML_DO_NOT_TRACK": "True",
        "HOME": str(scratch),
    }
    words = ("-m", "bentoml", "serve", "bentoml_service:Model", "--host", "127.0.0.1", "--port", "{port}")
    return Asked(Server("bentoml", (str(python), *words), APPS, told), "/predict", case.request.body)


def _mlserver(case: Case, python: Path, packages: Path, scratch: Path) -> Asked:
    scratch.mkdir(parents=True)
    model = {"name": case.name, "implementation": "mlserver_model.Model"}
    (scratch / "model-settings.json").write_text(json.dumps(model))
    (scratch / "settings.json").write_text(json.dumps({"parallel_workers": 0, "host": "127.0.0.1", "debug": False}))
    told = peer_variables(case, packages, APPS) | {
        "MLSERVER_HTTP_PORT": "{port}",
        "MLSERVER_GRPC_PORT": str(free_port()),
        "MLSERVER_METRICS_PORT": str(free_port()),
    }
    inputs = [
        {"name": name, "datatype": OIP[str(value.dtype)], "shape": list(value.shape), "data": value.ravel().tolist()}
        for name, value in case.feeds.items()
    ]
    body = json.dumps({"inputs": inputs}, separators=(",", ":")).encode()
    server = Server("mlserver", (str(python), "-c", _MLSERVER, "start", str(scratch)), scratch, told)
    return Asked(server, f"/v2/models/{case.name}/infer", body)
