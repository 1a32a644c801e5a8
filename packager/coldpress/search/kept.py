"""What a search found, kept by the hash of all that went into it: the same inputs give the same bytes, and at once."""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from coldpress.bundle.wheels import sha256_of
from coldpress.cache import cache_dir, keep_anew
from coldpress.model.files import model_files
from coldpress.samples.partition import request_digest
from coldpress.samples.sample_set import LABEL, SampleSet
from coldpress.search.task import Task
from coldpress_runtime.warmup import read_cpu_flags

__all__ = ["read_result", "result_key", "write_result"]

_LAYOUT = 1


def result_key(models: Sequence[Path], task: Task, samples: Sequence[SampleSet | None], engine: str) -> str:
    """Return the hash of the models, the samples, the task, the engine, the metric's code and this CPU's kind."""
    digest = hashlib.sha256()

    def add(part: Any) -> None:
        content = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(len(content).to_bytes(8, "little") + content)

    add((_LAYOUT, version("coldpress"), engine, sorted(read_cpu_flags() or ())))
    add(sorted(dataclasses.asdict(task).items()))
    add(_code_of(task.metric or ""))
    for file in (file for model in models for file in model_files(model)):
        add(sha256_of(file))
    for part in filter(None, samples):
        add((len(part.requests), sorted(part.states.items()), part.sequence))
        add(None if part.labels is None else request_digest({LABEL: part.labels}))
        for request in part.requests:
            add(request_digest(request))
    return digest.hexdigest()


def _code_of(metric: str) -> bytes:
    """Return the source of the module that a user's metric lives in; nothing for the built-in ones."""
    module, colon, _ = metric.partition(":")
    if not colon:
        return b""
    spec = find_spec(module)
    return Path(spec.origin).read_bytes() if spec is not None and spec.origin else b""


def read_result(key: str, path: Path) -> dict[str, Any] | None:
    """Put the model kept under ``key`` at ``path`` and return its record; None when there is none, or it is damaged."""
    folder = cache_dir("shrunk") / key
    try:
        record: dict[str, Any] = json.loads((folder / "record.json").read_bytes())
        if sha256_of(folder / "model.onnx") != record["sha256"]:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / "model.onnx", path)
    except (OSError, ValueError, KeyError):
        return None
    return record


def write_result(key: str, path: Path, record: Mapping[str, Any]) -> None:
    """Keep a model and its record, whole or not at all; models with external data, and full disks, are not kept."""
    if len(model_files(path)) > 1:
        return
    whole = {**record, "sha256": sha256_of(path)}

    def fill(folder: Path) -> None:
        shutil.copyfile(path, folder / "model.onnx")
        (folder / "record.json").write_text(json.dumps(whole))

    keep_anew("shrunk", key, fill)
