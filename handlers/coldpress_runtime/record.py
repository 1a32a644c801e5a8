"""Frozen records read from JSON, and the readers of their fields.

Plain classes with slots: they cost microseconds to define, where ``dataclasses`` would cost a function more than all
the rest of its start-up imports. A reader takes a JSON value and its place in the document, and returns the field or
raises :class:`~coldpress_runtime.errors.ManifestError`.
"""

from __future__ import annotations

from coldpress_runtime.errors import ManifestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

__all__ = [
    "REMEDY",
    "Record",
    "any_text",
    "boolean",
    "error",
    "integer",
    "list_of",
    "or_null",
    "path",
    "sha256",
    "text",
]


class Record:
    """A frozen record whose fields are its slots, each read by the function of the same place in ``READERS``."""

    __slots__: tuple[str, ...] = ()
    READERS: tuple[Callable[[Any, str], Any], ...] = ()

    @classmethod
    def read(cls, document: Any, where: str) -> Self:
        """Read a JSON object; ``where`` is its place in the manifest, for messages."""
        if not isinstance(document, dict):
            raise error(where, "an object", document)
        missing = [name for name in cls.__slots__ if name not in document]
        if missing:
            raise ManifestError(f"{where or 'coldpress.json'}: the key {missing[0]!r} is missing; {REMEDY}")
        extra = [name for name in document if name not in cls.__slots__]
        if extra:
            raise ManifestError(
                f"{where or 'coldpress.json'}: the key {extra[0]!r} is unknown, expected only "
                f"{', '.join(cls.__slots__)}; {REMEDY}"
            )
        record = cls.__new__(cls)
        for name, reader in zip(cls.__slots__, cls.READERS, strict=True):
            object.__setattr__(record, name, reader(document[name], f"{where}.{name}" if where else name))
        record.check()
        return record

    def check(self) -> None:
        """Check what concerns several fields at once; raises ManifestError."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON object this record was, or would be, read from."""
        return {name: _plain(getattr(self, name)) for name in self.__slots__}

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen; {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen; {name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self.__slots__))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({fields})"


_HASH_LENGTH = 64  # SHA-256 in hexadecimal
#: What to do about a manifest that is wrong.
REMEDY = "pack the function again, or mend coldpress.json."


def error(where: str, expected: str, found: object) -> ManifestError:
    """The error for a value of the wrong kind; ``where`` is its place in the manifest."""
    shown = repr(found)
    if len(shown) > 60:
        shown = shown[:60] + "..."
    return ManifestError(f"{where or 'coldpress.json'}: expected {expected}, found {shown}; {REMEDY}")


def _plain(value: object) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def text(value: Any, where: str) -> str:
    """A text of printable characters, not empty."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise error(where, "a text of printable characters, not empty", value)
    return value


def any_text(value: Any, where: str) -> str:
    """Any text: names of inputs may hold anything."""
    if not isinstance(value, str):
        raise error(where, "a text", value)
    return value


def path(value: Any, where: str) -> str:
    """A path inside the bundle, with ``/`` between its parts on every system."""
    found = text(value, where)
    parts = found.split("/")
    if "\\" in found or ":" in found or any(part in {"", ".", ".."} for part in parts):
        raise error(where, "a relative path that stays inside the bundle", value)
    return found


def sha256(value: Any, where: str) -> str:
    """A SHA-256 as 64 lower-case hexadecimal digits."""
    found = text(value, where)
    if len(found) != _HASH_LENGTH or not set(found) <= set("0123456789abcdef"):
        raise error(where, "a SHA-256 as 64 lower-case hexadecimal digits", value)
    return found


def boolean(value: Any, where: str) -> bool:
    """True or false, and no number."""
    if value is not True and value is not False:
        raise error(where, "true or false", value)
    return bool(value)


def integer(low: int, high: int) -> Callable[[Any, str], int]:
    """A reader of whole numbers from ``low`` to ``high``."""

    def read(value: Any, where: str) -> int:
        if type(value) is not int or not low <= value <= high:
            raise error(where, f"a whole number from {low} to {high}", value)
        return value

    return read


def list_of(reader: Callable[[Any, str], Any]) -> Callable[[Any, str], tuple[Any, ...]]:
    """A reader of lists, as tuples."""

    def read(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise error(where, "a list", value)
        return tuple(reader(item, f"{where}[{place}]") for place, item in enumerate(value))

    return read


def or_null(reader: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """A reader that takes null as None."""

    def read(value: Any, where: str) -> Any:
        return None if value is None else reader(value, where)

    return read
