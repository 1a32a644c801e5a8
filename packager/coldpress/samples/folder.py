"""A folder of files, in order, and what the names of its sub-folders say."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from coldpress.errors import SamplesError

__all__ = ["MAX_FILES", "Folder", "read_folder"]

MAX_FILES = 200_000
"""The most files that a folder of samples may hold; a home folder given by mistake holds more."""


@dataclass(frozen=True)
class Folder:
    """Files of one kind.

    Attributes:
        root: The folder.
        files: The files, ordered by their path below ``root``.
        labels: A class a file, or empty.
        notes: What was left out or assumed, one sentence each.
    """

    root: Path
    files: tuple[Path, ...]
    labels: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def spread(self, most: int | None) -> "Folder":
        """Return ``most`` of the files, evenly spread over all."""
        count = len(self.files)
        if most is None or most >= count:
            return self
        places = [i * count // most for i in range(most)]
        labels = tuple(self.labels[i] for i in places) if self.labels else ()
        note = f"{most} of the {count} files in {self.root.name} are used, as `most` says"
        return Folder(self.root, tuple(self.files[i] for i in places), labels, (*self.notes, note))


def read_folder(root: Path, suffixes: Collection[str]) -> Folder:
    """List the files whose names end in one of ``suffixes``, in ``root`` and below.

    Where all of them lie in sub-folders of ``root``, and these are several, each sub-folder is a class: its number
    where every name is a whole number, else its place among the names in order, as torchvision's ``ImageFolder`` has
    it. Hidden files and folders are passed over.

    Raises:
        SamplesError: There is no such file, a link leads out of the folder, some files are in classes and some are
            not, or there are too many.
    """
    files, others = [], set()
    for path in _walk(root):
        if path.suffix.lower() in suffixes:
            files.append(path)
        else:
            others.add(path.suffix.lower() or path.name)
    if not files:
        found = f"only {', '.join(sorted(others)[:5])}" if others else "nothing"
        raise SamplesError(f"the folder {root} holds {found}; give files that end in {', '.join(sorted(suffixes))}")
    files.sort(key=lambda path: path.relative_to(root).parts)
    labels, notes = _classes(root, files)
    if others:
        notes = (*notes, f"files in {root.name} that end in {', '.join(sorted(others)[:5])} were passed over")
    return Folder(root, tuple(files), labels, notes)


def _walk(root: Path) -> list[Path]:
    """List every regular file that is not hidden; refuse links that lead out, or to folders."""
    inside = root.resolve()
    found = []

    def stop(error: OSError) -> None:
        raise SamplesError(f"{error.filename} cannot be read ({error.strerror}); make it readable or move it out")

    for place, folders, names in os.walk(root, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in [*folders, *(name for name in names if not name.startswith("."))]:
            path = Path(place, name)
            if path.is_symlink():
                target = path.resolve()
                if not target.is_relative_to(inside) or target.is_dir():
                    raise SamplesError(f"{path} is a link out of the folder, or to another one; put the files there")
            if path.is_file():
                found.append(path)
        if len(found) > MAX_FILES:
            raise SamplesError(f"the folder {root} holds over {MAX_FILES:,} files; give one with the samples alone")
    return found


def _classes(root: Path, files: list[Path]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    tops = [path.relative_to(root).parts[0] if path.parent != root else "" for path in files]
    names = sorted(set(tops))
    if names == [""]:
        return (), ()
    if "" in names:
        loose = files[tops.index("")].name
        raise SamplesError(
            f"{root} holds {loose} beside the folder {names[1]!r}; put every file into the folder of its class, or none"
        )
    whole = all(name.isascii() and name.isdigit() for name in names)
    if len(names) == 1 and not whole:
        return (), ()  # "photos/images/": one name tells nothing apart
    numbers = {name: int(name) if whole else place for place, name in enumerate(names)}
    if len(set(numbers.values())) < len(names):
        raise SamplesError(f"two folders in {root} mean the same class, such as 1 and 01; keep one of them")
    shown = ", ".join(f"{name} {number}" for name, number in list(numbers.items())[:10])
    note = () if whole else (f"classes by the order of their folders' names: {shown}{', …' * (len(names) > 10)}",)
    return tuple(numbers[top] for top in tops), note
