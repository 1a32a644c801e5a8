"""Which form of the model to ship: tried and measured while packing, and recorded with the reasons.

Every form is opened by the lean engine in fresh processes, in turn, so that whatever else the machine does falls on all
alike; processor time counts, and of several rounds the quickest, because noise only ever adds. A form wins only by a
clear margin over the simpler ones before it, and the choice is kept by the hash of all that went into it, so that the
next pack makes it too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from coldpress.bundle.wheels import sha256_of
from coldpress.errors import ConfigError, ModelError
from coldpress.forms.candidates import FORMS, Form, build_forms
from coldpress.forms.choice import Candidate, Choice, choice_key, read_choice, write_choice
from coldpress.forms.trial import Trial, try_model
from coldpress.machine import host_runs
from coldpress.reference import Difference, Reference, compare_outputs
from coldpress.samples.load import SampleSet

__all__ = ["Candidate", "Choice", "choose_form"]

MARGIN = 0.05
"""A form must save this share of a simpler one's cold start,"""
LEAST_MS = 2.0
"""and this much of it: of a start of 20 ms, less is noise."""
SLOWER = 1.15
"""A warm answer may take this many times the plain file's."""
HEAVIER = 1.10
"""Peak memory may be this many times the plain file's."""
GROWTH_BYTES = 16 * 1024 * 1024
"""What a form may ship beyond the plain file of a model whose weights are as they were."""
MS_PER_MB = 1.0
"""What a further MB in the bundle must save at a cold start: reading it at 1 GB/s costs as much."""
_SLACK_MS, _SLACK_MB = 0.05, 4.0
_RULES = (MARGIN, LEAST_MS, SLOWER, HEAVIER, MS_PER_MB, _SLACK_MS, _SLACK_MB)
_ROUNDS = (3, 7)
_IN_PLACE = ("ort-mapped", "ort-mapped-unpacked")
_ROUNDING = 1e-5  # weights as they lie are added up by other kernels, in another order
_CHECKED = 4
_WARM_MS = 60.0


class Library(Protocol):
    """What is needed of an engine: ``coldpress.bundle.wheels.Engine`` is one."""

    @property
    def path(self) -> Path: ...

    @property
    def sha256(self) -> str: ...


def choose_form(
    model: Path,
    reference: Reference,
    samples: SampleSet,
    *,
    engine: Library,
    architecture: str,
    threads: int,
    work: Path,
    wanted: str | None = None,
    budget_s: float = 3.0,
    growth_bytes: int = GROWTH_BYTES,
    in_place_mb: int | None = None,
) -> Choice:
    """Build, check and measure the forms of ``model``, and choose one.

    Args:
        model: The ONNX file to ship, after the lossless passes.
        reference: The original file in the plain binding; every form must answer like it.
        samples: Requests; the first is timed, a few are compared.
        engine: ONNX Runtime's library for the target.
        architecture: ``x86_64`` or ``arm64``.
        threads: Threads of the function.
        work: Folder for the files built; the choice refers to them.
        wanted: Take this form and measure nothing.
        budget_s: Seconds for the timed rounds; there are at least three, however long they take.
        growth_bytes: No form may ship more bytes than this beyond the plain file, its stand-in for other CPUs included.
        in_place_mb: The file does not ship, but is read into memory and used where it lies there; so many MB (2^20
            bytes) the function has. It is in ORT format then, for every CPU, and its weights are laid out anew only
            where that is clearly quicker and there is memory for both.

    Raises:
        ConfigError: ``wanted`` is no form.
        ModelError: The plain file does not open or answer, or the wanted form cannot be had.
    """
    if wanted is not None and wanted not in FORMS:
        raise ConfigError(f"The form is {wanted!r}, expected one of {', '.join(FORMS)}.")
    if in_place_mb is not None and wanted not in (None, *_IN_PLACE):
        raise ConfigError(
            f"The form is {wanted!r}, and weights outside of the package are used where they are read to, for which "
            f"they must be {' or '.join(_IN_PLACE)}; leave --form out, or targets.*.weights."
        )
    if not host_runs(architecture):
        if in_place_mb is not None:
            raise ConfigError(
                f"Weights outside of the package are in ORT format, which can only be built on a Linux machine of "
                f"{architecture}; pack there."
            )
        return _untried(model, architecture, threads, engine.path, work, wanted)
    requests = samples.requests[:_CHECKED]
    settings = (engine.sha256, threads, wanted, growth_bytes, *_RULES)
    in_place = in_place_mb is not None
    key = choice_key(model, reference.model, requests, (*settings, in_place_mb) if in_place else settings)
    if (choice := read_choice(key, model)) is None:
        names = ("onnx", wanted) if wanted else ("onnx", *_IN_PLACE) if in_place else FORMS
        forms = build_forms(model, work, names, threads=threads, library=engine.path, everywhere=in_place)
        tried = _check(forms, reference, requests, engine.path, tolerance=_ROUNDING if in_place else 0.0)
        if wanted is None and in_place_mb is not None:
            if fit := [t for t in tried[1:] if not t.refused]:
                _measure(fit, requests[:1], engine.path, budget_s)
            choice = _choice(tried, _best_in_place(tried, in_place_mb))
        elif wanted is None:
            _measure([t for t in tried if not t.refused], requests[:1], engine.path, budget_s)
            choice = _choice(tried, _best(tried, growth_bytes))
        else:
            choice = _wanted(tried, wanted)
        write_choice(key, choice, model)
    return choice


