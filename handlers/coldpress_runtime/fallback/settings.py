"""``fallback`` of ``coldpress.json``: which endpoint is asked, for which requests, and how patiently.

A rule says when a request goes there:

===================== ================================================================================================
``does-not-fit``      always: the model is not in the bundle
``batch > N``         it has more than N rows
``sequence > N``      the longest open axis of its inputs beside the rows is longer than N
``elements > N``      its inputs have more than N elements together
``bytes > N``         its body has more than N bytes, decompressed
``time > S``          the run is expected to take more than the share S of the time that is left
``confidence < P``    a row's largest probability is below P: that row goes, once the function's model has answered
``error``             the function's model refused the inputs or broke; never when the request is at fault
``canary P%``         every so often, whatever it holds
``shadow P%``         so often it is asked beside the function's model, and only differences are counted: behind the
                      answer in a container, before it where a process stops with its answer
===================== ================================================================================================

Secrets are never part of the settings: they come from the environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from coldpress_runtime.record import Record, any_text, boolean, error, integer, list_of, or_null, text
from coldpress_runtime.tensor import DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["AUTHS", "KINDS", "RULES", "WAKING", "Breaker", "Endpoint", "Fallback", "Rule", "Value", "read_rule"]

#: Kinds of endpoints; ``http`` is any URL that speaks the Open Inference Protocol and ``/predict``.
KINDS = ("http", "sagemaker", "sagemaker-async", "vertex", "azure-ml")
#: Ways to prove who asks.
AUTHS = ("none", "bearer", "google", "azure", "aws")
#: What to do while the endpoint wakes: let the small model answer, queue the request, or refuse it for now.
WAKING = ("small", "queue", "refuse")
#: Rules by name: the sign between name and bound, and what the bound may be; None for those without a bound.
RULES = {
    "does-not-fit": None,
    "batch": (">", "a whole number from 0 up"),
    "sequence": (">", "a whole number from 0 up"),
    "elements": (">", "a whole number from 0 up"),
    "bytes": (">", "a whole number from 0 up"),
    "time": (">", "a number above 0, at most 1"),
    "confidence": ("<", "a number above 0, at most 1"),
    "error": None,
    "canary": ("%", "a percentage above 0, at most 100"),
    "shadow": ("%", "a percentage above 0, at most 100"),
}
_FORMS = ", ".join(
    name if bound is None else f"{name} P%" if bound[0] == "%" else f"{name} {bound[0]} N"
    for name, bound in RULES.items()
)
_FLOATS = ("FP16", "BF16", "FP32", "FP64")
_TABLE = 2  # axes: rows and classes
_DAY = 86_400
_MAX_BYTES = 1 << 40
_MAX_SIZE = (1 << 63) - 1


class Rule(NamedTuple):
    """A rule's name, and its bound: a share from 0 to 1 where it is a percentage, 0 where there is none."""

    name: str
    bound: float


def read_rule(value: Any, where: str) -> Rule:
    """Read one rule, such as ``batch > 8``; raises ManifestError."""
    words = value.split() if isinstance(value, str) else []
    name = words[0] if words else ""
    if name not in RULES:
        raise error(where, f"one of {_FORMS}", value)
    form = RULES[name]
    if form is None:
        if len(words) > 1:
            raise error(where, f"{name} alone", value)
        return Rule(name, 0.0)
    sign, expected = form
    if sign == "%":
        sound = len(words) == 2 and words[1].endswith("%")
        bound = _number(words[1][:-1]) / 100 if sound else -1.0
        shown = f"{name} P% with {expected}"
    else:
        sound = len(words) == 3 and words[1] == sign
        bound = _number(words[2]) if sound else -1.0
        shown = f"{name} {sign} N with {expected}"
    whole = expected.startswith("a whole")
    if not (0 <= bound <= _MAX_SIZE and bound.is_integer() if whole else 0 < bound <= 1):
        raise error(where, shown, value)
    return Rule(name, bound)


def _number(digits: str) -> float:
    """A plain decimal number; -1 for anything else, infinities and 1e9 among them."""
    return float(digits) if digits.isascii() and digits.replace(".", "", 1).isdigit() else -1.0


def _rule_text(value: Any, where: str) -> str:
    read_rule(value, where)
    return str(value)


def _one_of(choices: tuple[str, ...]) -> Callable[[Any, str], str]:
    def read(value: Any, where: str) -> str:
        if value not in choices:
            raise error(where, "one of " + ", ".join(choices), value)
        return str(value)

    return read


def _seconds(value: Any, where: str) -> float:
    if type(value) not in {int, float} or not 0 < value <= _DAY:
        raise error(where, f"a number of seconds above 0, at most {_DAY}", value)
    return float(value)


def _url(value: Any, where: str) -> str:
    found = any_text(value, where)
    scheme, mark, rest = found.partition("://")
    host = rest.partition("/")[0]
    plain = found.isascii() and found.isprintable() and not set(found) & set(' "<>\\^`{|}?#')
    if found and not (mark and scheme in {"http", "https"} and host and "@" not in host and plain):
        shown = f"{scheme}://..." if set("@?") & set(found) else found  # what follows may be a secret
        raise error(where, "nothing, or a URL that begins with https:// or http://, without user, query and #", shown)
    return found


