"""``python -m coldpress_endpoint``: open the models, then the port."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from types import FrameType

import uvicorn

from coldpress_endpoint.app import App, all_routes
from coldpress_endpoint.drain import Server
from coldpress_endpoint.repository import Repository
from coldpress_endpoint.serving import Serving
from coldpress_endpoint.settings import Settings
from coldpress_endpoint.settings import __doc__ as SETTINGS  # noqa: N812 - a text that does not change
from coldpress_runtime.errors import ColdpressError, LoadError, NotFoundError
from coldpress_runtime.http_protocol import Protocol

_IDLE_S = 620  # longer than balancers keep a connection, so that they are the ones who close it


def main() -> int:
    """Serve until a signal; returns the exit status."""
    if sys.argv[1:]:
        sys.stdout.write(f"python -m coldpress_endpoint takes no arguments.\n\n{SETTINGS}")
        return 0 if sys.argv[1] in {"-h", "--help"} else 2
    # Models may take minutes to open. The first process of a container ignores what it has no handler for.
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # they are being looked at
    try:
        settings = Settings.of()
        models = Repository(settings)
        models.look(at_once=True)
        if not models.names():
            raise LoadError(
                "No model in the folder opens; expected {name}/{version}/model.onnx below COLDPRESS_MODELS."
            )
        if settings.model and settings.model not in models.names():
            raise NotFoundError(f"COLDPRESS_MODEL is {settings.model!r}; expected one of {', '.join(models.names())}.")
    except ColdpressError as error:
        sys.stderr.write(f"coldpress: {error}\n")
        return 1
    serving = Serving(models)
    config = uvicorn.Config(
        App(serving, all_routes(serving)),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
    )
    server = Server(config, serving)
    gc.collect()
    gc.freeze()  # what lives as long as the server need not be walked through while callers wait
    asyncio.Runner(loop_factory=config.get_loop_factory()).run(server.serve())
    return 0


def _leave(number: int, _frame: FrameType | None) -> None:
    """Go at once: nobody has been told of this server yet."""
    os._exit(128 + number)


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # a run or a load that outlasts the limit is not waited for, as Python would
