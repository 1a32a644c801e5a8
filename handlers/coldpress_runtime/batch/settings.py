"""``batch`` of ``coldpress.json``: how uploads are scored row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coldpress_runtime.record import Record, any_text, error, list_of, text

if TYPE_CHECKING:
    from typing import Any

__all__ = ["Batch"]

_TABLES = ("jsonl", "csv", "parquet", "npy")


def _table(value: Any, where: str) -> str:
    if value not in _TABLES:
        raise error(where, "one of " + ", ".join(_TABLES), value)
    return str(value)


def _share(value: Any, where: str) -> float:
    if type(value) not in {int, float} or not 0 <= value <= 1:
        raise error(where, "a number from 0 to 1", value)
    return float(value)


class Batch(Record):
    """How uploads are scored row by row.

    Objects whose names begin with ``input`` are read, ``output`` begins the names of what is written, in ``format``.
    ``columns`` of a table feed the model, all when empty; ``outputs`` of the model are written, all when empty. A job
    with a larger share of rejected rows than ``max_rejects`` has failed.
    """

    __slots__ = ("input", "output", "format", "columns", "outputs", "max_rejects")  # noqa: RUF023
    READERS = (text, text, _table, list_of(any_text), list_of(any_text), _share)
    input: str
    output: str
    format: str
    columns: tuple[str, ...]
    outputs: tuple[str, ...]
    max_rejects: float

    def check(self) -> None:
        """Check that what is written is never read as an upload again."""
        if self.output.startswith(self.input):
            raise error("batch.output", f"a prefix that does not lie below {self.input!r}", self.output)
