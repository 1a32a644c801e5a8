"""Bicep's own spelling of a text."""

__all__ = ["bicep_text"]


def bicep_text(text: str) -> str:
    r"""Return ``text`` as a Bicep string, in which nothing is interpolated."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\${")
    return "'" + "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in escaped) + "'"
