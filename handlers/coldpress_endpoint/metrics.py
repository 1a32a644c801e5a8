"""What Prometheus is told, by model and version: only those that the folder holds become labels."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["Metrics", "ModelMetrics"]

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_MODEL = ("model", "version")


class Metrics:
    """A registry of its own, so that two servers in a process do not meet."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.answers = Counter("coldpress_answers", "HTTP answers by status.", ["status"], registry=registry)
        self.requests = Counter(
            "coldpress_requests", "Requests that reached a model, by outcome.", [*_MODEL, "outcome"], registry=registry
        )
        self.latency = Histogram(
            "coldpress_request_seconds", "From the queue to the answer.", _MODEL, buckets=_SECONDS, registry=registry
        )
        self.run = Histogram("coldpress_run_seconds", "One run.", _MODEL, buckets=_SECONDS, registry=registry)
        self.batch = Histogram("coldpress_batch_rows", "Rows of one run.", _MODEL, buckets=_ROWS, registry=registry)
        self.splits = Counter(
            "coldpress_batches_split", "Runs of several requests that failed and were run singly.", _MODEL,
            registry=registry,
        )  # fmt: skip
        self.queue = Gauge("coldpress_queue", "Requests that wait.", _MODEL, registry=registry)
        self.reloads = Counter(
            "coldpress_reloads", "Versions opened after the start, by outcome.", ["model", "outcome"], registry=registry
        )
        self.ready = Gauge("coldpress_model_ready", "Versions that answer.", _MODEL, registry=registry)
        self.broken = Gauge("coldpress_model_broken", "Versions that do not open.", _MODEL, registry=registry)
        self._broken: dict[str, set[str]] = {}

    def tell_broken(self, name: str, versions: Iterable[str]) -> None:
        """Say which versions of a model do not open."""
        now = set(versions)
        for version in self._broken.get(name, set()) - now:
            self.broken.remove(name, version)
        for version in now:
            self.broken.labels(name, version).set(1)
        self._broken[name] = now

    def text(self) -> bytes:
        """The answer to ``GET /metrics``."""
        return generate_latest(self.registry)

    def of(self, name: str, version: str) -> ModelMetrics:
        """What is counted for one version of a model."""
        return ModelMetrics(self, name, version)


class ModelMetrics:
    """The figures of one version, bound to its labels: looking those up costs more than counting."""

    def __init__(self, metrics: Metrics, name: str, version: str) -> None:
        self._run = metrics.run.labels(name, version)
        self._rows = metrics.batch.labels(name, version)
        self._splits = metrics.splits.labels(name, version)
        self._latency = metrics.latency.labels(name, version)
        self._outcomes = {
            outcome: metrics.requests.labels(name, version, outcome)
            for outcome in ("answered", "refused", "busy", "late", "failed")
        }
        self.waiting = metrics.queue.labels(name, version).set

    def ran(self, rows: int, seconds: float) -> None:
        """Count a run of the engine."""
        self._rows.observe(rows)
        self._run.observe(seconds)

    def split(self) -> None:
        """Count a batch that was run again one by one."""
        self._splits.inc()

    def answered(self, outcome: str, seconds: float) -> None:
        """Count a request and what became of it."""
        self._outcomes[outcome].inc()
        self._latency.observe(seconds)
