"""An object of a store, read over kept connections: plain HTTP of the standard library, signed by the store's module.

The version that the first answer names is the one that every further range must be of. Nobody is followed elsewhere:
a signature is for one host. Certificates are verified.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import threading

from coldpress_runtime.errors import WeightsError
from coldpress_runtime.weights.stream import BrokenOffError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Store(Protocol):
        """How one object is asked for.

        Attributes:
            host, port, tls: where.
            right: what a reader needs, for who lacks it.
        """

        host: str
        port: int
        tls: bool
        right: str

        def request(self, start: int, stop: int, version: str) -> tuple[str, dict[str, str]]:
            """Return path and headers of the request for a range, of that version unless it is empty."""
            ...

        def version(self, headers: http.client.HTTPMessage) -> str:
            """Return the version that an answer is of."""
            ...


__all__ = ["ObjectSource"]

_TIMEOUT_S = 10.0  # without a byte
_PIECE_BYTES = 1 << 20
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_OK, _PARTIAL, _NOT_FOUND, _CHANGED, _NO_RANGE = 200, 206, 404, 412, 416
_ERROR_BYTES = 4096
_CODE = re.compile(rb'<Code>(\w{1,64})</Code>|"reason":\s*"(\w{1,64})"')


class ObjectSource:
    """An object of ``size`` bytes; ``name`` is its URL."""

    def __init__(self, store: Store, name: str, size: int) -> None:
        self.name = name
        self.store, self.size = store, size
        self.context = ssl.create_default_context() if store.tls else None
        self._version = ""
        self._lock = threading.Lock()

    def reader(self) -> _Reader:
        """Return a connection of its own."""
        return _Reader(self)

    @property
    def version(self) -> str:
        """The version that is read; empty before the first answer."""
        return self._version

    def settle(self, version: str) -> None:
        """Take the first answer's version, and refuse another one."""
        with self._lock:
            self._version = self._version or version
        if version != self._version:
            raise self.changed()

    def changed(self) -> WeightsError:
        """Return the error for an object that is another one by now."""
        return WeightsError(f"{self.name} was replaced while it was read; start the function again.")


class _Reader:
    def __init__(self, source: ObjectSource) -> None:
        self._source = source
        self._connection: http.client.HTTPConnection | None = None
        self._socket: socket.socket | None = None  # the connection forgets it when an answer is the last one
        self._over = False

    def read(self, start: int, into: memoryview) -> None:
        """Fill ``into`` with the bytes from ``start`` on."""
        try:
            self._read(start, into)
        except ssl.SSLCertVerificationError as problem:
            self.close()
            host = self._source.store.host
            raise WeightsError(
                f"{host}, which {self._source.name} is to come from, has no certificate to trust "
                f"({problem.verify_message}); look at the address."
            ) from None
        except (OSError, http.client.HTTPException) as problem:
            self.close()
            raise BrokenOffError(str(problem) or type(problem).__name__) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def interrupt(self) -> None:
        """Break off what another thread has under way."""
        self._over = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _read(self, start: int, into: memoryview) -> None:
        source = self._source
        path, headers = source.store.request(start, start + len(into), source.version)
        connection = self._connect()
        connection.request("GET", path, headers=headers)
        self._socket = connection.sock
        with connection.getresponse() as answer:
            self._check(answer, start, len(into))
            source.settle(source.store.version(answer.headers))
            place = 0
            while place < len(into) and not self._over:
                count = answer.readinto(into[place : place + _PIECE_BYTES])
                if not count:
                    raise BrokenOffError("the answer ended too early")
                place += count

    def _connect(self) -> http.client.HTTPConnection:
        if self._over:
            raise BrokenOffError("the others have ended")
        if self._connection is None:
            store, context = self._source.store, self._source.context
            self._connection = (
                http.client.HTTPSConnection(store.host, store.port, timeout=_TIMEOUT_S, context=context)
                if context
                else http.client.HTTPConnection(store.host, store.port, timeout=_TIMEOUT_S)
            )
        return self._connection

    def _check(self, answer: http.client.HTTPResponse, start: int, length: int) -> None:
        """Raise unless the answer is the range that was asked for, of an object of the size that was packed."""
        name, size, status = self._source.name, self._source.size, answer.status
        if status in (_PARTIAL, _OK):
            total = answer.headers.get("content-range", "").rpartition("/")[2] or answer.headers.get("content-length")
            if total != str(size):
                raise _other_size(name, total, size)
            asked = f"bytes {start}-{start + length - 1}/{size}"
            whole = status == _OK and length == size
            if not whole and answer.headers.get("content-range") != asked:
                raise WeightsError(f"{name} is not given in ranges (status {status}); keep it in a store that does.")
            if answer.headers.get("content-length") != str(length):
                raise BrokenOffError("the answer has another length than the range")
            return
        code = _code(answer)
        if status in _PASSING:
            after = answer.headers.get("retry-after", "")
            raise BrokenOffError(f"status {status} {code}".rstrip(), float(after) if after.isdecimal() else 0.0)
        if status == _CHANGED:
            raise self._source.changed()
        if status == _NO_RANGE:
            raise _other_size(name, answer.headers.get("content-range", "").rpartition("/")[2], size)
        raise WeightsError(self._refused(status, code))

    def _refused(self, status: int, code: str) -> str:
        name, store = self._source.name, self._source.store
        told = f"{status} {code}".rstrip()
        if status == _NOT_FOUND:
            return f"There is no {name} ({told}); upload the build's weights, or name the place where they are."
        if status in (401, 403) and "Skew" in code:
            return f"The store refuses {name} because this machine's clock is wrong ({told}); set the clock."
        if status in (401, 403):
            return f"The function may not read {name} ({told}), or it is not there; {store.right}."
        if status in (301, 302, 307, 308):
            return (
                f"{store.host} sends elsewhere for {name} ({told}), where a signature would not hold; look at the "
                "bucket's name, and at the region that it lies in."
            )
        return f"The store does not give {name} ({told}); look at the address and the store's own log."


def _other_size(name: str, found: str | None, size: int) -> WeightsError:
    there = f"{int(found):,}" if found and found.isdecimal() else "an unknown number of"
    return WeightsError(f"{name} has {there} bytes, expected {size:,}; upload the file from the build again.")


def _code(answer: http.client.HTTPResponse) -> str:
    """What the store calls its refusal: letters and digits alone."""
    named = answer.headers.get("x-ms-error-code", "")
    if named.isalnum():
        return named
    found = _CODE.search(answer.read(_ERROR_BYTES))
    return (found[1] or found[2]).decode() if found else ""
