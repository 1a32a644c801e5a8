"""What providers charge: ``prices.toml`` as frozen records, with a user's own file of the same shape laid over it."""

import datetime as dt
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from coldpress.errors import FitError

__all__ = ["Figure", "Prices", "priced", "read_prices"]

_FIGURES = {
    "on_demand": ("vcpu_second", "gb_second", "request_million"),
    "always_on": (
        "standing_vcpu_second",
        "standing_gb_second",
        "busy_vcpu_second",
        "busy_gb_second",
        "request_million",
    ),
    "billing": ("step_ms", "least_ms", "init", "shared"),
    "free": ("vcpu_seconds", "gb_seconds", "requests"),
}
_MONEY = ("on_demand", "always_on")
_LABELS = ("region", "currency", "instance")
_FIGURE_KEYS = ("value", "what", "source", "date")
_OTHER_ARCHITECTURES = ("arm64",)


@dataclass(frozen=True)
class Figure:
    """One number: ``name`` is its section and key, as in ``on_demand.gb_second``."""

    name: str
    value: float
    what: str
    source: str
    date: dt.date

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return {**vars(self), "date": self.date.isoformat()}


@dataclass(frozen=True)
class Prices:
    """What one provider charges in one region.

    Attributes:
        provider: a table of ``prices.toml``: aws, gcp, azure, alibaba.
        region: where.
        currency: of every amount.
        instance: what the instance that is always on is called there.
        figures: by name; what is not there costs nothing.
    """

    provider: str
    region: str
    currency: str
    instance: str
    figures: Mapping[str, Figure]

    @property
    def as_of(self) -> dt.date:
        """Return the date of the oldest amount of money."""
        return min(figure.date for name, figure in self.figures.items() if name.startswith(_MONEY))

    def __getitem__(self, name: str) -> float:
        """Return a figure's value, 0 where the provider has none of that name."""
        figure = self.figures.get(name)
        return figure.value if figure else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return {
            "region": self.region,
            "currency": self.currency,
            "instance": self.instance,
            "as_of": self.as_of.isoformat(),
            "figures": [figure.to_json() for figure in self.figures.values()],
        }


def priced() -> tuple[str, ...]:
    """Return the providers whose prices are known."""
    return tuple(name for name in _builtin() if name != "as_of")


def read_prices(provider: str, architecture: str = "x86_64", override: Path | None = None) -> Prices:
    """Return what a provider charges for functions of an architecture.

    Args:
        provider: one of ``priced()``.
        architecture: ``x86_64`` or ``arm64``.
        override: a file of the shape of ``prices.toml``, whose figures take the place of those there.

    Raises:
        FitError: there are no prices for the provider, or the file cannot be right.
    """
    tables = _builtin()
    if provider not in priced():
        raise FitError(f'there are no prices for "{provider}": expected one of {", ".join(priced())}.')
    own = _read_override(override).get(provider, {}) if override else {}
    table = _laid_over(tables[provider], own)
    figures = _figures(table) | _figures(table.get(architecture, {}))
    return Prices(provider, figures=figures, **{label: table[label] for label in _LABELS})


def _figures(table: Mapping[str, Any]) -> dict[str, Figure]:
    return {
        f"{section}.{key}": Figure(f"{section}.{key}", **figure)
        for section in _FIGURES
        for key, figure in table.get(section, {}).items()
    }


def _laid_over(table: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(table)
    for key, value in own.items():
        under = table.get(key)
        merged[key] = _laid_over(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return merged


def _read_override(path: Path) -> dict[str, Any]:
    """Read and check a user's file."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FitError(f"{path} cannot be read ({error.strerror}); name a file of prices with --prices.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FitError(f"{path} is not valid TOML ({error}); mend that line and try again.") from None
    tables.pop("as_of", None)
    for provider, table in tables.items():
        if provider not in priced() or not isinstance(table, dict):
            raise FitError(f"[{provider}] of {path} is no provider; expected a table of {', '.join(priced())}.")
        _check_provider(provider, table, path, labels=True)
        _check_currency(provider, table, path)
    return tables


def _check_provider(where: str, table: Mapping[str, Any], path: Path, *, labels: bool) -> None:
    for key, value in table.items():
        place = f"{where}.{key}"
        if labels and key in _LABELS:
            if not isinstance(value, str) or not value:
                raise FitError(f"`{place}` of {path} holds {value!r}; expected a text.")
        elif labels and key in _OTHER_ARCHITECTURES and isinstance(value, dict):
            _check_provider(place, value, path, labels=False)
        elif key in _FIGURES and isinstance(value, dict):
            for name, figure in value.items():
                if name not in _FIGURES[key]:
                    raise FitError(
                        f"`{place}.{name}` of {path} is no figure; [{place}] takes {', '.join(_FIGURES[key])}."
                    )
                _check_figure(f"{place}.{name}", figure, path)
        else:
            known = (*(_LABELS if labels else ()), *_FIGURES, *(_OTHER_ARCHITECTURES if labels else ()))
            raise FitError(f"`{place}` of {path} is not known; [{where}] takes {', '.join(known)}.")


def _check_figure(where: str, figure: Any, path: Path) -> None:
    """Check one figure; ``what`` may be left out."""
    example = '{ value = 0.00001, source = "our contract", date = 2026-11-01 }'
    if (
        not isinstance(figure, dict)
        or set(figure) - set(_FIGURE_KEYS)
        or not {"value", "source", "date"} <= set(figure)
    ):
        raise FitError(f"`{where}` of {path} holds {figure!r}; expected a figure with its source and date: {example}.")
    value = figure["value"]
    if type(value) not in {int, float} or not math.isfinite(value) or value < 0:
        raise FitError(f"`{where}.value` of {path} holds {value!r}; expected a number of 0 or more.")
    if where.endswith(("billing.init", "billing.shared")) and value not in {0, 1}:
        raise FitError(f"`{where}.value` of {path} holds {value!r}; expected 1 for yes or 0 for no.")
    if type(figure["date"]) is not dt.date:
        raise FitError(f"`{where}.date` of {path} holds {figure['date']!r}; expected a date such as 2026-11-01.")
    for key in ("source", "what"):
        if key in figure and (not isinstance(figure[key], str) or not figure[key]):
            raise FitError(f"`{where}.{key}` of {path} holds {figure[key]!r}; expected a text.")
    figure.setdefault("what", "as given")


def _check_currency(provider: str, table: Mapping[str, Any], path: Path) -> None:
    """Refuse a sum of two currencies: who changes it gives every amount."""
    builtin = _builtin()[provider]
    if table.get("currency", builtin["currency"]) == builtin["currency"]:
        return
    for amount in sorted(_amounts(builtin) - _amounts(table)):
        raise FitError(
            f"[{provider}] of {path} counts in {table['currency']} and leaves {amount} in {builtin['currency']}; "
            "give every amount in one currency."
        )


def _amounts(table: Mapping[str, Any]) -> set[str]:
    """Name the amounts of money in a provider's table."""
    places = [(section, table.get(section, {})) for section in _MONEY]
    for other in _OTHER_ARCHITECTURES:
        places += [(f"{other}.{section}", table.get(other, {}).get(section, {})) for section in _MONEY]
    return {f"{section}.{key}" for section, figures in places for key in figures}


@cache
def _builtin() -> dict[str, Any]:
    with (Path(__file__).parent / "prices.toml").open("rb") as file:
        return tomllib.load(file)
