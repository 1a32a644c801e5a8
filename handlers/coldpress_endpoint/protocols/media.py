"""Content types: what a body is in, and what a caller takes for an answer."""

from __future__ import annotations

from typing import NamedTuple

from coldpress_runtime.errors import MediaTypeError
from coldpress_runtime.json_text import describe

__all__ = ["CSV", "JSON", "LINES", "NPY", "NPZ", "MediaType", "NotAcceptableError", "chosen", "media_type"]

JSON = "application/json"
LINES = "application/jsonlines"
CSV = "text/csv"
NPY = "application/x-npy"
NPZ = "application/x-npz"
#: Other names under which the same comes.
_ALIASES = {
    "application/jsonl": LINES,
    "application/x-jsonlines": LINES,
    "application/x-ndjson": LINES,
    "application/csv": CSV,
    "text/json": JSON,
}
_ANSWERS = (JSON, LINES, CSV, NPY, NPZ)


class NotAcceptableError(MediaTypeError):
    """No form that the caller takes is one that an answer can have."""

    status = 406


class MediaType(NamedTuple):
    """A content type: its name in lower case, one of those above where it means the same, and its parameters."""

    name: str
    parameters: dict[str, str]


def media_type(header: str) -> MediaType:
    """Read a Content-Type."""
    name, *rest = (part.strip() for part in header.split(";"))
    pairs = (part.partition("=") for part in rest)
    parameters = {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}
    lowered = name.lower()
    if lowered.endswith("+json") and "json-header-size" not in parameters:
        return MediaType(JSON, parameters)
    return MediaType(_ALIASES.get(lowered, lowered), parameters)


def chosen(accept: str, usual: str) -> str:
    """The content type of an answer: the first that the caller prefers, ``usual`` where any will do.

    Raises:
        NotAcceptableError: the caller takes none that is made here.
    """
    wanted = []
    for part in accept.split(","):
        found = media_type(part)
        if found.name:
            wanted.append((-_quality(found.parameters.get("q", "1")), found.name))
    for quality, name in sorted(wanted, key=lambda each: each[0]):
        if not quality:
            continue
        if name in {"*/*", "*", f"{usual.partition('/')[0]}/*"}:
            return usual
        if name in _ANSWERS:
            return name
    if not wanted:
        return usual
    raise NotAcceptableError(f"Accept is {describe(accept)}; answers come in {', '.join(_ANSWERS)}.")


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0
