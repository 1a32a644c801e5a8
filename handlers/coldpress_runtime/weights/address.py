"""Where a store is reached: the parts of its address that a connection needs."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from coldpress_runtime.errors import WeightsError

__all__ = ["Address", "address"]


class Address(NamedTuple):
    """A store's address; ``named`` is host and port as a request names them, ``path`` begins every path there."""

    tls: bool
    host: str
    port: int
    named: str
    path: str


def address(url: str, variable: str = "") -> Address:
    """Take an address apart; raises WeightsError, which names the ``variable`` that gives it, and not the address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WeightsError(f"The address in {variable} is none; expected https://HOST or http://HOST:PORT.")
    tls = parts.scheme == "https"
    return Address(tls, parts.hostname, port or (443 if tls else 80), parts.netloc.rpartition("@")[2], parts.path)
