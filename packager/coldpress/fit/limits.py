"""What providers allow: ``limits.toml`` as frozen records, each number with its source and date."""

import datetime as dt
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from coldpress.errors import FitError

__all__ = ["Limit", "Provider", "provider"]


@dataclass(frozen=True)
class Limit:
    """One number: at most ``limit`` (at least ``least``); a ``soft`` one has a way around it."""

    name: str
    limit: int
    what: str
    source: str
    date: str
    soft: bool = False
    least: int = 0
    default: int | None = None
    choices: tuple[int, ...] = ()


@dataclass(frozen=True)
class Provider:
    """One way to run a function: its limits by name, and where to go when they do not suffice."""

    name: str
    title: str
    python: tuple[str, ...]
    architectures: tuple[str, ...]
    limits: dict[str, Limit]
    as_of: dt.date
    weights_from: str | None = None
    weights_place: str = ""
    image: str | None = None
    unknown: str = ""


def provider(name: str, *, snapstart: bool = False, region: str = "") -> Provider:
    """Return the limits of a target, in most of its regions unless one is named.

    Raises:
        FitError: no limits are written down for it.
    """
    tables = _tables()
    if not isinstance(table := tables.get(name), dict):
        known = ", ".join(key for key in tables if key != "as_of")
        raise FitError(f'there are no limits for the target "{name}": expected one of {known}.')
    table = dict(table)
    limits, with_it, elsewhere = table.pop("limits"), table.pop("snapstart", {}), dict(table.pop("elsewhere", {}))
    if snapstart:
        limits = limits | with_it
    if region in elsewhere.pop("regions", ()):
        limits = limits | elsewhere
    return Provider(
        name=name,
        limits={key: _limit(key, value) for key, value in limits.items()},
        as_of=tables["as_of"],
        python=tuple(table.pop("python")),
        architectures=tuple(table.pop("architectures")),
        **table,
    )


def _limit(name: str, table: dict[str, Any]) -> Limit:
    return Limit(name, choices=tuple(table.get("choices", ())), **{k: v for k, v in table.items() if k != "choices"})


@cache
def _tables() -> dict[str, Any]:
    with (Path(__file__).parent / "limits.toml").open("rb") as file:
        return tomllib.load(file)