def _axis(value: Any, where: str) -> int | str | None:
    if value is None or isinstance(value, str):
        return value
    if type(value) is not int or not 0 <= value <= _MAX_SIZE:
        raise error(where, "a size, the name of an open axis, or null", value)
    return value


class Endpoint(Record):
    """Where the endpoint is and how to prove who asks.

    ``url`` and ``name`` may be empty: then COLDPRESS_FALLBACK_URL and COLDPRESS_FALLBACK_ENDPOINT say. ``audience`` is
    whom a token is for; ``output`` is where an asynchronous endpoint leaves its answers. ``allow_private`` lets the
    URL name an address inside a private network.
    """

    __slots__ = ("kind", "url", "name", "region", "auth", "audience", "output", "allow_private")  # noqa: RUF023
    READERS = (_one_of(KINDS), _url, any_text, any_text, _one_of(AUTHS), any_text, any_text, boolean)
    kind: str
    url: str
    name: str
    region: str
    auth: str
    audience: str
    output: str
    allow_private: bool

    def check(self) -> None:
        """Check that the endpoint of a provider is not asked for another provider's proof."""
        own = {"sagemaker": "aws", "sagemaker-async": "aws", "vertex": "google"}.get(self.kind)
        if own is not None and self.auth not in {"none", own}:
            raise error("fallback.endpoint.auth", f"{own} for an endpoint of kind {self.kind}", self.auth)


class Breaker(Record):
    """After so many ``failures`` within ``window_s`` the endpoint is left alone for ``open_s`` seconds."""

    __slots__ = ("failures", "window_s", "open_s")  # noqa: RUF023
    READERS = (integer(1, 10_000), _seconds, _seconds)
    failures: int
    window_s: float
    open_s: float


class Value(Record):
    """Name, datatype (as the Open Inference Protocol spells it) and axes of an input or output.

    An axis is a size, the name of an open axis, or None. Sequences and maps are BYTES, as the protocol carries them.
    """

    __slots__ = ("name", "datatype", "shape")  # noqa: RUF023
    READERS = (any_text, _one_of(tuple(DTYPES)), list_of(_axis))
    name: str
    datatype: str
    shape: tuple[int | str | None, ...]


class Fallback(Record):
    """The whole of ``fallback``.

    ``deadline_s`` bounds one question with all its retries, ``connect_s`` each connection; a question that has no
    answer after ``hedge_after_s`` is asked a second time, None for never. At most ``concurrency`` questions are under
    way, and answers of more than ``answer_bytes`` are refused. ``waking`` says what happens while the endpoint wakes,
    ``output`` which output holds the probabilities that ``confidence`` looks at: None for the only one that can.
    ``inputs`` and ``outputs`` are the model's signature.
    """

    __slots__ = (  # noqa: RUF023
        "endpoint", "when", "deadline_s", "connect_s", "retries", "hedge_after_s", "concurrency", "answer_bytes",
        "breaker", "waking", "output", "inputs", "outputs",
    )  # fmt: skip
    READERS = (
        Endpoint.read, list_of(_rule_text), _seconds, _seconds, integer(0, 10), or_null(_seconds), integer(1, 10_000),
        integer(1, _MAX_BYTES), Breaker.read, _one_of(WAKING), or_null(text), list_of(Value.read),
        list_of(Value.read),
    )  # fmt: skip
    endpoint: Endpoint
    when: tuple[str, ...]
    deadline_s: float
    connect_s: float
    retries: int
    hedge_after_s: float | None
    concurrency: int
    answer_bytes: int
    breaker: Breaker
    waking: str
    output: str | None
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    @property
    def rules(self) -> dict[str, float]:
        """The bounds of the rules by their names."""
        return dict(read_rule(item, "fallback.when") for item in self.when)

    @property
    def remote(self) -> bool:
        """Whether the endpoint alone has the model."""
        return "does-not-fit" in self.rules

    def check(self) -> None:
        """Check the rules together, the times against each other, and the names of outputs."""
        names = [read_rule(item, "fallback.when").name for item in self.when]
        if not names or len(set(names)) != len(names):
            raise error("fallback.when", "at least one rule, and each kind of rule once", list(self.when))
        if "shadow" in names and self.waking == "queue" and self.endpoint.kind == "sagemaker-async":
            raise error("fallback.when", "no shadow of an endpoint that answers later", list(self.when))
        if self.connect_s > self.deadline_s:
            raise error("fallback.connect_s", f"at most deadline_s, which is {self.deadline_s:g}", self.connect_s)
        for side in ("inputs", "outputs"):
            known = [value.name for value in getattr(self, side)]
            if not known or len(set(known)) != len(known):
                raise error(f"fallback.{side}", f"each of the model's {side} once", known)
        self._check_output("confidence" in names)

    def _check_output(self, needed: bool) -> None:
        fit = [value.name for value in self.outputs if value.datatype in _FLOATS and len(value.shape) == _TABLE]
        if self.output is not None and self.output not in fit:
            raise error("fallback.output", f"an output of numbers by row and class: {', '.join(fit) or 'none'}",
                        self.output)  # fmt: skip
        if needed and self.output is None and len(fit) != 1:
            raise error("fallback.output", f"which output holds the probabilities: {', '.join(fit) or 'none'}", None)
