"""``coldpress.json``: the whole contract between the packager, which writes it, and the runtime, which reads it.

Reading is strict. An unknown key, a missing one, a value of the wrong kind or a path that leaves the bundle is a
:class:`~coldpress_runtime.errors.ManifestError` which says where, what was expected and what was found: a typing
error in a manifest must show at start, not as a wrong answer. ``Manifest.parse(m.to_dict()) == m`` for every
manifest.

The records are plain classes with slots: they cost microseconds to define, where ``dataclasses`` would cost a
function more than all the rest of its start-up imports.
"""

from __future__ import annotations

import json

from coldpress_runtime.errors import ManifestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

__all__ = [
    "FORMAT",
    "Engine",
    "Function",
    "Limits",
    "Manifest",
    "Model",
    "Warmup",
    "WarmupInput",
]

#: The version of the manifest's own layout.
FORMAT = 1

_OPTIMIZATIONS = ("all", "extended", "basic", "disabled")
_MAX_BYTES = 1 << 40  # a limit above a terabyte is a slip of the pen
_HASH_LENGTH = 64  # SHA-256 in hexadecimal


class Record:
    """A frozen record whose fields are its slots, each read by the function of the same place in ``READERS``."""

    __slots__: tuple[str, ...] = ()
    READERS: tuple[Callable[[Any, str], Any], ...] = ()

    @classmethod
    def read(cls, document: Any, where: str) -> Self:
        """Read a JSON object; ``where`` is its place in the manifest, for messages."""
        if not isinstance(document, dict):
            raise _error(where, "an object", document)
        missing = [name for name in cls.__slots__ if name not in document]
        if missing:
            raise ManifestError(f"{where}: the key {missing[0]!r} is missing; {_REMEDY}")
        extra = [name for name in document if name not in cls.__slots__]
        if extra:
            raise ManifestError(
                f"{where}: the key {extra[0]!r} is unknown, expected only {', '.join(cls.__slots__)}; {_REMEDY}"
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


_REMEDY = "pack the function again, or mend coldpress.json."


def _error(where: str, expected: str, found: object) -> ManifestError:
    text = repr(found)
    if len(text) > 60:
        text = text[:60] + "..."
    return ManifestError(f"{where or 'coldpress.json'}: expected {expected}, found {text}; {_REMEDY}")


def _plain(value: object) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise _error(where, "a text of printable characters, not empty", value)
    return value


def _any_text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise _error(where, "a text", value)
    return value


def _path(value: Any, where: str) -> str:
    """A path inside the bundle, with ``/`` between its parts on every system."""
    text = _text(value, where)
    parts = text.split("/")
    if "\\" in text or ":" in text or any(part in {"", ".", ".."} for part in parts):
        raise _error(where, "a relative path that stays inside the bundle", value)
    return text


def _sha256(value: Any, where: str) -> str:
    text = _text(value, where)
    if len(text) != _HASH_LENGTH or not set(text) <= set("0123456789abcdef"):
        raise _error(where, "a SHA-256 as 64 lower-case hexadecimal digits", value)
    return text


def _boolean(value: Any, where: str) -> bool:
    if value is not True and value is not False:
        raise _error(where, "true or false", value)
    return bool(value)


def _integer(low: int, high: int) -> Callable[[Any, str], int]:
    def read(value: Any, where: str) -> int:
        if type(value) is not int or not low <= value <= high:
            raise _error(where, f"a whole number from {low} to {high}", value)
        return value

    return read


def _list_of(reader: Callable[[Any, str], Any]) -> Callable[[Any, str], tuple[Any, ...]]:
    def read(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise _error(where, "a list", value)
        return tuple(reader(item, f"{where}[{place}]") for place, item in enumerate(value))

    return read


def _or_null(reader: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    def read(value: Any, where: str) -> Any:
        return None if value is None else reader(value, where)

    return read


def _optimization(value: Any, where: str) -> str:
    if value not in _OPTIMIZATIONS:
        raise _error(where, "one of " + ", ".join(_OPTIMIZATIONS), value)
    return str(value)


def _format(value: Any, where: str) -> int:
    if type(value) is not int or value != FORMAT:
        raise _error(where, f"{FORMAT}, the layout that this runtime reads", value)
    return value


class Engine(Record):
    """The ONNX Runtime library in the bundle: its path, version and SHA-256.

    The hash is there for audits and for the packager's verification. It is not computed at start: reading 29 MB
    again would cost more than opening the library does.
    """

    __slots__ = ("library", "version", "sha256")  # noqa: RUF023 - the order is that of the file
    READERS = (_path, _text, _sha256)
    library: str
    version: str
    sha256: str


class Model(Record):
    """A model file and how to open it.

    ``cpu`` lists the flags of ``/proc/cpuinfo`` that the file needs, because it was optimised for them; an empty
    list means that every CPU will do.
    """

    __slots__ = ("path", "sha256", "optimization", "mapped", "prepacking", "cpu")  # noqa: RUF023
    READERS = (_path, _sha256, _optimization, _boolean, _boolean, _list_of(_text))
    path: str
    sha256: str
    optimization: str
    mapped: bool
    prepacking: bool
    cpu: tuple[str, ...]


class WarmupInput(Record):
    """Name, datatype (as the Open Inference Protocol spells it) and shape of one input of the warm-up run."""

    __slots__ = ("name", "datatype", "shape")  # noqa: RUF023
    READERS = (_any_text, _text, _list_of(_integer(0, 1 << 31)))
    name: str
    datatype: str
    shape: tuple[int, ...]


class Warmup(Record):
    """The inputs of the run that warms the session up.

    ``data`` is a file of the inputs' bytes one after the other, in the binary layout of the protocol; None stands
    for zeros and empty texts.
    """

    __slots__ = ("inputs", "data")  # noqa: RUF023
    READERS = (_list_of(WarmupInput.read), _or_null(_path))
    inputs: tuple[WarmupInput, ...]
    data: str | None


class Limits(Record):
    """Largest request and response bodies in bytes; requests count after decompression."""

    __slots__ = ("request_bytes", "response_bytes")
    READERS = (_integer(1, _MAX_BYTES), _integer(1, _MAX_BYTES))
    request_bytes: int
    response_bytes: int


class Function(Record):
    """What the function was packed for: memory in MB, time limit in seconds."""

    __slots__ = ("memory_mb", "timeout_s")
    READERS = (_integer(1, 1 << 24), _integer(1, 1 << 24))
    memory_mb: int
    timeout_s: int


class Manifest(Record):
    """The whole of ``coldpress.json``.

    ``portable`` is opened instead of ``model`` when this machine's CPU lacks a flag in ``model.cpu``, or when
    ``model`` will not open. ``hooks`` is a Python file with ``preprocess`` and ``postprocess``.
    """

    __slots__ = (  # noqa: RUF023
        "format", "name", "version", "engine", "model", "portable", "threads", "warmup", "hooks", "limits", "function",
    )  # fmt: skip
    READERS = (
        _format, _text, _text, Engine.read, Model.read, _or_null(Model.read), _integer(1, 1024), Warmup.read,
        _or_null(_path), Limits.read, Function.read,
    )  # fmt: skip
    format: int
    name: str
    version: str
    engine: Engine
    model: Model
    portable: Model | None
    threads: int
    warmup: Warmup
    hooks: str | None
    limits: Limits
    function: Function

    def check(self) -> None:
        """Check the stand-in model and the warm-up's names."""
        if self.portable is not None and self.portable.cpu:
            raise _error("portable.cpu", "an empty list, because nothing stands behind it", list(self.portable.cpu))
        names = [item.name for item in self.warmup.inputs]
        if len(set(names)) != len(names):
            raise _error("warmup.inputs", "each input once", names)

    @classmethod
    def parse(cls, document: Any) -> Manifest:
        """Read a manifest from a parsed JSON document; raises ManifestError."""
        return cls.read(document, "")

    @classmethod
    def load(cls, path: str) -> Manifest:
        """Read a manifest from a file; raises ManifestError, also when the file is missing or is not JSON."""
        try:
            with open(path, "rb") as file:
                text = file.read()
        except OSError as error:
            raise ManifestError(
                f"coldpress.json cannot be read ({error.strerror}); it must lie at the root of the bundle."
            ) from None
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"coldpress.json is not JSON ({error}); {_REMEDY}") from None
        return cls.parse(document)
