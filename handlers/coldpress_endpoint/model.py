"""One version of one model: its engine, its signature, and how it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from time import perf_counter
from typing import Any

from coldpress_endpoint.batching import Batcher
from coldpress_endpoint.engine import Engine
from coldpress_endpoint.metrics import ModelMetrics
from coldpress_endpoint.settings import Settings
from coldpress_endpoint.signature import Signature
from coldpress_endpoint.warmup import warm_up
from coldpress_runtime.errors import BusyError, ColdpressError, DeadlineError, EngineError
from coldpress_runtime.offload import cpus

__all__ = ["Model", "open_model"]


class Model:
    """A version that is open.

    Attributes:
        name: the model's.
        version: this one's.
        inputs: what it takes, in its order.
        outputs: what it gives.
        ready: whether it answers; False for good once the GPU has failed.
        provider: where it runs.
    """

    def __init__(self, name: str, version: str, engine: Engine, batcher: Batcher, metrics: ModelMetrics) -> None:
        self.name = name
        self.version = version
        self.inputs: list[Signature] = engine.inputs
        self.outputs: list[Signature] = engine.outputs
        self.provider = engine.provider
        self.ready = True
        self._batcher = batcher
        self._metrics = metrics
        #: The signature by name, as coldpress_runtime's readers of requests take it.
        self.input_infos = {each.name: each.info for each in engine.inputs}
        self.output_infos = {each.name: each.info for each in engine.outputs}

    async def ask(self, inputs: Mapping[str, Any], outputs: Sequence[str] | None, ends: float) -> dict[str, Any]:
        """Run on ``inputs``; raises what ``Serving.predict`` does, but for NotFoundError."""
        start = perf_counter()
        outcome = "failed"
        try:
            answer = await self._batcher.ask(inputs, outputs, ends)
            outcome = "answered"
        except BusyError:
            outcome = "busy"
            raise
        except DeadlineError:
            outcome = "late"
            raise
        except EngineError:
            self.ready = False
            raise
        except ColdpressError as error:
            outcome = "refused" if error.status < 500 else "failed"
            raise
        finally:
            self._metrics.answered(outcome, perf_counter() - start)
        return answer


def open_model(name: str, version: str, path: str, settings: Settings, pool: Executor, metrics: ModelMetrics) -> Model:
    """Open a version and warm it up; raises LoadError."""
    engine = Engine(path, settings.providers, max(1, cpus() // (settings.threads or cpus())), settings.tensorrt)
    warmth = warm_up(engine, settings.max_batch)
    on_cpu = engine.provider == "cpu"
    # A whole number that is no row may say how long a run takes: what was quick once says nothing of the next.
    steered = any("INT" in each.datatype and -1 not in each.shape for each in engine.inputs)
    batcher = Batcher(
        engine.run,
        pool,
        metrics,
        slots=settings.threads or (cpus() if on_cpu else 2),
        max_batch=warmth.max_batch,
        delay_s=settings.batch_delay_s,
        queue=settings.queue,
        seconds=warmth.seconds if on_cpu and not steered else float("inf"),
    )
    return Model(name, version, engine, batcher, metrics)
