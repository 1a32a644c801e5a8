"""Models by name and version, from a folder that may change while they are asked.

``{name}/{version}/model.onnx``, with external data beside it. The highest versions that work are served. A version is
opened once its files have the same sizes and times in two looks, so a copy under way is left alone; a name that starts
with a dot is no version, so a folder may also be copied under such a name and then renamed. SIGHUP says that all is
there. It takes over when it has
been opened and warmed up, and the one before it goes when its last request is answered; one that does not open changes
nothing but what is said about it.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from coldpress_endpoint.metrics import Metrics
from coldpress_endpoint.model import Model, open_model
from coldpress_endpoint.settings import Settings
from coldpress_runtime.errors import ColdpressError, LoadError, NotFoundError
from coldpress_runtime.json_text import describe
from coldpress_runtime.offload import cpus

__all__ = ["MODEL_FILE", "Repository"]

MODEL_FILE = "model.onnx"

_Fingerprint = tuple[tuple[str, int, int], ...]


class Repository:
    """The models of a folder.

    Args:
        settings: where they are, and how they are opened.
        metrics: what is counted.

    Attributes:
        settings: as given.
        failed: sentences by model and version, of versions that did not open.
    """

    def __init__(self, settings: Settings, metrics: Metrics | None = None) -> None:
        self.settings = settings
        self.metrics = metrics or Metrics()
        self.failed: dict[str, dict[str, str]] = {}
        self._served: dict[str, dict[str, Model]] = {}  # the highest version first
        self._opened: dict[tuple[str, str], _Fingerprint] = {}  # what was opened, or was found not to open
        self._seen: dict[str, dict[str, _Fingerprint]] = {}
        self._looking = threading.Lock()
        self._ordered: asyncio.Event | None = None
        self._pool = ThreadPoolExecutor(settings.threads or max(2, cpus()), "run")

    def names(self) -> list[str]:
        """The models that answer."""
        return list(self._served)

    @property
    def default(self) -> str:
        """The model that is meant when none is named; raises NotFoundError when that could be several."""
        if self.settings.model:
            return self.settings.model
        if len(self._served) == 1:
            return next(iter(self._served))
        raise NotFoundError(
            f"This endpoint serves {self._listed()}; name one in the path, or in COLDPRESS_MODEL when it starts."
        )

    def get(self, name: str, version: str | None = None) -> Model:
        """Return a model, the highest version by default; raises NotFoundError."""
        versions = self._served.get(name)
        if versions is None:
            raise NotFoundError(f"There is no model {describe(name)}; this endpoint serves {self._listed()}.")
        if version is None:
            return next(iter(versions.values()))
        if version not in versions:
            raise NotFoundError(
                f"There is no version {describe(version)} of model {name!r}; there is {', '.join(versions)}."
            )
        return versions[version]

    def versions(self, name: str) -> Mapping[str, Model]:
        """The versions of a model that answer, the highest first."""
        return self._served.get(name, {})

    def look(self, *, at_once: bool = False) -> None:
        """Look at the folder, and open what has changed and lies still; not for the event loop, as it may take minutes.

        Args:
            at_once: take what is there as it is, as at the start.
        """
        with self._looking:
            try:
                found = _scan(self.settings.models)
            except OSError as error:
                raise LoadError(
                    f"The folder of models, {self.settings.models}, cannot be read ({error.strerror}); is it mounted, "
                    "and named by COLDPRESS_MODELS?"
                ) from None
            for name, versions in found.items():
                self._update(name, versions, versions if at_once else self._seen.get(name, {}))
            for name in self.names():
                if name not in found and (at_once or name not in self._seen):  # gone in two looks
                    self._serve(name, {})
            self.failed = {name: said for name, said in self.failed.items() if name in found and said}
            self.metrics.broken = {name: list(said) for name, said in self.failed.items()}
            self.metrics.serving = {name: list(models) for name, models in self._served.items()}
            self._seen = found

    async def watch(self) -> None:
        """Look again and again, for as long as the server lives."""
        self._ordered = ordered = asyncio.Event()
        while True:
            at_once = True
            try:
                await asyncio.wait_for(ordered.wait(), self.settings.poll_s)
            except TimeoutError:
                at_once = False
            ordered.clear()
            await asyncio.to_thread(self._look_safely, at_once)

    def look_soon(self) -> None:
        """Have ``watch`` look now, and take what is there as it is; on the event loop only."""
        if self._ordered is not None:
            self._ordered.set()

    def _look_safely(self, at_once: bool) -> None:
        try:
            self.look(at_once=at_once)
        except Exception as error:  # noqa: BLE001 - whatever it is, what is served stays served
            sys.stderr.write(f"coldpress: {error if isinstance(error, ColdpressError) else repr(error)}\n")

    def close(self) -> None:
        """Let go of the threads, once what is under way has ended."""
        self._pool.shutdown()

    def _update(self, name: str, found: dict[str, _Fingerprint], before: dict[str, _Fingerprint]) -> None:
        served = self._served.get(name, {})
        kept: dict[str, Model] = {}
        failed = {version: said for version, said in self.failed.get(name, {}).items() if version in found}
        for version in sorted(found, key=_order, reverse=True):
            if len(kept) == self.settings.versions:
                break
            fingerprint = found[version]
            old = served.get(version)
            if fingerprint != self._opened.get((name, version)) and fingerprint == before.get(version):
                self._opened[name, version] = fingerprint
                outcome = "opened"
                try:
                    path = os.path.join(self.settings.models, name, version, MODEL_FILE)
                    old = open_model(name, version, path, self.settings, self._pool, self.metrics.of(name, version))
                    failed.pop(version, None)
                except Exception as error:  # noqa: BLE001 - whatever is wrong with it is no matter of the others
                    outcome = "failed"
                    failed[version] = str(error) if isinstance(error, ColdpressError) else f"{type(error).__name__}."
                    sys.stderr.write(f"coldpress: version {version} of model {name} does not open: {error}\n")
                if served:
                    reloads = self.metrics.reloads
                    reloads[name, outcome] = reloads.get((name, outcome), 0) + 1
            if old is not None:
                kept[version] = old
        self.failed = {**self.failed, name: failed}
        if kept:  # else what was there stays until something takes its place
            self._serve(name, kept)

    def _serve(self, name: str, versions: dict[str, Model]) -> None:
        before = self._served.get(name, {})
        if versions:
            self._served = {**self._served, name: versions}
        else:
            self._served = {known: models for known, models in self._served.items() if known != name}
        for version in before.keys() - versions.keys():
            before[version].ready = False
            self._opened.pop((name, version), None)

    def _listed(self) -> str:
        return ", ".join(map(repr, self._served)) or "none"


def _order(version: str) -> list[tuple[int, int, str]]:
    """Numbers by their size, and before them what is no number."""
    return [
        (1, int(piece), "") if piece.isdecimal() else (0, 0, piece) for piece in re.split(r"(\d+)", version) if piece
    ]


def _scan(folder: str) -> dict[str, dict[str, _Fingerprint]]:
    """What lies in the folder: for each model and version its files with their sizes and times."""
    found: dict[str, dict[str, _Fingerprint]] = {}
    for name in _subfolders(folder):  # what cannot be read says nothing of what was in it: a mount may come back
        versions = {}
        for version in _folders(os.path.join(folder, name)):
            fingerprint = _fingerprint(os.path.join(folder, name, version))
            if any(path == MODEL_FILE for path, _, _ in fingerprint):
                versions[version] = fingerprint
        if versions:
            found[name] = versions
    return found


def _folders(folder: str) -> list[str]:
    try:
        return _subfolders(folder)
    except OSError:
        return []


def _subfolders(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if _is_version(entry.name) and entry.is_dir())


def _is_version(name: str) -> bool:
    """Whether a folder's name can be told to callers: it is not hidden, and it is text."""
    return not name.startswith(".") and name.isprintable()  # bytes that are no UTF-8 are not


def _fingerprint(folder: str) -> _Fingerprint:
    files = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = os.path.join(place, name)
            try:
                found = os.stat(path)
            except OSError:  # gone in between: the next look sees it so
                continue
            files.append((os.path.relpath(path, folder), found.st_size, found.st_mtime_ns))
    return tuple(sorted(files))
