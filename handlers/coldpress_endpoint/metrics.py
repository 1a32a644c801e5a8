"""What Prometheus is told, by model and version: only those that the folder holds become labels.

The figures are counted in plain lists, on the event loop alone, and put into Prometheus's form when it asks: its own
counters lock, and would take a tenth of a small model's answer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

__all__ = ["Metrics", "ModelMetrics"]

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_MODEL = ("model", "version")


class _Histogram:
    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        names = [*map(str, map(float, self.bounds)), "+Inf"]
        return list(zip(names, map(float, accumulate(self.counts)), strict=True))


class ModelMetrics:
    """The figures of one version.

    Attributes:
        waiting: requests in the queue.
    """

    def __init__(self) -> None:
        self.waiting = 0
        self.splits = 0
        self.outcomes = dict.fromkeys(("answered", "refused", "busy", "late", "failed"), 0)
        self.latency = _Histogram(_SECONDS)
        self.run = _Histogram(_SECONDS)
        self.rows = _Histogram(_ROWS)

    def ran(self, rows: int, seconds: float) -> None:
        """Count a run of the engine."""
        self.rows.observe(rows)
        self.run.observe(seconds)

    def answered(self, outcome: str, seconds: float) -> None:
        """Count a request, what became of it, and what it took."""
        self.outcomes[outcome] += 1
        self.latency.observe(seconds)


class Metrics(Collector):
    """All figures of a server.

    Attributes:
        answers: HTTP answers by status.
        reloads: versions that were opened after the start, by model and outcome (``opened`` or ``failed``).
        serving: versions that answer, by model.
        broken: versions that do not open, by model.
    """

    def __init__(self) -> None:
        self.answers: dict[int, int] = {}
        self.reloads: dict[tuple[str, str], int] = {}
        self.serving: dict[str, Iterable[str]] = {}
        self.broken: dict[str, Iterable[str]] = {}
        self._models: dict[tuple[str, str], ModelMetrics] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def of(self, name: str, version: str) -> ModelMetrics:
        """The figures of one version of a model, which go on where another load of it has left them."""
        return self._models.setdefault((name, version), ModelMetrics())

    def text(self) -> bytes:
        """The answer to ``GET /metrics``."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Every figure, as prometheus_client asks for them."""
        answers = CounterMetricFamily("coldpress_answers", "HTTP answers by status.", labels=["status"])
        for status, count in self.answers.copy().items():
            answers.add_metric([str(status)], count)
        reloads = CounterMetricFamily(
            "coldpress_reloads", "Versions opened since the start.", labels=["model", "outcome"]
        )
        for labels, count in self.reloads.copy().items():
            reloads.add_metric(labels, count)
        yield from (answers, reloads)
        yield _flags("coldpress_model_ready", "Versions that answer.", self.serving)
        yield _flags("coldpress_model_broken", "Versions in the folder that do not open.", self.broken)
        requests = CounterMetricFamily(
            "coldpress_requests", "Requests to a model by outcome.", labels=[*_MODEL, "outcome"]
        )
        splits = CounterMetricFamily(
            "coldpress_batches_split", "Batches that failed and were run one by one.", labels=_MODEL
        )
        queue = GaugeMetricFamily("coldpress_queue", "Requests that wait.", labels=_MODEL)
        latency = HistogramMetricFamily("coldpress_request_seconds", "From the queue to the answer.", labels=_MODEL)
        run = HistogramMetricFamily("coldpress_run_seconds", "One run.", labels=_MODEL)
        rows = HistogramMetricFamily("coldpress_batch_rows", "Rows of one run.", labels=_MODEL)
        for labels, model in self._models.copy().items():
            for outcome, count in model.outcomes.items():
                requests.add_metric([*labels, outcome], count)
            splits.add_metric(labels, model.splits)
            queue.add_metric(labels, model.waiting)
            for family, histogram in ((latency, model.latency), (run, model.run), (rows, model.rows)):
                family.add_metric(labels, histogram.buckets(), histogram.total)
        yield from (requests, splits, queue, latency, run, rows)


def _flags(name: str, text: str, versions: dict[str, Iterable[str]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=_MODEL)
    for model, those in versions.copy().items():
        for version in those:
            family.add_metric([model, version], 1)
    return family
