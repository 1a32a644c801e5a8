"""What is to be scored: files, globs, folders and buckets, found and held against where the scores go."""

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from coldpress.errors import ConfigError
from coldpress_runtime.batch.folder import folder_as_archive
from coldpress_runtime.batch.formats import EXTENSIONS, is_single, says_kind
from coldpress_runtime.batch.stores import Stat, Store, open_store

__all__ = ["Input", "Sources", "canonical", "find_inputs"]

_WILD = "*?["


@dataclass(frozen=True)
class Input:
    """An object that is to be scored.

    Attributes:
        store: where it lies.
        stat: what it is there.
        url: what to call it.
        below: its name below the folder or prefix that was named.
    """

    store: Store
    stat: Stat
    url: str
    below: str


@dataclass(frozen=True)
class Sources:
    """What was found.

    Attributes:
        inputs: in the order in which they were named, each once; images and sounds as one, the last.
        passed: how many files of folders are of no kind that is scored.
        folders: folders and prefixes that are read as a whole, by their ``canonical`` names.
        one: whether a single object was named, or a folder that is one, and none that happens to hold one.
    """

    inputs: tuple[Input, ...]
    passed: int
    folders: tuple[str, ...]
    one: bool


def canonical(url: str) -> str:
    """Return the one name of a place: a path without links, or the URL as it is."""
    return url if "://" in url else os.path.realpath(url)


def find_inputs(sources: Iterable[str], input_format: str = "") -> Sources:
    """Find the objects that ``sources`` name.

    Args:
        sources: files, globs, folders, and ``s3://``, ``gs://``, ``az://`` objects, globs and prefixes.
        input_format: what all of them are; empty: their names say it.

    Raises:
        ConfigError: one names nothing, or a file of a kind that is not scored.
        StoreError: a store refuses, or what it needs is not installed.
    """
    found: dict[str, Input] = {}
    folders: list[str] = []
    passed = alone = 0
    for source in sources:
        whole, items = _look(source)
        wild = _first_wild(source) < len(source)
        folders += [canonical(whole)] if whole else []
        alone += not whole and not wild
        count = 0
        for count, item in enumerate(items, 1):  # noqa: B007 - whether there was one
            if input_format or says_kind(item.stat.key):
                found[canonical(item.url)] = item
            elif whole or wild:
                passed += 1
            else:
                raise ConfigError(
                    f"{source} has an extension that is not known; expected {', '.join(EXTENSIONS)}, maybe with .gz or "
                    ".zst behind it; say what is in it with --format."
                )
        if not count:
            raise ConfigError(f"There is nothing at {source}; name files, folders, or s3://, gs:// or az:// prefixes.")
    if not found:
        raise ConfigError(
            f"None of the {passed} files is of a kind that is scored; expected {', '.join(EXTENSIONS)}; say what is in "
            "them with --format."
        )
    inputs = _gathered(list(found.values()), input_format)
    one = len(inputs) == 1 and (len(found) > 1 or (alone == 1 and not folders))
    return Sources(tuple(inputs), passed, tuple(folders), one)


def _gathered(inputs: list[Input], input_format: str) -> list[Input]:
    """Make one input of the images and sounds that lie below one folder: alone, each would be a job with one row."""
    groups: dict[str, list[Input]] = {}
    for item in inputs:
        if is_single(item.stat.key, input_format):
            groups.setdefault(item.url.removesuffix(item.stat.key) if "://" in item.url else "", []).append(item)
    for base, group in groups.items():
        if len(group) > 1:
            inputs = [item for item in inputs if item not in group]
            inputs.append(_archive(group) if base else _archive(_in_one_folder(group)))
    return inputs


def _in_one_folder(group: list[Input]) -> list[Input]:
    """Return files as what lies in one store."""
    paths = [canonical(item.url) for item in group]
    folder = os.path.commonpath([os.path.dirname(path) for path in paths]).rstrip("/") + "/"  # noqa: PTH120
    store, _ = open_store(folder)
    keys = [path.removeprefix(folder) for path in paths]
    return [Input(store, item.stat._replace(key=key), folder + key, key) for item, key in zip(group, keys, strict=True)]


def _archive(group: list[Input]) -> Input:
    files = [item.stat for item in group]
    shared = os.path.commonpath([file.key.rpartition("/")[0] for file in files])
    prefix = f"{shared}/" if shared else ""
    url = group[0].url.removesuffix(files[0].key) + prefix
    name = url.rstrip("/").rpartition("/")[2]
    store, stat = folder_as_archive(group[0].store, files, prefix, f"{name}.tar")
    return Input(store, stat, url, name)


def _look(source: str) -> tuple[str, Iterator[Input]]:
    """Return the folder or prefix that is meant as a whole, if one is, and what there is."""
    if "://" not in source:
        whole = f"{Path(source).absolute()}/" if Path(source).is_dir() else ""
        return whole, _in_bucket(whole, *open_store(whole)) if whole else _files(source)
    store, key = open_store(source)
    if not key or key.endswith("/"):
        whole = source if source.endswith("/") else f"{source}/"
        return whole, _in_bucket(whole, store, key)
    return "", _objects(source, store, key)


def _in_bucket(whole: str, store: Store, prefix: str) -> Iterator[Input]:
    for stat in store.list(prefix):
        name = stat.key.removeprefix(prefix)
        if not name.endswith("/") and name:  # consoles make empty objects for folders
            yield Input(store, stat, whole + name, name)


def _objects(source: str, store: Store, key: str) -> Iterator[Input]:
    base, fixed = source.removesuffix(key), key[: _first_wild(key)]
    folder = fixed.rpartition("/")[0]
    stats = store.list(fixed) if fixed != key else filter(None, [store.stat(key)])
    for stat in stats:
        if fixed == key or fnmatchcase(stat.key, key):
            yield Input(store, stat, base + stat.key, stat.key.removeprefix(folder).lstrip("/"))


def _files(source: str) -> Iterator[Input]:
    if Path(source).is_file():  # whatever its name looks like
        paths, folder = [source], str(Path(source).parent)
    else:
        paths, folder = sorted(glob.glob(source, recursive=True)), _fixed_folder(source)  # noqa: PTH207 (from anywhere)
    for path in paths:
        if Path(path).is_file():
            store, key = open_store(path)
            if (stat := store.stat(key)) is not None:
                yield Input(store, stat, os.path.abspath(path), os.path.relpath(path, folder))  # noqa: PTH100 (links stay)


def _fixed_folder(pattern: str) -> str:
    """Return the folder below which all lies that a pattern can match."""
    return pattern[: _first_wild(pattern)].rpartition("/")[0] or ("/" if pattern.startswith("/") else ".")


def _first_wild(text: str) -> int:
    return min((place for mark in _WILD if (place := text.find(mark)) >= 0), default=len(text))
