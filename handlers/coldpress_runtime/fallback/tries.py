"""One question, tried until it is answered or its deadline has passed: retries, hedging, the breaker, the cap.

When a question is sent again. A model only computes, so to ask twice does no harm, and a question may be sent again
whenever nothing of an answer has come: no connection, a reset before the first byte, a gateway's 502 or 504. It is not
sent again once a single byte of an answer has come: the endpoint has done the work, and what broke half of a long
answer tends to break the next one too. Nor when the deadline has passed, nor when the endpoint asks to be left alone.
A queue may so hold a question twice, which costs a run of the model and nothing else.

A kept connection that the other side had closed is no failure: the question goes out once more, on a new one, and that
counts as no retry.

Hedging: when the first try is not answered after ``hedge_after_s``, a second one starts on a connection of its own. The
first answer wins, and the other connection is closed.
"""

from __future__ import annotations

from queue import Empty, SimpleQueue
from random import random
from threading import BoundedSemaphore, Lock, Thread
from time import perf_counter, sleep

from coldpress_runtime.errors import DoorAnswerError, DoorBusyError, DoorError, WakingError
from coldpress_runtime.fallback.breaker import OpenError
from coldpress_runtime.fallback.deadline import late, left
from coldpress_runtime.fallback.messages import Broken, too_many
from coldpress_runtime.fallback.pool import Pool, tls_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from coldpress_runtime.fallback.breaker import Breaker
    from coldpress_runtime.fallback.connections import Connection
    from coldpress_runtime.fallback.credentials import Credentials
    from coldpress_runtime.fallback.messages import Message, Origin, Reply
    from coldpress_runtime.fallback.settings import Fallback

    Judge = Callable[[Reply], Reply]

__all__ = ["Tries"]

#: Pauses before retries, with full jitter: a random share of the first, then of twice as much, and no more than the
#: last.
_FIRST_PAUSE_S = 0.05
_LAST_PAUSE_S = 1.0
_GRACE_S = 0.02  # for tries that run on threads to say themselves that their deadline has passed