@dataclass
class _Tried:
    """A form under trial."""

    form: Form
    difference: Difference
    trials: list[Trial]
    refused: str = ""
    stand_in: "_Tried | None" = None
    reason: str = ""

    def least(self, what: str) -> float:
        return min((getattr(trial, what) for trial in self.trials), default=0.0)

    @property
    def total_bytes(self) -> int:
        return self.form.bytes + (self.stand_in.form.bytes if self.stand_in else 0)


def _check(
    forms: Iterable[Form], reference: Reference, requests: Sequence[Any], library: Path, tolerance: float
) -> list[_Tried]:
    """Run every form on the requests and compare; the plain file is first, and must at least answer."""
    expected = [reference.run(request) for request in requests]
    plain: Sequence[Mapping[str, Any]] = ()
    tried = []
    for form in forms:
        entry = _Tried(form, Difference(equal=False), [], form.refused)
        tried.append(entry)
        if form.refused:
            continue
        try:
            answers = try_model(form.file, form.opening, requests, library=library, answers=True).answers
        except ModelError as error:
            if form.name == "onnx":
                raise
            entry.refused = str(error)
            continue
        plain = plain or answers
        entry.difference = _worst(expected, answers, reference.drawn)
        # With several threads the binding itself may add up in another order; then the plain file is the measure.
        same = entry.difference.equal or (tolerance and entry.difference.within(tolerance))
        if not same and not _worst(plain, answers, reference.drawn).equal:
            what = entry.difference.structure or f"they are off by up to {entry.difference.max_abs:.2g}"
            entry.refused = f"its answers are not the original's bit for bit: {what}"
    return tried


def _worst(
    expected: Sequence[Mapping[str, Any]], got: Sequence[Mapping[str, Any]], drawn: frozenset[str]
) -> Difference:
    result = Difference()
    for one, other in zip(expected, got, strict=True):
        result = result.join(compare_outputs(one, other, drawn))
    return result


def _measure(tried: list[_Tried], requests: Sequence[Any], library: Path, budget_s: float) -> None:
    """Time the forms in turn, for as many rounds as the budget allows."""
    begun, done = monotonic(), 0
    while done < _ROUNDS[0] or (done < _ROUNDS[1] and (monotonic() - begun) * (done + 1) / done < budget_s):
        first = done % len(tried)
        for entry in tried[first:] + tried[:first]:
            opening = entry.form.opening
            entry.trials.append(
                try_model(entry.form.file, opening, requests, library=library, warm=50, warm_ms=_WARM_MS)
            )
        done += 1


def _best(tried: list[_Tried], growth_bytes: int) -> _Tried:
    """Choose by the time of a cold start, within the limits on bytes, warm time and memory."""
    plain = tried[0]
    portable = [entry for entry in tried if not entry.refused and not entry.form.cpu]
    stand_in = _fastest(plain, portable, growth_bytes)
    for entry in tried:
        if entry.form.cpu:
            entry.stand_in = stand_in
    return _fastest(plain, [entry for entry in tried if not entry.refused], growth_bytes)


def _best_in_place(tried: list[_Tried], memory_mb: int) -> _Tried:
    """Choose the form with the least memory, unless laying weights out anew is clearly quicker and there is room."""
    plain, *others = tried
    plain.reason = "its weights would be copied out of what is read"
    fit = {entry.form.name: entry for entry in others if not entry.refused}
    if not fit:
        raise ModelError(
            f"{plain.form.file.name} cannot be read from a store and used where it lies: {others[-1].refused}; mount "
            "it into a container, or pack a smaller model."
        )
    packed, lean = fit.get(_IN_PLACE[0]), fit.get(_IN_PLACE[1])
    if packed is None or lean is None:
        return packed or lean or plain
    if lean.least("warm_ms") <= packed.least("warm_ms") * SLOWER + _SLACK_MS:
        packed.reason = "it is hardly quicker, and needs up to twice the memory"
        return lean
    if packed.least("peak_mb") * 1e6 * HEAVIER > memory_mb * (1 << 20):
        packed.reason = f"it is quicker, and peaks at {packed.least('peak_mb'):.0f} MB of the function's {memory_mb} MB"
        return lean
    lean.reason = f"a warm answer takes {lean.least('warm_ms'):.2f} ms instead of {packed.least('warm_ms'):.2f}"
    return packed


