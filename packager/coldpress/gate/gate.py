"""The gate itself: every check on one candidate, the cheap ones first."""

import shutil
import tempfile
import weakref
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from coldpress.bundle.deflate import deflate
from coldpress.errors import ModelError, SamplesError
from coldpress.forms.trial import Trial
from coldpress.gate import checks
from coldpress.gate.comparison import Comparison, compare_answers
from coldpress.gate.decisions import decision_rules
from coldpress.gate.kernels import saturating_weights
from coldpress.gate.metrics import Metric
from coldpress.gate.run import Answered, Engine
from coldpress.gate.values import arrays_of, floats_of, largest_of, without
from coldpress.gate.verdict import Check, Figures, Limits, Verdict
from coldpress.machine import host_runs
from coldpress.model.files import model_bytes, model_files
from coldpress.reference import compare_outputs
from coldpress.samples.load import SampleSet

__all__ = ["Check", "Gate", "Limits", "Verdict"]

_ZIPPED = 1 << 30
"""Larger models are not deflated to see what they would take: no provider takes such a zip."""


class Gate:
    """Holds candidates against one original on one set of samples.

    The original is run once, here; its answers are kept in a temporary folder as long as the gate is. Every request,
    and every row of one, counts as a sample of its own; those of one recording are less than that, so several
    recordings tell more than a long one.

    Args:
        original: The model's file.
        samples: What it is judged on; none that calibration has seen.
        metric: The user's, see ``coldpress.gate.metrics.resolve_metric``.
        limits: What a candidate may cost.
        library: ONNX Runtime's library that ships, or the same version's for this machine.
        threads: Threads of the function.
        drawn: Outputs that depend on chance, whose values are not compared.
        architecture: Of the function: ``x86_64`` or ``arm64``.

    Raises:
        SamplesError: There are no samples, or the original does not run on them.
    """

    def __init__(
        self,
        original: Path,
        samples: SampleSet,
        metric: Metric,
        limits: Limits,
        *,
        library: Path,
        threads: int = 1,
        drawn: Collection[str] = (),
        architecture: str = "x86_64",
    ) -> None:
        if not samples.requests:
            raise SamplesError("there are no samples to judge on; give some, keyed by input name")
        self._original, self._samples, self._metric, self._limits = original, samples, metric, limits
        self._architecture = architecture
        self._drawn = frozenset(drawn)
        work = Path(tempfile.mkdtemp(prefix="coldpress-gate-"))
        weakref.finalize(self, shutil.rmtree, work, ignore_errors=True)
        self._engine = Engine(samples, work, library, threads)
        size = model_bytes(original)
        self._figures = Figures(bytes=size)
        try:
            self._before = self._engine.answer(original, "original", size)
        except ModelError as error:
            raise SamplesError(
                f"{original.name} does not run on its own samples: {error} Give samples that it answers."
            ) from error
        outputs = {name for name, _ in self._before.trial.outputs}
        states = frozenset(samples.states.values()) if samples.sequence else frozenset()
        self._states = states if outputs - states - self._drawn else frozenset()
        self._hidden = self._drawn | self._states
        self._seen = without(self._before, self._hidden)
        self._rules = decision_rules(self._seen)
        self._largest = largest_of(self._seen)
        self._saturating: int | None = None

    def check_samples(self) -> None:
        """Refuse samples that cannot tell right from wrong; ``judge`` does so when a candidate's answers differ.

        Raises:
            SamplesError: The original gives NaN on some or nothing on all, or the labels are not the model's.
        """
        if not any(array.size for answer in self._seen for array in arrays_of(answer).values()):
            raise SamplesError(
                f"{self._original.name} answers nothing to all {len(self._samples.requests)} samples, an empty list "
                "each time, so nothing can be held against a smaller model; give samples that it finds something in"
            )
        nan = sum(
            any(bool(np.isnan(array).any()) for array in floats_of(answer).values())
            for answer in without(self._before, self._drawn)
        )
        if nan:
            raise SamplesError(
                f"{self._original.name} already fails on its own samples: it answers NaN to {nan} of "
                f"{len(self._samples.requests)}, so nothing can be held against a smaller model; "
                "give samples that it answers with numbers"
            )
        self._metric.value(self._seen, self._samples.labels)

    def judge(self, candidate: Path) -> Verdict:
        """Return what there is to say of ``candidate``.

        Figures that take long (times, memory, zipped bytes) are left out once a check failed.

        Raises:
            SamplesError: The samples cannot tell right from wrong: the original gives NaN on them, labels are out of
                range, or the user's metric raises.
        """
        size = model_bytes(candidate)
        verdict = Verdict(self._metric.name, figures=Figures(bytes=size), original_figures=self._figures)
        verdict = verdict.having(checks.check_bytes(size, self._figures.bytes or 0, self._limits.max_bytes))
        try:
            after = self._engine.answer(candidate, "candidate", size)
        except ModelError as error:
            return verdict.having(Check("opens", "fail", note=f"It does not run: {error}"))
        same = checks.check_signature(self._before.trial, after.trial)
        verdict = verdict.having(Check("opens", "pass", note="It runs on every sample."), same)
        if same.verdict == "fail":
            return verdict
        found = compare_answers(
            self._before,
            after,
            drawn=self._drawn,
            states=self._states,
            rules=self._rules,
            largest=self._largest,
        )
        verdict = self._compared(verdict, found)
        if found.kind:
            return verdict
        verdict = self._weighed(verdict, after, found).having(*checks.check_kernels(after.optimized))
        if self._architecture == "x86_64":
            verdict = verdict.having(self._cpu(candidate, found))
        return verdict if verdict.verdict == "fail" else self._costs(verdict, candidate)

    def _compared(self, verdict: Verdict, found: Comparison) -> Verdict:
        """Add what the answers themselves say."""
        judged = self._metric.needs_labels or ":" in self._metric.name
        verdict = replace(
            verdict,
            identical=found.identical,
            max_rel=found.max_rel,
            cosine=None if found.cosines is None else float(found.cosines.min()),
            agreement=None if found.unchanged is None else float(found.unchanged.mean()),
        ).having(*checks.check_shapes(found, len(self._samples.requests), judged=judged))
        if found.unchanged is not None:
            # Where labels judge, a decision may well change for the better; agreement is itself the metric.
            allowed = self._limits.max_drop if self._metric.name == "cosine" else None
            verdict = verdict.having(checks.check_decisions(found.unchanged, allowed))
        return verdict if found.cosines is None else verdict.having(checks.check_likeness(found.cosines))

    def _weighed(self, verdict: Verdict, after: Answered, found: Comparison) -> Verdict:
        """Add what the metric says; answers that are the same bit for bit need no statistics."""
        labels, allowed = self._samples.labels, self._limits.max_drop
        if found.identical:
            scores = self._metric.scores(self._seen, labels)
            value = self._metric.value(self._seen, labels) if scores is None else float(scores.mean())
            count = len(self._samples.requests) if scores is None else len(scores)
            note = "Every answer is the original's, bit for bit."
            verdict = replace(verdict, original=value, shrunk=value, drop=0.0, drop_bound=0.0, samples=count)
            return verdict.having(Check("quality", "pass", 0.0, allowed, note))
        self.check_samples()
        weighed = self._metric.weigh(self._seen, without(after, self._hidden), labels)
        problem = self._one_sample() or weighed.problem
        check, needed = checks.check_quality(self._metric.name, weighed, allowed, problem)
        upper = weighed.evidence.bounds()[1]
        return replace(
            verdict,
            original=weighed.original,
            shrunk=weighed.shrunk,
            drop=weighed.evidence.drop,
            drop_bound=upper if np.isfinite(upper) else None,
            samples=weighed.evidence.n,
            samples_needed=needed,
        ).having(check)

    def _one_sample(self) -> str:
        requests = self._samples.requests
        if len(requests) == 1:
            return "There is one sample, which tells nothing of others; give some hundreds."
        first = requests[0]
        if not self._samples.sequence and all(compare_outputs(first, other).equal for other in requests[1:]):
            return f"All {len(requests)} samples are the same one; give different ones."
        return ""

    def _cpu(self, candidate: Path, found: Comparison) -> Check:
        weights = saturating_weights(candidate)
        if weights and self._saturating is None:
            self._saturating = len(saturating_weights(self._original))
        return checks.check_cpu(weights, len(weights) if found.identical else self._saturating or 0)

    def _costs(self, verdict: Verdict, candidate: Path) -> Verdict:
        """Add times, memory and zipped bytes."""
        try:
            race = self._engine.race(self._original, candidate, self._limits.max_slowdown)
        except ModelError as error:
            return verdict.having(Check("latency", "fail", note=f"It could not be timed: {error}"))
        if self._figures.zip_bytes is None:
            self._figures = replace(self._figures, zip_bytes=_zip_bytes(self._original))
        was = self._timed(self._figures, race.original)
        becomes = self._timed(replace(verdict.figures, zip_bytes=_zip_bytes(candidate)), race.candidate)
        where = "" if host_runs(self._architecture) else f", on this machine, which is not {self._architecture}"
        limit = self._limits.max_slowdown
        start = f"A cold start takes {becomes.cold_ms:.0f} ms instead of {was.cold_ms:.0f}."
        return replace(verdict, slowdown=race.slowdown, figures=becomes, original_figures=was).having(
            checks.check_latency(becomes, was, race.slowdown, limit, within=race.within, where=where),
            Check("cold start", "pass", becomes.cold_ms, None, start),
            checks.check_memory(becomes, was, self._limits.max_peak_mb),
        )

    def _timed(self, figures: Figures, trial: Trial) -> Figures:
        return replace(
            figures,
            cold_ms=self._engine.cold_ms(trial),
            first_ms=self._engine.first_ms(trial),
            warm_ms=self._engine.warm_ms(trial),
            peak_mb=trial.peak_mb or None,
        )


def _zip_bytes(model: Path) -> int | None:
    """Return the bytes of the model in a bundle's zip, without names and directory; None for one that no zip takes."""
    files = model_files(model)
    if sum(file.stat().st_size for file in files) > _ZIPPED:
        return None
    with ThreadPoolExecutor(2) as pool:
        return sum(len(deflate(file, pool).data) for file in files)
