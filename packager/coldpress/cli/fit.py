"""``coldpress fit``: one function beside all providers: does it fit, in which size, and what do requests cost."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coldpress.console import emit_json, emit_text, say
from coldpress.errors import ConfigError
from coldpress.targets import ENTRIES

if TYPE_CHECKING:
    from coldpress.fit.compare import Demand, Offer, Subject

__all__ = ["add_parser", "run"]

_MOST_REQUESTS = 10**15  # thousands a day for everybody on earth
_WORDS = {
    "needs-store": "needs a store",
    "needs-image": "needs an image",
    "needs-gpu": "needs a GPU",
    "needs-change": "needs a change",
}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``fit`` to the command line."""
    parser = subparsers.add_parser("fit", help="hold a model against every provider's limits and prices",
                                   description=__doc__)  # fmt: skip
    parser.add_argument("subjects", type=Path, nargs="+", metavar="BUILD_OR_MODEL",
                        help="what pack wrote (build/aws; or several), a zip, or an .onnx file")  # fmt: skip
    parser.add_argument("--requests-per-month", type=int, default=1_000_000, metavar="N", help="(1000000)")
    parser.add_argument("--cold-share", type=float, default=0.01, metavar="X",
                        help="of requests, those that need a new instance (0.01)")  # fmt: skip
    parser.add_argument("--providers", metavar="A,B", help=f"only these: {','.join(ENTRIES.values())}")
    parser.add_argument("--memory-mb", type=int, metavar="MB", help="take exactly this size of instance")
    parser.add_argument("--request", type=Path, help="file whose bytes are the body (default: the warm-up inputs)")
    parser.add_argument("--prices", type=Path, metavar="FILE", help="your own prices, laid over the built-in ones")
    parser.add_argument("--free-tier", action="store_true", help="take off what is free every month")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, compare, then print a table, or JSON; 0 whatever fits."""
    from coldpress.fit.compare import Demand, compare  # noqa: PLC0415  (kept off the path of `coldpress --help`)
    from coldpress.fit.prices import priced, read_prices  # noqa: PLC0415
    from coldpress.fit.subject import read_subject  # noqa: PLC0415
    from coldpress.fit.tiers import tier  # noqa: PLC0415

    if not 1 <= args.requests_per_month <= _MOST_REQUESTS:
        raise ConfigError(f"--requests-per-month is {args.requests_per_month}; expected 1 to {_MOST_REQUESTS:,}.")
    if not 0 <= args.cold_share <= 1:
        raise ConfigError(f"--cold-share is {args.cold_share}; expected a share from 0 to 1, such as 0.01.")
    targets = _targets(args.providers)
    for target in targets:  # before anything is measured
        if args.memory_mb is not None:
            tier(target, args.memory_mb)
    if args.prices:
        read_prices(priced()[0], override=args.prices)
    subjects = [read_subject(path, args.request) for path in args.subjects]
    demand = Demand(args.requests_per_month, args.cold_share, args.free_tier)
    offers = compare(subjects, targets, demand, memory_mb=args.memory_mb, override=args.prices)
    if args.json:
        asked = {"requests_per_month": demand.requests, "cold_share": demand.cold_share, "free_tier": demand.free}
        found = [subject.to_json() for subject in subjects]
        emit_json({"subjects": found, **asked, "providers": [offer.to_json() for offer in offers]})
        return 0
    emit_text(render(subjects, offers, demand))
    for line in _notes(subjects, offers, demand):
        say(line)
    return 0


def _targets(text: str | None) -> tuple[str, ...]:
    known = tuple(ENTRIES.values())
    if text is None:
        return known
    wanted = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not wanted or set(wanted) - set(known):
        raise ConfigError(f"--providers is {text!r}; expected some of {','.join(known)}, with commas between them.")
    return wanted


def render(subjects: "Sequence[Subject]", offers: "Sequence[Offer]", demand: "Demand") -> str:
    """Return the table as text for a terminal, coloured when stdout is one."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)
    console = Console(force_terminal=console.is_terminal, width=max(console.width, 110), highlight=False)
    table = Table(box=None, pad_edge=False)
    for title in ("", "", "memory", "vCPU", "cold start", "warm", "a million requests", "always on pays from"):
        table.add_column(title, justify="left" if not title else "right", no_wrap=True)
    for offer in offers:
        size, load, cost = offer.tier, offer.load, offer.cost
        fits = Text(_WORDS.get(offer.verdict, offer.verdict), style="green" if offer.verdict == "fits" else "yellow")
        about = "" if offer.measured else "~"
        currency = offer.prices.currency if offer.prices else ""
        table.add_row(
            offer.target,
            fits,
            f"{size.memory_mb:,} MB" if size else "-",
            f"{size.vcpus:.2f}" if size else "-",
            about + _ms(load.init_ms + load.first_ms) if load else "-",
            about + _ms(load.warm_ms) if load else "-",
            f"{_money(cost.per_million)} {currency}" if cost else "the host's",
            ("never" if cost.break_even is None else f"{_count(cost.break_even)} a month") if cost else "-",
        )
    with console.capture() as captured:
        for subject in subjects:
            console.print(Text(_measured(subject)), soft_wrap=True)
        console.print(table)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    for offer in offers:
        lines += [f"  {offer.target}: {need}" for need in offer.needs]
    if demand.free:
        lines.append("  What is free every month is taken off; other functions of the account eat from it too.")
    return "\n".join(lines)


def _measured(subject: "Subject") -> str:
    load, size = subject.load, f"{subject.sizes.unzipped_bytes / 1e6:,.1f} MB unzipped"
    figures = f"first answer {_ms(load.first_ms)}, warm {_ms(load.warm_ms)}, {subject.peak_mb:,.0f} MB at the peak"
    if subject.target is None:
        return f"{subject.name}: about {size}; opened in {_ms(load.init_ms)}, {figures}"
    return f"{subject.name}: {size}; ready after {_ms(load.init_ms)}, {figures}"


def _notes(subjects: "Sequence[Subject]", offers: "Sequence[Offer]", demand: "Demand") -> list[str]:
    """Say what the figures rest on."""
    built = [subject.target for subject in subjects if subject.target]
    how = "Estimated: the model ran by itself on made-up input, and a cold start is without the interpreter and the "
    how += "provider's runtime. Pack it and give the build."
    if built:
        how = f"Measured here under the runtime of {', '.join(built)}."
        if not all(offer.measured for offer in offers):
            how += f" What has ~ before it is taken from {subjects[0].target or 'the model'}."
    asked = (
        f"{demand.requests:,} requests a month at random times, {100 * demand.cold_share:g} % of them cold; on a share "
        "of a CPU all takes longer by as much. Gateways, traffic, storage and logs are not in it."
    )
    notes = [how, asked]
    if prices := [offer.prices for offer in offers if offer.prices]:
        regions = ", ".join(f"{each.provider} {each.region}" for each in prices)
        notes.append(f"List prices as of {min(each.as_of for each in prices)}: {regions}; --json has each source.")
    return notes


def _ms(value: float) -> str:
    if value >= 9995:
        return f"{value / 1000:,.1f} s"
    return f"{value:,.0f} ms" if value >= 99.5 else f"{value:.1f} ms" if value >= 9.95 else f"{value:.2f} ms"


def _money(value: float) -> str:
    return f"{value:,.2f}" if value >= 0.1 else f"{value:.3g}"


def _count(value: int) -> str:
    for unit, size in (("billion", 10**9), ("million", 10**6), ("thousand", 10**3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return str(value)