def _fastest(plain: _Tried, entries: list[_Tried], growth_bytes: int) -> _Tried:
    """Return the simplest of the forms that start about as quickly as the quickest one."""
    for entry in entries:
        entry.reason = _objection(plain, entry, growth_bytes)
    fit = [entry for entry in entries if not entry.reason]
    quickest = min(fit, key=lambda entry: entry.least("cold_ms"))
    bar = quickest.least("cold_ms")
    chosen = next(e for e in fit if e.least("cold_ms") <= max(bar / (1 - MARGIN), bar + LEAST_MS))
    for entry in fit:
        if entry is not chosen:
            slower = entry.least("cold_ms") > chosen.least("cold_ms")
            gain = f"less than {MARGIN:.0%} or {LEAST_MS:g} ms"
            entry.reason = "it starts later" if slower else f"it gains {gain} on a simpler form"
    return chosen


def _objection(plain: _Tried, entry: _Tried, growth_bytes: int) -> str:
    """Say which limit a form breaks against the plain one, if any."""
    if entry is plain:
        return ""
    extra = entry.total_bytes - plain.form.bytes
    gain = plain.least("cold_ms") - entry.least("cold_ms")
    if gain <= 0:
        return "it starts later"
    if extra > growth_bytes:
        return f"it needs {extra / 1e6:.1f} MB more, over {growth_bytes / 1e6:.1f} MB"
    if extra > 0 and gain < extra / 1e6 * MS_PER_MB:
        return f"it saves {gain:.1f} ms for {extra / 1e6:.1f} MB more, under {MS_PER_MB:g} ms a MB"
    if entry.least("warm_ms") > plain.least("warm_ms") * SLOWER + _SLACK_MS:
        return f"a warm answer takes {entry.least('warm_ms'):.2f} ms instead of {plain.least('warm_ms'):.2f}"
    if entry.least("peak_mb") > plain.least("peak_mb") * HEAVIER + _SLACK_MB:
        return f"it peaks at {entry.least('peak_mb'):.0f} MB instead of {plain.least('peak_mb'):.0f}"
    return ""


def _wanted(tried: list[_Tried], name: str) -> Choice:
    (entry,) = (entry for entry in tried if entry.form.name == name)
    if entry.refused:
        raise ModelError(f"The form {name} was asked for and cannot be shipped: {entry.refused}.")
    if entry.form.cpu:
        entry.stand_in = tried[0]
    for other in tried:
        other.reason = "" if other is entry else "another form was asked for"
    return replace(_choice(tried, entry), measured=False, note=f"The form {name} was asked for; nothing was timed.")


def _choice(tried: list[_Tried], chosen: _Tried) -> Choice:
    """Write the records of the chosen form and of its stand-in, and a row for every form."""
    model, files = _record(chosen.form, "model")
    portable = None
    if chosen.stand_in:
        portable, more = _record(chosen.stand_in.form, "portable")
        files |= more
        chosen.stand_in.reason = f"it ships too, for CPUs without {', '.join(chosen.form.cpu)}"
    rows = tuple(
        Candidate(
            name=entry.form.name,
            bytes=entry.form.bytes if not entry.form.refused else 0,
            total_bytes=entry.total_bytes if not entry.form.refused else 0,
            cold_ms=round(entry.least("cold_ms"), 2),
            warm_ms=round(entry.least("warm_ms"), 3),
            peak_mb=round(entry.least("peak_mb"), 1),
            equal=entry.difference.equal,
            max_abs=entry.difference.max_abs,
            cpu=entry.form.cpu,
            why_not="" if entry is chosen else entry.refused or entry.reason,
        )
        for entry in tried
    )
    return Choice(chosen.form.name, model, portable, files, rows, measured=True)


def _record(form: Form, stem: str) -> tuple[dict[str, Any], dict[str, Path]]:
    path = f"model/{stem}{'.ort' if form.name.startswith('ort') else '.onnx'}"
    record = {
        "path": path,
        "sha256": sha256_of(form.file),
        "optimization": form.opening.optimization,
        "mapped": form.opening.mapped,
        "prepacking": form.opening.prepacking,
        "cpu": list(form.cpu),
    }
    return record, {path: form.file} | {f"model/{name}": file for name, file in form.sidecars.items()}


def _untried(model: Path, architecture: str, threads: int, library: Path, work: Path, wanted: str | None) -> Choice:
    """Ship the plain file to a machine of another kind, where nothing can be timed."""
    if wanted not in (None, "onnx"):
        raise ConfigError(f"The form {wanted} can only be built on a Linux machine of {architecture}; use onnx here.")
    (form,) = build_forms(model, work, ("onnx",), threads=threads, library=library)
    entry = _Tried(form, Difference(), [])
    note = f"This machine does not run Linux on {architecture}: the file is shipped as it is, and nothing was timed."
    return replace(_choice([entry], entry), measured=False, note=note)
