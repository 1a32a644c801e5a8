"""Settings of the server, from its environment.

========================= ===========================================================================================
``COLDPRESS_MODELS``      the folder of the models (``models``): ``{name}/{version}/model.onnx``
``COLDPRESS_MODEL``       the model that paths without a name ask (the only one)
``COLDPRESS_VERSIONS``    how many versions of a model are served at a time, the highest that work (1)
``COLDPRESS_POLL_S``      how often the folder is looked at for changes (2); SIGHUP looks at once
``COLDPRESS_PROVIDERS``   where models run, the first that works (``tensorrt,cuda,cpu``)
``COLDPRESS_TENSORRT``    the folder in which TensorRT keeps what it has built (``coldpress-tensorrt`` in that for
                          temporary files); it takes minutes to build, so one that outlives the container pays
``COLDPRESS_THREADS``     runs of a model at a time (the CPUs; 2 where a GPU does the work)
``COLDPRESS_MAX_BATCH``   rows that run together at most (32 where that is measured to be quicker a row); 1: never
``COLDPRESS_BATCH_DELAY_MS`` how long a request waits for others to run with (0: only while others run)
``COLDPRESS_QUEUE``       requests that wait for a model at most (256); one more is told 429
``COLDPRESS_DEADLINE_MS`` what a request may take (60000); ``Coldpress-Deadline-Ms`` of a request may be less
``COLDPRESS_MAX_BODY``    bytes of a request's body (67108864), compressed or not
``COLDPRESS_MAX_ANSWER``  bytes of an answer (268435456)
``COLDPRESS_BODIES``      bytes of all bodies that are there at a time (16 of the largest)
``COLDPRESS_DRAIN_S``     how long new requests are taken after SIGTERM at most (10); what is under way then has as
                          long again
``COLDPRESS_HOST``        the address to listen at (0.0.0.0)
``COLDPRESS_PORT``        the port (8080); ``PORT`` and ``AIP_HTTP_PORT``, which clouds set, go before it
``COLDPRESS_GRPC_PORT``   the port for gRPC; none where it is not set
========================= ===========================================================================================
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from coldpress_runtime.errors import ColdpressError

__all__ = ["PROVIDERS", "Settings"]

#: Names of providers in the settings, and in ONNX Runtime.
PROVIDERS = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}

_DAY_S = 86400.0  # event loops know no infinity
_MAX_INT = (1 << 31) - 1  # what gRPC takes for the length of a message


@dataclass(frozen=True)
class Settings:
    """The table above; times in seconds. ``threads`` and ``max_batch`` are None where they are to be found out."""

    models: str = "models"
    model: str = ""
    versions: int = 1
    poll_s: float = 2.0
    providers: tuple[str, ...] = ("tensorrt", "cuda", "cpu")
    tensorrt: str = ""
    threads: int | None = None
    max_batch: int | None = None
    batch_delay_s: float = 0.0
    queue: int = 256
    deadline_s: float = 60.0
    max_body: int = 64 << 20
    max_answer: int = 256 << 20
    bodies: int = 16 * (64 << 20)
    drain_s: float = 10.0
    host: str = "0.0.0.0"  # noqa: S104 - a container's server is there for what stands in front of it
    port: int = 8080
    grpc_port: int | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the environment; raises ColdpressError, which names the variable."""

        def number(
            name: str, default: float | None, least: float, most: float = 1e12, whole: bool = True
        ) -> float | None:
            text = environ.get(name, "").strip()
            if not text:
                return default
            try:
                value = int(text) if whole else float(text)
            except ValueError:
                value = least - 1
            if not least <= value <= most:
                kind = "a whole number" if whole else "a number"
                raise ColdpressError(f"{name} is {text[:24]!r}; expected {kind} from {least:.15g} to {most:.15g}.")
            return value

        chosen = environ.get("COLDPRESS_PROVIDERS", "").strip() or "tensorrt,cuda,cpu"
        providers = tuple(word.strip().lower() for word in chosen.split(","))
        for provider in providers:
            if provider not in PROVIDERS:
                raise ColdpressError(
                    f"COLDPRESS_PROVIDERS names {provider[:24]!r}; expected some of {', '.join(PROVIDERS)}."
                )
        body = number("COLDPRESS_MAX_BODY", cls.max_body, 1, _MAX_INT)
        port = next((name for name in ("AIP_HTTP_PORT", "PORT") if environ.get(name)), "COLDPRESS_PORT")
        return cls(
            models=environ.get("COLDPRESS_MODELS") or cls.models,
            model=environ.get("COLDPRESS_MODEL", ""),
            versions=number("COLDPRESS_VERSIONS", cls.versions, 1),  # type: ignore[arg-type]
            poll_s=number("COLDPRESS_POLL_S", cls.poll_s, 0.01, _DAY_S, whole=False),  # type: ignore[arg-type]
            providers=providers,
            tensorrt=environ.get("COLDPRESS_TENSORRT", ""),
            threads=number("COLDPRESS_THREADS", None, 1, 4096),  # type: ignore[arg-type]
            max_batch=number("COLDPRESS_MAX_BATCH", None, 1, 65536),  # type: ignore[arg-type]
            batch_delay_s=number("COLDPRESS_BATCH_DELAY_MS", 0.0, 0, 1e3 * _DAY_S, whole=False) / 1e3,  # type: ignore[operator]
            queue=number("COLDPRESS_QUEUE", cls.queue, 1),  # type: ignore[arg-type]
            deadline_s=number("COLDPRESS_DEADLINE_MS", 60_000.0, 1, 1e3 * _DAY_S, whole=False) / 1e3,  # type: ignore[operator]
            max_body=body,  # type: ignore[arg-type]
            max_answer=number("COLDPRESS_MAX_ANSWER", cls.max_answer, 1),  # type: ignore[arg-type]
            bodies=number("COLDPRESS_BODIES", 16 * body, body),  # type: ignore[arg-type,operator]
            drain_s=number("COLDPRESS_DRAIN_S", cls.drain_s, 0, _DAY_S, whole=False),  # type: ignore[arg-type]
            host=environ.get("COLDPRESS_HOST") or cls.host,
            port=number(port, cls.port, 0, 65535),  # type: ignore[arg-type]
            grpc_port=number("COLDPRESS_GRPC_PORT", None, 0, 65535),  # type: ignore[arg-type]
        )
