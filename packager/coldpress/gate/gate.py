"""The gate itself: every check on one candidate, the cheap ones first."""

from collections.abc import Collection
from pathlib import Path

from coldpress.gate.metrics import Metric
from coldpress.gate.verdict import Check, Limits, Verdict
from coldpress.samples.load import SampleSet

__all__ = ["Check", "Gate", "Limits", "Verdict"]


class Gate:
    """Holds candidates against one original on one set of samples.

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
        SamplesError: The original does not run on the samples.
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
        self._original, self._samples, self._metric, self._limits = original, samples, metric, limits
        self._library, self._threads, self._drawn, self._architecture = library, threads, drawn, architecture

    def judge(self, candidate: Path) -> Verdict:
        """Return what there is to say of ``candidate``.

        Raises:
            SamplesError: The samples cannot tell right from wrong: the original gives NaN on them, labels are out of
                range, or the user's metric raises.
        """
        raise NotImplementedError(candidate)
