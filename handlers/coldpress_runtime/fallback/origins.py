"""URLs of endpoints, parted without the standard library's parser, which costs a start some milliseconds."""

from __future__ import annotations

from coldpress_runtime.errors import ManifestError

__all__ = ["URL_VARIABLE", "part"]

#: Where the endpoint's URL comes from when the manifest leaves it empty.
URL_VARIABLE = "COLDPRESS_FALLBACK_URL"


def part(url: str, where: str) -> tuple[str, str, int, str]:
    """Part a URL into scheme, host, port and path (no ``/`` at its end); raises ManifestError.

    ``where`` is the place that the URL comes from, for the message, which does not repeat a URL: one may hold a secret.
    """
    scheme, mark, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    host, bracket, behind = authority.partition("]")
    host, port = (host[1:], behind) if bracket and host[:1] == "[" else _host_and_port(authority)
    number = port[1:] or ("443" if scheme == "https" else "80")
    sound = (
        mark
        and scheme in {"http", "https"}
        and host
        and url.isascii()
        and url.isprintable()
        and not set(url) & set(' "<>\\^`{|}?#@')
        and port[:1] in {"", ":"}
        and number.isdecimal()
        and 0 < int(number[:6]) < 65536
    )
    if not sound:
        raise ManifestError(
            f"{where} is not a URL that an endpoint can have; expected https://host/path or http://host/path, without "
            "user, query and #."
        )
    return scheme, host.lower(), int(number), f"/{path}".rstrip("/")


def _host_and_port(authority: str) -> tuple[str, str]:
    host, mark, port = authority.partition(":")
    return host, mark + port
