"""Values as people read them: sizes, times, shares, and names that may be hostile."""

import unicodedata

__all__ = [
    "bytes_text",
    "bytes_tick",
    "check_value",
    "figure",
    "loss",
    "metric_value",
    "milliseconds",
    "plain",
    "raised",
    "shorten",
    "step",
    "times",
    "use_value",
    "visible",
]

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_TIMES = "\N{MULTIPLICATION SIGN}"
_TITLE = 2000  # characters of a name that a title shows; longer ones help nobody


def plain(value: float) -> str:
    """Return a round number of an axis, without the zeros that would claim precision."""
    return f"{value:,.6g}"


def bytes_tick(value: float) -> str:
    """Return a round size of an axis."""
    text, unit = bytes_text(value).split()
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} {unit}"


def bytes_text(value: float) -> str:
    """Return a size in the decimal units that files and limits are quoted in."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= 0.9995 * size:
            return f"{figure(value / size)} {unit}"
    return f"{value:.0f} B"


def figure(value: float) -> str:
    """Return a number with three significant digits, thousands apart."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 99.95:
        return f"{value:,.0f}"
    if size >= 0.0001:
        return f"{value:.1f}" if size >= 9.995 else f"{value:.2f}" if size >= 0.9995 else f"{value:.3g}"
    return f"{value:.1e}".replace("e-0", "e-")


def milliseconds(value: float) -> str:
    """Return a time given in milliseconds, in the unit that leaves no zeros before its digits."""
    if 0 < value < 0.09995:
        return f"{figure(value * 1000)} µs"
    return f"{figure(value / 1000)} s" if value >= 9999.5 else f"{figure(value)} ms"


def step(value: float, total: float) -> str:
    """Return the milliseconds of a step, as exact as the ``total`` is."""
    return f"{value:,.1f}" if total >= 9.995 else figure(value)


def times(value: float) -> str:
    """Return a ratio; near 1, where ratios are compared, with two decimals each."""
    return f"{value:.2f}" + _TIMES if 0.0995 <= value < 9.995 else figure(value) + _TIMES


def loss(value: float) -> str:
    """Return a loss: a small one as its axis is marked, by powers of ten."""
    if value == 0 or value >= 0.00995:
        return figure(value)
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}{_TIMES}10{raised(int(power))}"


def metric_value(value: float) -> str:
    """Return what a metric says of a model, with as many decimals for one as for the other."""
    return f"{value:.4f}" if abs(value) < 10 else figure(value)


def raised(power: int) -> str:
    """Return an exponent in raised digits."""
    return str(power).translate(_RAISED)


def check_value(name: str, value: float | None) -> str:
    """Return the figure of a gate's check in the unit of that check."""
    if value is None:
        return ""
    if name == "bytes":
        return bytes_text(value)
    if name == "memory":
        return f"{figure(value)} MB"
    if name == "cold start":
        return milliseconds(value)
    if name == "likeness":
        return f"{value:.6g}"  # what is below 1 is what counts
    return times(value) if name == "latency" else figure(value)


def use_value(name: str, value: float | None) -> str:
    """Return what is used of a limit, in the unit that the limit's name ends in."""
    if value is None:
        return "not measured"
    if name.endswith("_bytes"):
        return bytes_text(value)
    unit = {"mb": "MB", "s": "s"}.get(name.rpartition("_")[2], "")
    return f"{value:,.4g} {unit}".strip() if value < 1000 else f"{value:,.0f} {unit}".strip()


def visible(text: str) -> str:
    r"""Return ``text`` with what cannot be seen as ``\uXXXX``: controls, marks that turn text, halves of pairs."""
    return "".join(
        f"\\u{ord(c):04x}" if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else c for c in text[:_TITLE]
    )


def shorten(text: str, limit: int) -> str:
    """Return ``text`` made visible and cut in the middle, at most ``limit`` characters; names differ at their ends."""
    whole = visible(text)
    if len(whole) <= limit:
        return whole
    head = limit // 2
    return f"{whole[:head]}…{whole[len(whole) - (limit - head - 1) :]}"