class _Line:
    """The connection that a try uses now, for another thread to cut."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._connection: Connection | None = None
        self.is_cut = False

    def hold(self, connection: Connection | None) -> None:
        """Say which connection is in use; None for none any more."""
        with self._lock:
            self._connection = connection
            if self.is_cut and connection is not None:
                connection.abort()

    def cut(self) -> None:
        """End the try: nobody waits for its answer."""
        with self._lock:
            self.is_cut = True
            if self._connection is not None:
                self._connection.abort()


class Tries:
    """Sends messages to an endpoint and to what belongs to it. Threads may share it.

    Args:
        settings: how patiently.
        breaker: counts how the endpoint fares.
        credentials: prove who asks.
        ca_file: authorities to check certificates against; "" for the system's.
    """

    def __init__(self, settings: Fallback, breaker: Breaker, credentials: Credentials, ca_file: str) -> None:
        self._settings = settings
        self._breaker = breaker
        self._credentials = credentials
        self._ca_file = ca_file
        self._slots = BoundedSemaphore(settings.concurrency)
        self._pools: dict[Origin, Pool] = {}
        self._lock = Lock()
        self._tls: ssl.SSLContext | None = None

    def send(self, origin: Origin, message: Message, ends: float, judge: Judge, *, guarded: bool = True) -> Reply:
        """Send a message until it is answered.

        Args:
            origin: where to.
            message: what.
            ends: when the answer must be there, in ``perf_counter()`` seconds.
            judge: what makes of a reply the answer, or raises Broken.
            guarded: whether the breaker lets it through, and counts it.

        Raises DoorError.
        """
        settings = self._settings
        retried = 0
        failed: DoorError | None = None
        while True:
            try:
                if settings.hedge_after_s is None or not guarded:
                    return self._try(origin, message, ends, judge, guarded=guarded)
                return self._hedged(origin, message, ends, judge, settings.hedge_after_s)
            except Broken as broken:
                failed = broken.error
                if not broken.again or broken.retry_after is not None or retried >= settings.retries:
                    raise failed from None
            except (DoorBusyError, WakingError) as error:  # there is no room for a try at all
                raise failed or error from None
            pause = random() * min(_LAST_PAUSE_S, _FIRST_PAUSE_S * 2**retried)  # noqa: S311 - spreads load, no secret
            retried += 1
            if perf_counter() + pause >= ends:
                raise failed
            sleep(pause)

    def close(self) -> None:
        """Close the connections that are kept."""
        with self._lock:
            for pool in self._pools.values():
                pool.close()

    def _try(
        self, origin: Origin, message: Message, ends: float, judge: Judge, line: _Line | None = None, *, guarded: bool
    ) -> Reply:
        """Try once; raises Broken, DoorBusyError and WakingError, or another DoorError when nothing could be sent."""
        left(ends, "asked")
        if not self._slots.acquire(blocking=False):
            raise too_many(self._settings.concurrency)
        try:
            if not guarded:
                return judge(self._signed(origin, message, ends, line))
            entry = self._enter()
            try:
                reply = judge(self._signed(origin, message, ends, line))
            except Broken as broken:
                if not broken.blamed or (line is not None and line.is_cut):
                    self._breaker.dropped(entry)
                else:
                    self._breaker.failed(entry, broken.error, broken.retry_after)
                raise
            except BaseException:  # of credentials: nothing is learned about the endpoint
                self._breaker.dropped(entry)
                raise
            self._breaker.passed(entry)
            return reply
        finally:
            self._slots.release()

    def _enter(self) -> int:
        try:
            return self._breaker.enter()
        except OpenError as refusal:
            seconds, reason = max(1, round(refusal.seconds)), refusal.reason
            kind = WakingError if isinstance(reason, WakingError) else DoorBusyError
            # What was wrong with an answer quotes it, and it was somebody else's.
            said = "An answer was not that of this model." if isinstance(reason, DoorAnswerError) else reason
            raise kind(
                f"The endpoint is left alone for now, because it failed: {said} Try again in {seconds} s.",
                seconds,
            ) from None

    def _signed(self, origin: Origin, message: Message, ends: float, line: _Line | None) -> Reply:
        credentials = self._credentials
        for retry in (True, False):
            proof = credentials.headers(origin, message, ends)
            signed = message._replace(headers=message.headers | proof) if proof else message
            reply = self._exchange(origin, signed, ends, line)
            if reply.status not in {401, 403} or not retry or not credentials.renew(reply):
                break
        return reply

    def _exchange(self, origin: Origin, message: Message, ends: float, line: _Line | None) -> Reply:
        pool = self._pool(origin)
        fresh = False
        while True:
            connection = pool.take(ends, fresh=fresh)
            if line is not None:
                line.hold(connection)
            try:
                reply, keep = connection.exchange(message, ends, self._settings.answer_bytes)
            except BaseException as error:
                if line is not None:
                    line.hold(None)
                connection.close()
                if not fresh and isinstance(error, Broken) and error.stale and not (line and line.is_cut):
                    fresh = True
                    continue
                raise
            if line is not None:
                line.hold(None)
            if keep:
                pool.give(connection)
            else:
                connection.close()
            return reply

    def _pool(self, origin: Origin) -> Pool:
        pool = self._pools.get(origin)
        if pool is None:
            with self._lock:
                pool = self._pools.setdefault(
                    origin, Pool(origin, self._settings.connect_s, self._settings.concurrency, self._context)
                )
        return pool

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            try:
                self._tls = tls_context(self._ca_file)
            except OSError:
                raise DoorError(
                    "SSL_CERT_FILE names a file that cannot be read, or that holds no certificates; mend it."
                ) from None
        return self._tls

    def _hedged(self, origin: Origin, message: Message, ends: float, judge: Judge, after_s: float) -> Reply:
        """Try once, and once more at the same time when the answer is slow."""
        outcomes: SimpleQueue[tuple[Reply | None, BaseException | None]] = SimpleQueue()
        lines = [_Line(), _Line()]

        def run(line: _Line) -> None:
            try:
                outcomes.put((self._try(origin, message, ends, judge, line, guarded=True), None))
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
                outcomes.put((None, error))

        def start(line: _Line) -> None:
            Thread(target=run, args=(line,), name="door", daemon=True).start()

        start(lines[0])
        running = 1
        hedge_at: float | None = perf_counter() + after_s
        failed: BaseException | None = None
        try:
            while running:
                now = perf_counter()
                until = ends + _GRACE_S if hedge_at is None else min(ends + _GRACE_S, hedge_at)
                try:
                    reply, error = outcomes.get(timeout=max(0.0, until - now))
                except Empty:
                    if hedge_at is None or hedge_at >= ends:
                        raise Broken(late("heard from"), again=False) from None
                    hedge_at = None
                    start(lines[1])
                    running += 1
                    continue
                running -= 1
                if reply is not None:
                    return reply
                # Of two failures, one that says something about the endpoint counts more than that there was no room.
                if failed is None or isinstance(error, Broken):
                    failed = error
                hedge_at = None
        finally:
            for line in lines:
                line.cut()
        assert failed is not None  # noqa: S101 - every try that ran out ended with one
        raise failed
