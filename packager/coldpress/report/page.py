"""The page itself: records and geometry go into one template, which escapes all it is given.

Nothing on the page is fetched, and the content security policy in its head allows nothing but the style sheet and the
script that it carries, each by its hash: a name out of a model cannot become code. Places of marks, which would be
``style`` attributes, are rules of the style sheet for the same reason.
"""

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from coldpress.report import words
from coldpress.report.charts import draw_map, draw_pareto, draw_waterfall
from coldpress.report.curve import draw_curve
from coldpress.report.document import Document, read_document
from coldpress.report.groups import groups_of
from coldpress.report.headline import headline

__all__ = ["canonical", "render_report", "write_report"]

_HERE = Path(__file__).parent
_TABLE_ROWS = 200  # of a treemap's table; the JSON has every tensor


def write_report(document: Mapping[str, Any], html_path: Path, json_path: Path) -> None:
    """Write the page and the document; each file appears in whole or not at all.

    Raises:
        TemplateError: The document cannot be shown, see ``read_document``.
        OSError: A file cannot be written.
    """
    page = render_report(document)
    text = json.dumps(canonical(document), indent=1, allow_nan=False) + "\n"
    for path, content in ((html_path, page), (json_path, text)):
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(content, encoding="utf-8", newline="\n")
        beside.replace(path)


def canonical(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of ``document`` in one order whatever order it was made in; numbers that are not finite are null.

    Keys are sorted, except where they are steps in time; so are tensors, files and encodings, whose order means
    nothing. That of candidates, recipes, checks and notes does.
    """
    copy: dict[str, Any] = _sorted(document)
    for start in ("cold_start", "model_start"):
        for key, steps in (document.get(start) or {}).items():
            if isinstance(steps, Mapping):
                copy[start][key] = {name: _sorted(ms) for name, ms in steps.items()}
    for side in copy["tensors"].values():
        side.sort(key=lambda tensor: (-tensor["bytes"], tensor["name"]))
    if copy.get("bundle"):
        copy["bundle"]["files"].sort(key=lambda file: (-file["bytes"], file["path"]))
    return copy


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_sorted(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Places:
    """Classes for places of marks, one a different place, and the rules that define them."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def __call__(self, **percent: float) -> str:
        rule = ";".join(f"{key}:{self._number(value)}%" for key, value in percent.items())
        return self._names.setdefault(rule, f"p{len(self._names)}")

    def share(self, part: float) -> str:
        """Return the class of something that takes ``part`` of the room, beside others or alone."""
        rule = f"flex-grow:{self._number(part)};--share:{self._number(100 * part)}%"
        return self._names.setdefault(rule, f"p{len(self._names)}")

    def css(self) -> str:
        return "\n".join(f".{name}{{{rule}}}" for rule, name in self._names.items())

    @staticmethod
    def _number(value: float) -> str:
        return f"{value:.3f}".rstrip("0").rstrip(".")


def render_report(document: Mapping[str, Any]) -> str:
    """Return the page for ``document``, as HTML that opens from a file and needs nothing else.

    Raises:
        TemplateError: A value is missing, or is not what the page can show; the message says where.
    """
    read = read_document(document)
    places = _Places()
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "bytes": words.bytes_text,
        "figure": words.figure,
        "loss": words.loss,
        "metric_value": words.metric_value,
        "ms": words.milliseconds,
        "step": words.step,
        "times": words.times,
        "shorten": words.shorten,
        "visible": words.visible,
        "cut": _cut,
    }
    environment.globals |= {
        "Markup": Markup,
        "place": places,
        "check_value": words.check_value,
        "use_value": words.use_value,
    }
    body = environment.get_template("body.html").render(
        d=read, headline=headline(read), table_rows=_TABLE_ROWS, **_charts(read)
    )
    # The style sheet comes last, because drawing the body is what finds out the places.
    style = "\n" + (_HERE / "page.css").read_text(encoding="utf-8") + places.css() + "\n"
    script = "\n" + (_HERE / "page.js").read_text(encoding="utf-8")
    return environment.get_template("page.html").render(
        d=read,
        body=Markup(body),  # noqa: S704  (rendered above, escaped there)
        style=Markup(style),  # noqa: S704  (ours: a file beside this one, and numbers)
        script=Markup(script),  # noqa: S704  (ours)
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=_json_for_script(canonical(document)),
    )


def _cut(text: str, limit: int) -> Markup:
    """Return ``text`` as an element of its own direction, cut to ``limit`` characters, whole where one points at it."""
    short, whole = words.shorten(text, limit), words.visible(text)
    if short == whole:
        return Markup("<bdi>{}</bdi>").format(short)
    return Markup('<bdi title="{}">{}</bdi>').format(whole, short)


def _charts(read: Document) -> dict[str, Any]:
    before, after = groups_of(read)
    largest = max(sum(group.bytes for group in side) for side in (before, after))
    return {
        "before": draw_map(before, largest),
        "after": draw_map(after, largest),
        "pareto": draw_pareto(read),
        "curve": draw_curve(read.fallback.cascade) if read.fallback and read.fallback.cascade else None,
        "waterfalls": [
            (start, *draw_waterfall(start)) if start and start.steps else None
            for start in (read.cold_start, read.model_start)
        ],
    }


def _hash(text: str) -> str:
    """Return the source expression by which a content security policy allows an inline ``text``."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json_for_script(document: Mapping[str, Any]) -> Markup:
    """Return JSON that ends no script element, whatever its texts hold: no ``<``, ``>`` or ``&`` is left in it."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  (escaped in the line above, as JSON allows)
