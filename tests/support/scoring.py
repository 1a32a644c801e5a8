"""Score records in one chunk, without a job around them."""

import json
from io import BytesIO
from typing import Any

from coldpress_runtime.batch.chunks import Chunk, Position, Sizes
from coldpress_runtime.batch.features import Signature
from coldpress_runtime.batch.formats import START_BYTES, open_format
from coldpress_runtime.batch.options import Options
from coldpress_runtime.batch.scoring import Scored, Scorer
from coldpress_runtime.service import Service

__all__ = ["lines_of", "score_bytes", "score_lines"]


def score_bytes(service: Service, name: str, data: bytes, sizes: Sizes | None = None, **options: Any) -> list[Scored]:
    """Score a whole file, chunk by chunk."""
    chosen = Options(**options)
    form = open_format(name, data[:START_BYTES], Signature.of(service, chosen.columns), chosen)
    scorer = Scorer(service, chosen, form)
    return [scorer.score(chunk) for chunk in form.chunks(BytesIO(data), Position(), sizes or Sizes())]


def score_lines(service: Service, *lines: Any, **options: Any) -> tuple[list[Any], dict[int, str]]:
    """Score JSON Lines; values other than bytes are written as JSON. Returns the rows, and reasons by row."""
    records = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    chosen = Options(**options)
    form = open_format("x.jsonl", b"", Signature.of(service, chosen.columns), chosen)
    data = b"\n".join(records) + b"\n"
    scored = Scorer(service, chosen, form).score(Chunk(0, len(records), data, Position(len(data), len(records))))
    assert (scored.first, scored.count) == (0, len(records))
    assert scored.scored + scored.rejected == len(records)
    rejects = lines_of(scored.rejects)
    rows = lines_of(scored.output)
    assert (len(rows), len(rejects)) == (scored.scored, scored.rejected)
    assert sorted(row["row"] for row in [*rows, *rejects]) == list(range(len(records)))
    return rows, {reject["row"]: reject["reason"] for reject in rejects}


def lines_of(text: bytes) -> list[Any]:
    """The values of JSON Lines, strictly."""
    assert not text or text.endswith(b"\n")
    return [json.loads(line, parse_constant=_refuse) for line in text.splitlines()]


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")
