"""A model that does not travel in the package: its file beside the function, and what the manifest says of it."""

import os
import shutil
from pathlib import Path
from typing import Any

from coldpress.errors import BundleError
from coldpress.forms.choice import Choice

__all__ = ["PARTS", "place_beside", "weights_name", "weights_record"]

PARTS = 8
"""Ranges read at a time: object stores give one connection 50 to 100 MB/s, and a function more than that."""


def weights_name(choice: Choice) -> str:
    """Return the name of the model's file wherever it lies: its own hash, so that no other can be there."""
    return f"{choice.model['sha256']}.ort"


def weights_record(place: str, choice: Choice) -> dict[str, Any]:
    """Return what the manifest says of a model that lies in the folder ``place``, a URL or a path."""
    return {
        "source": "mount" if place.startswith("/") else "store",
        "url": place + weights_name(choice),
        "bytes": _file(choice).stat().st_size,
        "sha256": choice.model["sha256"],
        "parts": PARTS,
    }


def place_beside(choice: Choice, folder: Path) -> Path:
    """Put the model's file into ``folder``, under its name, without a copy where that can be; return it.

    Raises:
        BundleError: the disk is full, or the folder cannot be written.
    """
    place = folder / weights_name(choice)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            os.link(_file(choice), place)
        except OSError:
            shutil.copyfile(_file(choice), place)
    except OSError as error:
        raise BundleError(f"{place} cannot be written ({error.strerror}): make room on the disk.") from error
    return place


def _file(choice: Choice) -> Path:
    return choice.files[choice.model["path"]]
