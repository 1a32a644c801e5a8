"""The end of the server: SIGTERM makes it unready, it goes on answering until the callers have left, and then exits.

A balancer learns late that a server is going, and callers keep connections open. So the door stays open: readiness
says no, each answer asks its caller to close the connection, and new ones are still taken, until nothing but probes
has come for a while or the time is over. Then uvicorn closes the door, waits for what is under way, and leaves.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from coldpress_endpoint.serving import Serving
from coldpress_runtime.errors import ColdpressError

if TYPE_CHECKING:
    from coldpress_endpoint.grpc_server import GrpcServer

__all__ = ["Server"]

_QUIET_S = 1.0


class Server(uvicorn.Server):
    """uvicorn, with another end.

    Args:
        config: uvicorn's.
        serving: told that it is draining.
    """

    def __init__(self, config: uvicorn.Config, serving: Serving) -> None:
        super().__init__(config)
        self._serving = serving
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining: asyncio.Task[None] | None = None
        self._grpc: GrpcServer | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port; from now on SIGHUP looks at the folder of models."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGHUP, self._serving.models.look_soon)
        await super().startup(sockets)
        if not self.started:
            return
        port = self.servers[0].sockets[0].getsockname()[1] if self.servers else self.config.port
        told = f"coldpress: HTTP at port {port}"
        settings = self._serving.models.settings
        if settings.grpc_port is not None:
            from coldpress_endpoint.grpc_server import GrpcServer  # noqa: PLC0415 - grpc is there where it is asked for

            self._grpc = GrpcServer(self._serving)
            try:
                told += f", gRPC at port {await self._grpc.start(settings.host, settings.grpc_port)}"
            except ColdpressError as error:
                sys.stderr.write(f"coldpress: {error}\n")
                sys.exit(1)
        sys.stderr.write(f"{told}, models {', '.join(self._serving.models.names())}\n")
        sys.stderr.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the doors, and wait for what is under way."""
        closing = [super().shutdown(sockets)]
        if self._grpc is not None:
            grace_s = 0 if self.force_exit else self.config.timeout_graceful_shutdown or 1
            closing.append(self._grpc.stop(grace_s))
        await asyncio.gather(*closing)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as uvicorn calls it
        """Drain at the first signal; leave at once at the second."""
        if self._serving.draining or self._loop is None:
            self.should_exit = self.force_exit = True
            return
        self._serving.draining = True
        self._loop.call_soon_threadsafe(self._start_to_drain)

    def _start_to_drain(self) -> None:
        self._draining = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._serving.models.settings.drain_s
        before, quiet = self._serving.asked, loop.time()
        while loop.time() < ends and (loop.time() - quiet < _QUIET_S or self._serving.under_way):
            await asyncio.sleep(0.05)
            if self._serving.asked != before:
                before, quiet = self._serving.asked, loop.time()
        self.should_exit = True
