"""The chosen form of a model, what was considered, and how it is kept for the next time.

Times are noisy, and two runs of ``pack`` on the same inputs shall give the same bytes: a choice is therefore kept, with
the files that were built, under the hash of everything that went into it.
"""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from coldpress.bundle.wheels import sha256_of
from coldpress.cache import cache_dir, keep_anew
from coldpress.forms.candidates import FORMS, cpu_flags
from coldpress.forms.trial import encode
from coldpress.model.files import model_files

__all__ = ["Candidate", "Choice", "choice_key", "read_choice", "write_choice"]

_LAYOUT = 1
"""Raise when the way of choosing changes, so that choices made the old way are forgotten."""


@dataclass(frozen=True)
class Candidate:
    """What became of one form.

    Attributes:
        bytes: its own files; ``total_bytes`` with those of its stand-in for other CPUs.
        cold_ms: processor time to load the library, open the model and run it first; ``warm_ms``: of a later run;
            ``peak_mb``: resident memory.
            0 where nothing was measured.
        equal: whether its answers are those of the plain binding on the original file, bit for bit.
        max_abs: how far they are off at most.
        cpu: flags that it needs.
        why_not: why it was not chosen; empty for the chosen one.
    """

    name: str
    bytes: int
    total_bytes: int
    cold_ms: float
    warm_ms: float
    peak_mb: float
    equal: bool
    max_abs: float
    cpu: tuple[str, ...]
    why_not: str = ""


@dataclass(frozen=True)
class Choice:
    """The form to ship.

    Attributes:
        name: One of ``coldpress.forms.candidates.FORMS``.
        model: The manifest's record of the model.
        portable: The record of the stand-in for CPUs that lack a flag, or None when the model runs on all.
        files: Path in the bundle to the file that goes there.
        candidates: All forms considered, with figures and reasons.
        measured: False when times could not be taken or a form was asked for.
        note: Why not, in that case.
    """

    name: str
    model: Mapping[str, Any]
    portable: Mapping[str, Any] | None
    files: Mapping[str, Path]
    candidates: tuple[Candidate, ...]
    measured: bool
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what the report says of it."""
        return {
            "chosen": self.name,
            "measured": self.measured,
            "note": self.note,
            "portable": self.portable["path"] if self.portable else None,
            "candidates": [dataclasses.asdict(candidate) for candidate in self.candidates],
        }


def choice_key(model: Path, original: Path, requests: Sequence[Mapping[str, Any]], settings: Sequence[Any]) -> str:
    """Return the hash of all that a choice depends on: files, requests, ``settings``, this CPU's kind, this version."""
    digest = hashlib.sha256()

    def add(part: Any) -> None:
        content = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(len(content).to_bytes(8, "little") + content)

    add((_LAYOUT, version("coldpress"), FORMS, tuple(settings), sorted(cpu_flags())))
    for file in (*model_files(model), *model_files(original)):
        with file.open("rb") as opened:
            add(hashlib.file_digest(opened, "sha256").digest())
    for request in requests:
        for name in sorted(request):
            add(name)
            add(encode(request[name]))
    return digest.hexdigest()


def read_choice(key: str, model: Path) -> Choice | None:
    """Return the choice kept under ``key``; None when there is none, or it is damaged."""
    try:
        folder = cache_dir("forms") / key
        record = json.loads((folder / "choice.json").read_bytes())
        files = {path: folder / name for path, name in record.pop("built").items()}
        own = dict(_own_files(model))
        files |= {path: own[name] for path, name in record.pop("own").items()}
        candidates = tuple(Candidate(**{**row, "cpu": tuple(row["cpu"])}) for row in record.pop("candidates"))
        choice = Choice(files=files, candidates=candidates, **record)
        whole = all(
            sha256_of(files[part["path"]]) == part["sha256"] for part in (choice.model, choice.portable) if part
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return choice if whole else None


def write_choice(key: str, choice: Choice, model: Path) -> None:
    """Keep ``choice`` under ``key``, whole or not at all; the files of ``model`` itself are only named.

    Where the cache cannot be written nothing is kept, and the next time measures again.
    """
    own = {file: name for name, file in _own_files(model)}
    record = dataclasses.asdict(choice) | {"built": {}, "own": {}}
    files = record.pop("files")

    def fill(folder: Path) -> None:
        for path, file in files.items():
            if file in own:
                record["own"][path] = own[file]
            else:
                name = path.rpartition("/")[2]
                shutil.copyfile(file, folder / name)
                record["built"][path] = name
        (folder / "choice.json").write_text(json.dumps(record))

    keep_anew("forms", key, fill)


def _own_files(model: Path) -> Iterator[tuple[str, Path]]:
    for index, file in enumerate(model_files(model)):
        yield str(index), file
