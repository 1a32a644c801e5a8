"""Where a provider's own runtime stands between caller and function, so that an answer cannot be the service's."""

from collections.abc import Mapping
from dataclasses import dataclass

from coldpress.emulate.http import Reply

__all__ = ["EXCEPTIONS", "Difference"]


@dataclass(frozen=True)
class Difference:
    """How an answer differs, and why it must.

    Attributes:
        why: what the provider does.
        status: of the answer; None: the service's.
        says: what the body holds; None: it is the service's.
        headers: those that are not the service's, with what they are; None: not there.
    """

    why: str
    status: int | None = None
    says: bytes | None = None
    headers: Mapping[str, str | None] | None = None

    def check(self, reply: Reply, wanted: Reply) -> None:
        """Demand that the answer differs so, and in nothing else."""
        assert reply.status == (wanted.status if self.status is None else self.status)
        assert reply.body == wanted.body if self.says is None else self.says in reply.body
        expected = {**wanted.headers, **(self.headers or {})}
        assert {name: reply.headers.get(name) for name in expected} == expected


_HTML = {"content-type": "text/html"}
_FRAMEWORK = Difference(
    "functions-framework answers for these paths itself",
    says=b"Not Found",
    headers={"content-type": "text/html; charset=utf-8"},
)
_ESCAPES = "Azure's host writes a path's escapes anew"

_UNKNOWN = Difference(
    "httptools knows the methods that there are",
    400,
    b"Invalid HTTP request",
    {"content-type": "text/plain; charset=utf-8", "allow": None},
)

EXCEPTIONS: Mapping[tuple[str, str], Difference] = {
    ("aws-rest", "two slashes"): Difference(
        "a REST API's {proxy+} holds a path without the slashes that it starts with", says=b'\\"/v2//health//live\\"'
    ),
    ("aws-alb", "echo keys twice"): Difference(
        "a load balancer hands over the last value of a key, unless its target group asks for lists",
        says=b'["a",["2"]]',
    ),
    ("alibaba", "echo keys twice"): Difference(
        "Function Compute joins the values of a key by a comma", says=b'["a",["1,2"]]'
    ),
    ("gcp", "a path that browsers ask for"): _FRAMEWORK,
    ("gcp", "a path that robots ask for"): _FRAMEWORK,
    ("gcp", "a header of 16,000 characters"): Difference(
        "gunicorn takes 8,190 bytes of a header", 431, b"Request Header Fields Too Large", _HTML
    ),
    ("gcp", "a content type twice"): Difference("gunicorn refuses it", 400, b"CONTENT-TYPE", _HTML),
    ("container", "BREW of predict"): _UNKNOWN,
    ("serve", "BREW of predict"): _UNKNOWN,
    ("serve", "the root"): Difference(
        "the page to try the model is there", 200, b"<!doctype html>", {"content-type": "text/html; charset=utf-8"}
    ),
    ("azure", "an escape that is none"): Difference(_ESCAPES, says=b"/v2/%25zz"),
    ("azure", "escaped bytes that are no text"): Difference(_ESCAPES, says=b"/v2/%FF%FE"),
    ("azure", "a header of Latin letters"): Difference("Azure's host sends ASCII", headers={"x-digit": "f?nf"}),
    ("azure", "a cookie"): Difference(
        "Azure's host writes cookies anew", headers={"set-cookie": "a=1; path=/; httponly"}
    ),
}
"""By target (AWS's with the kind of event) and request; all other answers are the service's."""
