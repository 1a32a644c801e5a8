"""Connections to one place: reached at a checked address, secured by TLS, and kept while nobody needs them."""

from __future__ import annotations

import socket
import ssl
from collections import deque
from threading import Lock
from time import perf_counter, time

from coldpress_runtime.errors import DoorError, DoorLateError, WakingError
from coldpress_runtime.fallback.addresses import RefusedAddressError, resolve
from coldpress_runtime.fallback.connections import Connection
from coldpress_runtime.fallback.deadline import late, left, within
from coldpress_runtime.fallback.messages import Broken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coldpress_runtime.fallback.addresses import Address
    from coldpress_runtime.fallback.messages import Origin

__all__ = ["Pool", "tls_context"]


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """How certificates are checked: against the system's authorities, or those of a file."""
    return ssl.create_default_context(cafile=ca_file or None)


class Pool:
    """Connections to one origin; those that are not in use are kept, at most ``size`` of them. Threads may share it.

    Args:
        origin: where they go.
        connect_s: how long one may take to be there, TLS included, in seconds.
        size: how many are kept.
        context: makes what checks the other side's certificate; asked once, and only for https.
    """

    def __init__(self, origin: Origin, connect_s: float, size: int, context: Callable[[], ssl.SSLContext]) -> None:
        self.origin = origin
        self._connect_s = connect_s
        self._size = size
        self._context = context
        self._kept: deque[Connection] = deque()
        self._lock = Lock()

    def take(self, ends: float, *, fresh: bool = False) -> Connection:
        """A connection that nobody else uses, the one kept last or, where there is none, a new one; raises Broken."""
        while not fresh:
            try:
                connection = self._kept.pop()
            except IndexError:
                break
            if connection.is_usable():
                connection.reused = True
                return connection
            connection.close()
        return self._connect(ends)

    def give(self, connection: Connection) -> None:
        """Take a connection back after a whole answer."""
        connection.idle_since = time()
        with self._lock:
            if len(self._kept) < self._size:
                self._kept.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close what is kept, and keep nothing any more."""
        with self._lock:
            self._size = 0
            while self._kept:
                self._kept.pop().close()

    def _connect(self, ends: float) -> Connection:
        origin = self.origin
        until = min(ends, perf_counter() + self._connect_s)
        try:
            addresses = self._addresses(until)
            return Connection(origin, self._reach(addresses, until))
        except RefusedAddressError as error:
            raise Broken(DoorError(f"The endpoint's host {origin.host} {error}."), again=False) from None
        except (socket.gaierror, UnicodeError):
            raise Broken(
                DoorError(f"The endpoint's host {origin.host} is not known to this network; look at its URL."),
                again=True,
            ) from None
        except ssl.SSLCertVerificationError as error:
            raise Broken(
                DoorError(
                    f"The certificate of {origin.host} cannot be trusted ({error.verify_message}); renew it, or name "
                    "its authority's file in SSL_CERT_FILE."
                ),
                again=False,
            ) from None
        except ConnectionRefusedError:
            raise Broken(
                WakingError(f"Nothing listens at {origin.host}:{origin.port} now; the endpoint may be waking."),
                again=True,
            ) from None
        except (TimeoutError, DoorLateError):
            raise Broken(late("connected to"), again=perf_counter() < ends) from None
        except OSError as error:  # no route, a reset, TLS that the other side does not speak
            raise Broken(
                DoorError(f"{origin.host}:{origin.port} cannot be connected to ({error.strerror or 'hung up'})."),
                again=True,
            ) from None

    def _addresses(self, ends: float) -> list[Address]:
        host, port, private = self.origin.host, self.origin.port, self.origin.allow_private
        if host.replace(".", "").isdecimal() or ":" in host:  # nobody needs to be asked
            return resolve(host, port, allow_private=private)
        return within(ends, "found", lambda: resolve(host, port, allow_private=private))

    def _reach(self, addresses: list[Address], ends: float) -> socket.socket:
        """Connect to the first address that lets us."""
        failed: OSError | None = None
        for place, (family, address) in enumerate(addresses):
            # Time for those behind it too.
            share = left(ends, "connected to") / (len(addresses) - place)
            link = socket.socket(family, socket.SOCK_STREAM)
            try:
                link.settimeout(share)
                link.connect(address)
                return self._secured(_tuned(link, self._connect_s), ends)
            except ssl.SSLCertVerificationError:
                link.close()
                raise
            except OSError as error:
                link.close()
                failed = error
            except BaseException:
                link.close()
                raise
        raise failed or TimeoutError

    def _secured(self, link: socket.socket, ends: float) -> socket.socket:
        if self.origin.scheme != "https":
            return link
        context = self._context()
        link.settimeout(left(ends, "connected to"))
        return context.wrap_socket(link, server_hostname=self.origin.host)


def _tuned(link: socket.socket, patience_s: float) -> socket.socket:
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # A question that the other machine does not even acknowledge ends its connection: one kept while the function
        # was frozen may have been forgotten on the way.
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(patience_s * 1e3) or 1)
    return link
