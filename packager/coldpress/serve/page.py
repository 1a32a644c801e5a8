"""The page to try a model: one document that carries its style and its script, and asks nothing of other hosts.

The content security policy allows those two, each by its hash, requests to where the page came from, and pictures and
sounds that the page itself made: a name out of a model, or an answer, cannot become code.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["Page"]

_ASSETS = Path(__file__).with_name("assets")
# In the order in which they build on each other; they share one scope.
_SCRIPTS = (
    *("elements", "values", "wire", "pictures", "sounds", "fields", "uploads", "inputs"),
    *("views", "boxes", "answers", "curl", "page"),
)


@dataclass(frozen=True, slots=True)
class Page:
    """The page, and the headers that it is sent with."""

    html: str
    headers: Mapping[str, str]

    @classmethod
    def load(cls) -> Self:
        """Put the page together."""
        style = "\n" + _read("page.css")
        script = '\n"use strict";\n' + "\n".join(_read(f"{name}.js") for name in _SCRIPTS)
        html = _read("page.html").replace("/* style */", style).replace("/* script */", script)
        policy = (
            f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; connect-src 'self'; "
            "img-src blob: data:; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        headers = {
            "Content-Security-Policy": policy,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        return cls(html, headers)


def _read(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The source expression by which a content security policy allows an inline ``text``."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
