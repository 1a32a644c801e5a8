"""Callers of a server, each on a thread with a connection of its own, as a balancer keeps them."""

import http.client
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Caller", "calling", "until"]


@dataclass
class Caller:
    """Asks again and again until told to stop, or until the server says that it closes the connection.

    Attributes:
        answers: status, headers in lower case and body of each.
        lost: what went wrong when there was no answer.
    """

    port: int
    path: str
    body: bytes
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    lost: list[Exception] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Ask until the end."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            while not self.stopped.is_set():
                connection.request("POST", self.path, self.body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                headers = {name.lower(): text for name, text in response.getheaders()}
                self.answers.append((response.status, headers, response.read()))
                if headers.get("connection") == "close":
                    break
        except (OSError, http.client.HTTPException) as error:
            self.lost.append(error)
        finally:
            connection.close()


@contextmanager
def calling(port: int, path: str, bodies: list[Any]) -> Iterator[list[Caller]]:
    """Let a caller for each body ask while the context lasts; bodies are documents."""
    callers = [Caller(port, path, json.dumps(body).encode()) for body in bodies]
    threads = [threading.Thread(target=caller.run) for caller in callers]
    for thread in threads:
        thread.start()
    try:
        yield callers
    finally:
        for caller in callers:
            caller.stopped.set()
        for thread in threads:
            thread.join()


def until(happened: Callable[[], Any]) -> Any:
    """Ask until the answer is true, and return it; the test's own time limit ends what never happens."""
    while not (found := happened()):
        os.sched_yield()
    return found
