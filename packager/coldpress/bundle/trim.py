"""Take out of third-party packages what no function needs, by a short list with reasons; give back what was missed.

Files are moved to an attic beside the tree, not deleted: when a trimmed bundle does not start or answers otherwise,
``restore`` puts a file, a folder or a module back. Compiled code is never touched: `strip` breaks wheels.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from coldpress.bundle.archive import safe_name
from coldpress.errors import BundleError

__all__ = ["Removed", "Rule", "Trimmed", "culprits", "restore", "rules", "trim"]

_FROM = re.compile(r"cannot import name '(\w+)' from [^']*'([\w.]+)'")
_QUOTED = re.compile(r"""['"]([A-Za-z_][\w.]*)['"]""")


@dataclass(frozen=True)
class Rule:
    """Glob patterns over paths inside the tree (``*`` crosses folders), and why what they name is not needed."""

    why: str
    patterns: tuple[str, ...]
    keep: tuple[str, ...] = ()


@dataclass(frozen=True)
class Removed:
    """One file that was taken out: where it was, its size, and the rule's reason."""

    path: str
    bytes: int
    why: str


@dataclass(frozen=True)
class Trimmed:
    """What was taken out of ``folder``, and where it waits."""

    folder: Path
    attic: Path
    removed: tuple[Removed, ...]

    @property
    def bytes(self) -> int:
        """Return how many bytes the tree lost."""
        return sum(item.bytes for item in self.removed)


@cache
def rules() -> tuple[Rule, ...]:
    """Return the list in ``trim.toml``, in its order."""
    with (Path(__file__).parent / "trim.toml").open("rb") as file:
        listed = tomllib.load(file)["rule"]
    return tuple(Rule(entry["why"], tuple(entry["patterns"]), tuple(entry.get("keep", ()))) for entry in listed)


def trim(folder: Path, attic: Path) -> Trimmed:
    """Move every file of ``folder`` that a rule names to ``attic``, under the same path."""
    removed = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.is_symlink() and (why := _why(name)):
            removed.append(Removed(name, path.stat().st_size, why))
            _move(path, attic / name)
    _drop_empty(folder, removed)
    return Trimmed(folder, attic, tuple(removed))


def restore(trimmed: Trimmed, path: str) -> Trimmed:
    """Put back ``path``, which is a file, a folder, or a module's dotted name, and return what is still out.

    Raises:
        BundleError: nothing of that name was taken out.
    """
    wanted = {item.path for item in trimmed.removed if _names(path, item.path)}
    if not wanted:
        raise BundleError(f"{path} was not trimmed: expected one of the removed paths, or a module of theirs.")
    for name in sorted(wanted):
        _move(trimmed.attic / safe_name(name), trimmed.folder / name)
    left = tuple(item for item in trimmed.removed if item.path not in wanted)
    return Trimmed(trimmed.folder, trimmed.attic, left)


def culprits(trimmed: Trimmed, said: str) -> tuple[str, ...]:
    """Return what ``said``, the error of a bundle that does not work, misses of what was taken out: modules and paths.

    Each can be given to ``restore``. A module is what an import error names in quotes; a path is one that the text
    holds from any folder of the tree downwards.
    """
    dotted = {*_QUOTED.findall(said), *(f"{package}.{name}" for name, package in _FROM.findall(said))}
    modules = {name.replace(".", "/") for name in dotted}
    named = {}
    for item in trimmed.removed:
        for stem in (item.path, item.path.removesuffix(".py"), item.path.removesuffix("/__init__.py")):
            if stem in modules:
                named[item.path] = stem.replace("/", ".")
        if item.path in said:
            named[item.path] = item.path
    return tuple(sorted(set(named.values())))


def _why(name: str) -> str | None:
    for rule in rules():
        if any(fnmatchcase(name, pattern) for pattern in rule.patterns):
            kept = any(fnmatchcase(name, pattern) for pattern in rule.keep)
            return None if kept else rule.why
    return None


def _names(wanted: str, name: str) -> bool:
    """Tell whether ``wanted`` (a path, a folder or a dotted module) names the file ``name`` or holds it."""
    forms = {wanted.strip("/"), wanted.replace(".", "/")} if "/" not in wanted else {wanted.strip("/")}
    return any(name in {form, f"{form}.py"} or name.startswith(form + "/") for form in forms)


def _move(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    source.replace(place)


def _drop_empty(folder: Path, removed: list[Removed]) -> None:
    """Remove the folders that are empty now, the deepest first."""
    for parent in sorted({p for item in removed for p in _parents(item.path)}, key=len, reverse=True):
        place = folder / parent
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()


def _parents(name: str) -> Iterator[str]:
    return (parent.as_posix() for parent in Path(name).parents if parent != Path())
