"""Files in ORT format, made the same every time.

ONNX Runtime writes a FlatBuffer (``core/flatbuffers/schema/ort.fbs``), and in it the table of kernel types in the order
of a randomised hash map, so that two saves of one model differ. Here that table is sorted.

Offsets in a FlatBuffer are relative. The part of the file from the model onwards stays as it is; what comes before it,
the root and the table, is written anew.
"""

from struct import error as StructError  # noqa: N812  (a class, named as one)
from struct import pack, pack_into, unpack_from
from typing import Any

from coldpress.errors import ModelError

__all__ = ["canonical"]

# Places of the session's fields in its description: 4 + 2 * their number in the schema.
_VERSION, _MODEL, _KERNEL_TYPES = 4, 6, 10
_ALIGNMENT = 64


def canonical(content: bytes) -> bytes:
    """Return the same file with what varies between saves put in order.

    Raises:
        ModelError: This is not what ONNX Runtime 1.31 writes.
    """
    try:
        return _Rewriter(content).result()
    except (IndexError, ValueError, StructError) as error:
        raise ModelError(f"what ONNX Runtime saved is no ORT format that coldpress knows ({error})") from error


class _Table(tuple[Any, ...]):
    """A table to write: its fields in the schema's order, each a number, text, list of tables, place, or None."""

    __slots__ = ()


class _Place(int):
    """A position in the old file, to be pointed at."""

    __slots__ = ()


class _Writer:
    """Writes the new beginning of the file."""

    def __init__(self) -> None:
        self.out = bytearray(b"\0\0\0\0ORTM")
        self.places: list[tuple[int, _Place]] = []
        self._layouts: dict[bytes, int] = {}

    def write(self, value: Any) -> int:
        """Write a table, a list of tables or a text, then what it points at; return where it is."""
        self._align()
        if isinstance(value, bytes):
            place = len(self.out)
            self.out += pack("<I", len(value)) + value + b"\0"
            return place
        if isinstance(value, _Table):
            used = [field is not None for field in value]
            offsets = [4 + 4 * sum(used[:i]) if there else 0 for i, there in enumerate(used)]
            description = pack(f"<HH{len(value)}H", 4 + 2 * len(value), 4 + 4 * sum(used), *offsets)
            if description not in self._layouts:
                self._layouts[description] = len(self.out)
                self.out += description
                self._align()
            base = self._layouts[description]
            place = len(self.out)
            self.out += pack("<i", place - base)
            fields = [field for field in value if field is not None]
        else:
            place = len(self.out)
            self.out += pack("<I", len(value))
            fields = list(value)
        first = len(self.out)
        self.out += bytes(4 * len(fields))
        for index, field in enumerate(fields):
            here = first + 4 * index
            if isinstance(field, _Place):
                self.places.append((here, field))
            elif isinstance(field, int):
                pack_into("<I", self.out, here, field)
            else:
                pack_into("<I", self.out, here, self.write(field) - here)
        return place

    def _align(self) -> None:
        self.out += bytes(-len(self.out) % 4)


class _Rewriter:
    """Reads one file; every position is one in ``self.old``."""

    def __init__(self, content: bytes) -> None:
        self.old = content
        if content[4:8] != b"ORTM":
            raise ValueError("it does not begin as one")
        self.session = self._u32(0)
        self.model = self._child(self.session, _MODEL)
        # A table's own description lies right before it, unless it shares that of a table further on.
        self.start = min(self.model, self._description(self.model))

    def result(self) -> bytes:
        writer = _Writer()
        version = _Place(self._child(self.session, _VERSION))
        resolver = self._kernel_types(self._child(self.session, _KERNEL_TYPES))
        root = writer.write(_Table((version, _Place(self.model), None, resolver)))
        pack_into("<I", writer.out, 0, root)
        # Things are aligned as seen from the end, and the whole is a multiple of the strictest alignment.
        writer.out += bytes(-(len(writer.out) + len(self.old) - self.start) % _ALIGNMENT)
        shift = len(writer.out) - self.start
        for here, place in writer.places:
            pack_into("<I", writer.out, here, place + shift - here)
        return bytes(writer.out + memoryview(self.old)[self.start :])

    def _kernel_types(self, resolver: int) -> _Table:
        """Read the table of kernel types: operator, then type parameter, then the arguments that it is the type of."""
        operators = []
        for operator in self._children(resolver, 4):
            parameters = []
            for parameter in self._children(operator, 6):
                arguments = [
                    _Table((self._number(argument, 4, "<b"), self._number(argument, 6, "<I")))
                    for argument in self._children(parameter, 6)
                ]
                parameters.append(_Table((self._text(self._child(parameter, 4)), arguments)))
            parameters.sort(key=lambda entry: entry[0])
            operators.append(_Table((self._text(self._child(operator, 4)), parameters)))
        operators.sort(key=lambda entry: entry[0])
        return _Table((operators,))

    def _u16(self, at: int) -> int:
        return int(unpack_from("<H", self.old, at)[0])

    def _u32(self, at: int) -> int:
        return int(unpack_from("<I", self.old, at)[0])

    def _description(self, table: int) -> int:
        return table - int(unpack_from("<i", self.old, table)[0])

    def _field(self, table: int, slot: int) -> int:
        """Return the place of a table's field; 0: it is not there."""
        description = self._description(table)
        offset = self._u16(description + slot) if slot < self._u16(description) else 0
        return table + offset if offset else 0

    def _number(self, table: int, slot: int, code: str) -> int:
        at = self._field(table, slot)
        return int(unpack_from(code, self.old, at)[0]) if at else 0

    def _child(self, table: int, slot: int) -> int:
        at = self._field(table, slot)
        return at + self._u32(at) if at else 0

    def _children(self, table: int, slot: int) -> list[int]:
        vector = self._child(table, slot)
        places = range(vector + 4, vector + 4 + 4 * self._u32(vector), 4) if vector else ()
        return [place + self._u32(place) for place in places]

    def _text(self, at: int) -> bytes:
        return self.old[at + 4 : at + 4 + self._u32(at)] if at else b""
