"""Templates and values in, the text of files out.

A template is commented text with holes ``@{name}``; that is the whole language. Text with nothing to choose has no
hole; a choice that changes more than a word is a small file of its own (``api/``, ``auth/``), put into a hole. Both
directions are strict: a hole without a value and a value without a hole are errors, so a template and the code that
fills it cannot drift apart.
"""

import re
import string
from collections.abc import Mapping
from pathlib import Path

from coldpress.errors import TemplateError

__all__ = ["Template", "quote", "slug", "write_files"]


class _Holes(string.Template):
    # Only the braced form is a hole: shell text such as `--data @request.json` stays as it is.
    delimiter = "@"
    flags = re.NOFLAG
    pattern = r"@(?:(?P<escaped>(?!))|(?P<named>(?!))|\{(?P<braced>[a-z][a-z0-9_]*)\}|(?P<invalid>\{))"  # type: ignore[assignment]


class Template:
    """A folder of template files and the values for all of them together.

    Args:
        folder: where the files are.
        values: what goes into the holes, as it is: quote it for the file's language first (see :func:`quote`).
    """

    def __init__(self, folder: Path, values: Mapping[str, str]) -> None:
        self._folder = folder
        self._values = values
        self._used: set[str] = set()

    def fill(self, name: str, **pieces: str) -> str:
        """Return the file ``name`` with its holes filled, from ``pieces`` first and from the values then.

        A line that is nothing but a hole whose value is empty is left out.

        Raises:
            TemplateError: there is no such file, it has a malformed hole or one without a value, or a piece has no
                hole there.
        """
        try:
            text = (self._folder / name).read_text(encoding="utf-8")
        except OSError as e:
            raise TemplateError(f"cannot read the template {name}: {e.strerror}; reinstall coldpress") from e
        holes = _Holes(text)
        if not holes.is_valid():
            raise TemplateError(f"{name} has an '@{{' that opens no hole: write @{{name}}, in lower case")
        wanted = set(holes.get_identifiers())
        if missing := sorted(wanted - pieces.keys() - self._values.keys()):
            raise TemplateError(
                f"{name} has a hole @{{{missing[0]}}} and there is no value for it: add one, or close it"
            )
        if idle := sorted(pieces.keys() - wanted):
            raise TemplateError(
                f"there is a value {idle[0]} and no hole for it in {name}: remove it, or add @{{{idle[0]}}}"
            )
        self._used |= wanted
        values = {**self._values, **pieces}
        lone = _Holes(re.sub(r"(?m)^@\{([a-z][a-z0-9_]*)\}\n", lambda m: m[0] if values[m[1]] else "", text))
        return lone.substitute(values)

    def close(self) -> None:
        """Check that every value was used.

        Raises:
            TemplateError: a value went into none of the files.
        """
        if idle := sorted(self._values.keys() - self._used):
            raise TemplateError(f"there is a value {idle[0]} and no hole for it in {self._folder.name}: remove it")


def quote(text: str) -> str:
    r"""Return ``text`` as a double-quoted scalar that YAML 1.1, YAML 1.2 and TOML all read back as ``text``.

    What is not printable is written as ``\UXXXXXXXX``, which the three share; so ``on``, ``1.0``, ``a: b`` and a line
    break cannot turn into something else.

    Raises:
        TemplateError: ``text`` would make CloudFormation look up a secret (``{{resolve:...}}``).
    """
    if "{{resolve:" in text:
        raise TemplateError(
            f"{text!r} holds '{{{{resolve:', which CloudFormation replaces by a looked-up value: leave it out"
        )
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'


def slug(text: str, limit: int = 100) -> str:
    """Return ``text`` as ASCII letters, digits and single hyphens, at most ``limit`` characters, never empty."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:limit].strip("-") or "model"


def write_files(files: Mapping[str, str], out: Path) -> tuple[Path, ...]:
    """Write ``files`` (path below ``out``, text) and return their paths; each appears in whole or not at all."""
    written = []
    for name, text in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(text, encoding="utf-8", newline="\n")
        beside.replace(path)
        written.append(path)
    return tuple(written)
