"""What a job is asked to do."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Options"]


class Options(NamedTuple):
    """How records are read and rows are written; the same for every object of a job.

    Attributes:
        input_format: csv, jsonl, parquet, npy, files (images and WAV files); empty: by the object's name.
        output_format: jsonl, csv, parquet or npy.
        columns: of a table, those that the model takes, in its order; empty: all.
        outputs: of the model, those that are written; empty: all.
        max_rejects: the share of records, 0 to 1, above which the whole job has failed.
    """

    input_format: str = ""
    output_format: str = "jsonl"
    columns: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    max_rejects: float = 0.1
