"""The samples that steer the search: what a model answers on them, in this process and with the plain binding.

The gate judges on other samples, in fresh processes and with the engine that ships; here only speed counts, because a
search asks a hundred times.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from coldpress.answer_loss import OutputLoss
from coldpress.encodings.encoding import Site
from coldpress.encodings.gram import input_grams
from coldpress.errors import ModelError, SamplesError
from coldpress.gate.metrics import Metric
from coldpress.model.files import write_model
from coldpress.reference import Reference
from coldpress.samples.load import SampleSet
from coldpress.samples.states import answers

__all__ = ["Calibration"]


class Calibration:
    """Answers of the original on the calibration samples, to hold those of candidates against.

    Args:
        reference: The original.
        samples: Requests, with labels where the metric needs them.
        metric: The user's.
        work: Folder for the files that are opened.
        threads: Threads for each run; answers may differ from the function's in their last bits, which is no matter.

    Attributes:
        samples: The requests.
        seconds: What one pass over the samples takes with the original.
    """

    def __init__(self, reference: Reference, samples: SampleSet, metric: Metric, work: Path, threads: int) -> None:
        self.samples = samples
        self._metric = metric
        self._drawn = reference.drawn
        self._file = work / "tried.onnx"
        self._threads = threads
        started = time.monotonic()
        self._before = list(answers(reference.run, samples))
        self.seconds = time.monotonic() - started
        self._losses: dict[int, OutputLoss] = {}
        self._has_metric = samples.labels is not None or not metric.needs_labels

    def answers(self, model: ModelProto | Path, count: int | None = None) -> list[Mapping[str, Any]]:
        """Return the answers of a model, or of the file that holds it, to the first ``count`` requests, all when None.

        Raises:
            ModelError, SamplesError: It does not open or run.
        """
        path = model if isinstance(model, Path) else self._file
        if not isinstance(model, Path):
            write_model(model, path)
        opened = Reference(path, threads=self._threads)
        return list(answers(opened.run, self.samples if count is None else self.samples.head(count)))

    def grams(self, model: ModelProto, sites: Iterable[Site]) -> dict[str, np.ndarray]:
        """Return, for each weight that is multiplied with, the sum of x xᵀ over its inputs on the samples."""
        write_model(model, self._file)
        return input_grams(self._file, self.samples.requests, sites, threads=self._threads)

    def loss(self, model: ModelProto | Path, count: int | None = None) -> float:
        """Return the loss of the answers of a model, or of its file; infinite when it does not open or run."""
        try:
            return self.loss_of(self.answers(model, count))
        except (ModelError, SamplesError):
            return float("inf")

    def loss_of(self, after: Sequence[Mapping[str, Any]]) -> float:
        """Return the loss of answers to the first requests, as many as there are."""
        if len(after) not in self._losses:
            self._losses[len(after)] = OutputLoss(self._before[: len(after)], self._drawn)
        return self._losses[len(after)].of(after).mean

    def drop(self, after: Sequence[Mapping[str, Any]]) -> float:
        """Return by how much the metric is worse than the original's on all calibration samples.

        Where the metric needs labels that these samples lack, the loss stands in for it.
        """
        if not self._has_metric:
            return self.loss_of(after)
        return self._metric.drop(self._before, after, self.samples.labels)
