"""Reading a document that others wrote: each value checked as it is read, and what is wrong said with its place."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from coldpress.errors import TemplateError

__all__ = ["Part"]

_REQUIRED: Any = object()


class Part:
    """An object of the document and where it is; each method reads one key and says what else was there.

    Without a ``default`` a value must be there.

    Raises:
        TemplateError: A value is missing, or is not what was expected; the message says where. Of every method.
    """

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, Mapping):
            raise TemplateError(f"{where} is {_kind(value)}, expected an object: build the document again.")
        self.value, self._where = value, where

    def _read(self, key: str, default: Any, kinds: tuple[type, ...], expected: str) -> Any:
        value = self.value.get(key)
        if value is None and default is not _REQUIRED:
            return default
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            found = "missing" if key not in self.value else _kind(value)
            raise TemplateError(f'"{key}" of {self._where} is {found}, expected {expected}: build the document again.')
        return value

    def text(self, key: str, default: Any = _REQUIRED) -> Any:
        """Return a text, or ``default`` where there is none."""
        return self._read(key, default, (str,), "a text")

    def flag(self, key: str, default: Any = _REQUIRED) -> Any:
        """Return true or false, or ``default``."""
        return self._read(key, default, (bool,), "true or false")

    def number(self, key: str, default: Any = _REQUIRED) -> Any:
        """Return a number; one that is not finite reads as ``default``."""
        value = self._read(key, default, (int, float), "a number")
        if value is not None and not math.isfinite(value):
            if default is _REQUIRED:
                raise TemplateError(
                    f'"{key}" of {self._where} is {value}, expected a finite number: build the document again.'
                )
            return default
        return value

    def count(self, key: str, default: Any = _REQUIRED) -> Any:
        """Return a whole number of 0 or more, or ``default``."""
        value = self._read(key, default, (int,), "a whole number")
        if value is not None and value < 0:
            raise TemplateError(f'"{key}" of {self._where} is {value}, expected 0 or more: build the document again.')
        return value

    def part(self, key: str) -> "Part":
        """Return the object under ``key``."""
        return Part(self.value.get(key), f'"{key}" of {self._where}')

    def maybe(self, key: str) -> "Part | None":
        """Return the object under ``key``, None where there is none."""
        return None if self.value.get(key) is None else self.part(key)

    def parts(self, key: str) -> "list[Part]":
        """Return the objects of a list, none where there is no list."""
        values: Sequence[Any] = self._read(key, (), (list, tuple), "a list")
        return [Part(value, f'"{key}"[{number}] of {self._where}') for number, value in enumerate(values)]

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the texts of a list."""
        values = tuple(self._read(key, (), (list, tuple), "a list"))
        if not all(isinstance(value, str) for value in values):
            raise TemplateError(f'"{key}" of {self._where} holds more than texts: build the document again.')
        return values

    def numbers(self, key: str, default: Any = _REQUIRED) -> Any:
        """Return an object of numbers without those that are null, or ``default``."""
        if default is not _REQUIRED and self.value.get(key) is None:
            return default
        inner = self.part(key)
        return {name: value for name in inner.value if (value := inner.number(name, None)) is not None}


def _kind(value: Any) -> str:
    return "null" if value is None else f"a {type(value).__name__}"
