"""What a report is made from: the JSON document, read into frozen records, with every value checked on the way.

Keys that no record has are kept in ``report.json`` and not looked at. A number that is not finite reads as one that was
not measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coldpress.report.fallback import Fallback, read_fallback
from coldpress.report.fits import Fit, read_fit
from coldpress.report.parts import Part

__all__ = [
    "Candidate",
    "Check",
    "ColdStart",
    "Document",
    "File",
    "Peer",
    "Tensor",
    "Verdict",
    "read_document",
]

_FIGURES = ("bytes", "zip_bytes", "cold_ms", "first_ms", "warm_ms", "peak_mb")


@dataclass(frozen=True)
class Check:
    """One thing the gate looked at; ``verdict`` is ``pass``, ``fail`` or ``inconclusive``."""

    name: str
    verdict: str
    found: float | None
    limit: float | None
    note: str


@dataclass(frozen=True)
class Verdict:
    """What the gate said of a candidate, see ``coldpress.gate.verdict``; figures are bytes, ms and 10^6 bytes."""

    verdict: str
    metric: str
    original: float | None
    shrunk: float | None
    drop: float | None
    drop_bound: float | None
    samples: int
    samples_needed: int | None
    identical: bool
    cosine: float | None
    max_rel: float | None
    agreement: float | None
    slowdown: float | None
    figures: Mapping[str, float | None]
    original_figures: Mapping[str, float | None]
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Candidate:
    """A model that was tried; ``encodings`` gives tensors and bytes by encoding, ``state`` is how the page marks it."""

    name: str
    recipe: tuple[str, ...]
    bytes: int
    zip_bytes: int | None
    loss: float | None
    chosen: bool
    accepted: bool
    why_not: str
    seconds: float
    encodings: Mapping[str, tuple[int, int]]
    verdict: Verdict | None
    original: bool

    @property
    def figures(self) -> Mapping[str, float | None]:
        """What it costs, see ``Verdict``; each None where the gate did not come to it."""
        return self.verdict.figures if self.verdict else dict.fromkeys(_FIGURES)

    @property
    def state(self) -> str:
        """One of ``chosen``, ``original``, ``accepted``, ``inconclusive``, ``unjudged``, ``refused``."""
        if self.chosen or self.original:
            return "chosen" if self.chosen else "original"
        if self.accepted:
            return "accepted"
        if self.verdict is None:
            return "refused" if self.why_not else "unjudged"
        return "inconclusive" if self.verdict.verdict == "inconclusive" else "refused"


@dataclass(frozen=True)
class Peer:
    """What another tool made of the same model; ``passed`` is what the gate said of it, None when it was not asked."""

    name: str
    bytes: int
    loss: float | None
    passed: bool | None
    note: str


@dataclass(frozen=True)
class Tensor:
    """A weight: ``op`` is the operator it is for, seen through the nodes that only decode it."""

    name: str
    bytes: int
    dtype: str
    op: str


@dataclass(frozen=True)
class File:
    """A file of the bundle; ``kind`` is a key of ``coldpress.fit.sizes.KINDS``."""

    path: str
    bytes: int
    kind: str


@dataclass(frozen=True)
class ColdStart:
    """Milliseconds by step, in the order they happen; ``original`` the same with the original model, if measured.

    ``clock`` is whose time it is: ``wall`` or, where other processes are not to count, ``processor``.
    """

    steps: Mapping[str, float]
    original: Mapping[str, float] | None
    clock: str


@dataclass(frozen=True)
class Document:
    """A whole report; the first candidate is the original.

    ``cold_start`` is of the finished bundle, ``model_start`` of the model alone, as the gate times it.
    """

    coldpress: str
    title: str
    model_name: str
    model_bytes: int
    model_sha256: str
    max_bytes: int | None
    max_drop: float
    max_slowdown: float
    max_peak_mb: float | None
    calibration: int
    evaluation: int
    origin: str
    metric: str | None
    candidates: tuple[Candidate, ...]
    peers: tuple[Peer, ...]
    before: tuple[Tensor, ...]
    after: tuple[Tensor, ...]
    files: tuple[File, ...] | None
    cold_start: ColdStart | None
    model_start: ColdStart | None
    fit: tuple[Fit, ...]
    fallback: Fallback | None
    notes: tuple[str, ...]

    @property
    def chosen(self) -> Candidate | None:
        """The candidate that ships, None when none does."""
        return next((candidate for candidate in self.candidates if candidate.chosen), None)


def read_document(document: Mapping[str, Any]) -> Document:
    """Check a document and return it as records.

    Raises:
        TemplateError: A value is missing, or is not what the page can show; the message says where.
    """
    top = Part(document, "the report")
    model, limits, samples = top.part("model"), top.part("limits"), top.part("samples")
    tensors, bundle, fallback = top.part("tensors"), top.maybe("bundle"), top.maybe("fallback")
    return Document(
        coldpress=top.text("coldpress", ""),
        title=top.text("title"),
        model_name=model.text("name"),
        model_bytes=model.count("bytes"),
        model_sha256=model.text("sha256", ""),
        max_bytes=limits.count("max_bytes", None),
        max_drop=limits.number("max_drop"),
        max_slowdown=limits.number("max_slowdown"),
        max_peak_mb=limits.number("max_peak_mb", None),
        calibration=samples.count("calibration"),
        evaluation=samples.count("evaluation"),
        origin=samples.text("origin", ""),
        metric=samples.text("metric", None),
        candidates=tuple(_candidate(part, not number) for number, part in enumerate(top.parts("candidates"))),
        peers=tuple(
            Peer(p.text("name"), p.count("bytes"), p.number("loss", None), p.flag("passed", None), p.text("note", ""))
            for p in top.parts("peers")
        ),
        before=tuple(map(_tensor, tensors.parts("before"))),
        after=tuple(map(_tensor, tensors.parts("after"))),
        files=None
        if bundle is None
        else tuple(File(f.text("path"), f.count("bytes"), f.text("kind", "other")) for f in bundle.parts("files")),
        cold_start=_start(top.maybe("cold_start")),
        model_start=_start(top.maybe("model_start")),
        fit=tuple(map(read_fit, top.parts("fit"))),
        fallback=read_fallback(fallback) if fallback else None,
        notes=top.texts("notes"),
    )


def _candidate(part: Part, original: bool) -> Candidate:
    encodings, verdict = part.maybe("encodings"), part.maybe("verdict")
    counted = {name: encodings.part(name) for name in sorted(encodings.value)} if encodings else {}
    return Candidate(
        name=part.text("name"),
        recipe=part.texts("recipe"),
        bytes=part.count("bytes"),
        zip_bytes=part.count("zip_bytes", None),
        loss=part.number("loss", None),
        chosen=part.flag("chosen", False),
        accepted=part.flag("accepted", False),
        why_not=part.text("why_not", ""),
        seconds=part.number("seconds", 0.0) or 0.0,
        encodings={name: (each.count("tensors"), each.count("bytes")) for name, each in counted.items()},
        verdict=_verdict(verdict) if verdict else None,
        original=original,
    )


def _verdict(part: Part) -> Verdict:
    return Verdict(
        verdict=part.text("verdict"),
        metric=part.text("metric", ""),
        original=part.number("original", None),
        shrunk=part.number("shrunk", None),
        drop=part.number("drop", None),
        drop_bound=part.number("drop_bound", None),
        samples=part.count("samples", 0),
        samples_needed=part.count("samples_needed", None),
        identical=part.flag("identical", False),
        cosine=part.number("cosine", None),
        max_rel=part.number("max_rel", None),
        agreement=part.number("agreement", None),
        slowdown=part.number("slowdown", None),
        figures={name: part.number(name, None) for name in _FIGURES},
        original_figures={name: part.number(f"original_{name}", None) for name in _FIGURES},
        checks=tuple(
            Check(
                c.text("name"), c.text("verdict"), c.number("found", None), c.number("limit", None), c.text("note", "")
            )
            for c in part.parts("checks")
        ),
    )


def _start(part: Part | None) -> ColdStart | None:
    if part is None:
        return None
    return ColdStart(part.numbers("steps"), part.numbers("original", None), part.text("clock", "wall"))


def _tensor(part: Part) -> Tensor:
    return Tensor(part.text("name"), part.count("bytes"), part.text("dtype", ""), part.text("op", ""))
