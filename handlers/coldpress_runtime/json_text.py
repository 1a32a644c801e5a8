"""JSON text in and out, strictly: whatever leaves is valid JSON (RFC 8259) in valid UTF-8.

JSON has no NaN and no infinities, and no bytes. Floats that are not finite travel as the strings ``"NaN"``,
``"Infinity"`` and ``"-Infinity"``, and bytes that are not UTF-8 text as ``{"b64": "..."}``. The first is protobuf's
JSON mapping, hence that of the protocol's own gRPC form; the second is TensorFlow Serving's. Both are accepted on
the way in. Null was not chosen: it loses which of the three it was, and Go's and JavaScript's readers turn it
silently into 0.
"""

from __future__ import annotations

import json

from coldpress_runtime.errors import RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Constant", "describe", "dump", "parse"]

_PREVIEW = 24  # characters of a caller's value that an error message may repeat


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise RequestError(f"The key {describe(name)} appears twice in one JSON object; send it once.")
            seen.add(name)
    return table


class Constant(float):
    """``NaN``, ``Infinity`` or ``-Infinity`` as Python's writer spells them: not JSON, but meant.

    A plain float that is infinite came from a number too large for any float, such as ``1e999``.
    """


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=Constant)
_ESCAPED_SURROGATES = ("\\ud", "\\uD")


def parse(body: bytes) -> Any:
    """Parse a body; every way in which it can be wrong is a ``RequestError``."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise RequestError(
            f"The body is not UTF-8 text (byte {error.start} is 0x{body[error.start]:02x}); send JSON in UTF-8."
        ) from None
    if not text.strip():
        raise RequestError("The body is empty; send a JSON object.")
    try:
        document = _decoder.decode(text)
        # Looking for one character is much the fastest, and most bodies have no escape at all.
        if "\\" in text and any(mark in text for mark in _ESCAPED_SURROGATES):
            json.dumps(document, ensure_ascii=False).encode()  # half of a surrogate pair is no character
    except json.JSONDecodeError as error:
        raise RequestError(f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise RequestError("The body's JSON is nested too deeply; tensors need no more levels than axes.") from None
    except UnicodeEncodeError:
        raise RequestError("The body escapes half of a surrogate pair, which is no character; send text.") from None
    except ValueError:  # int() refuses more than sys.get_int_max_str_digits() digits
        raise RequestError("The body holds a number with thousands of digits; no tensor type has it.") from None
    return document


def _mend(value: Any) -> Any:
    if isinstance(value, float):
        if value != value:  # noqa: PLR0124 - NaN is the number that differs from itself
            return "NaN"
        if value in {float("inf"), float("-inf")}:
            return "Infinity" if value > 0 else "-Infinity"
        return value
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return _not_text(value)
        return value
    if isinstance(value, dict):
        return {_key(key): _mend(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mend(item) for item in value]
    if hasattr(value, "tolist") or isinstance(value, complex):
        return _mend(_default(value))
    return value


def _not_text(value: str) -> Any:
    import binascii  # noqa: PLC0415 - rare

    try:
        raw = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a surrogate pair stands for no byte
        return value.encode("utf-8", "replace").decode()
    return {"b64": binascii.b2a_base64(raw, newline=False).decode()}


def _key(key: Any) -> Any:
    if isinstance(key, float) and not float("-inf") < key < float("inf"):
        return _mend(key)
    if isinstance(key, str):
        return key.encode("utf-8", "replace").decode()  # a key cannot be an object
    return key


def _default(value: Any) -> Any:
    """Tensors, numpy arrays and numpy scalars know how to become lists and numbers."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, complex):
        return [value.real, value.imag]
    raise TypeError(f"a {type(value).__name__} has no place in JSON")


# What tensors and hooks give has no circles; one in what a hook made up runs into the limit of recursion.
_encoder = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"), default=_default
)


def dump(document: Any) -> bytes:
    """Write a document as JSON; raises TypeError or ValueError only for what is no JSON value at all."""
    try:
        return _encoder.encode(document).encode()
    except ValueError:  # a float that is not finite, or bytes that are not text: rare, so looked for only now
        return _encoder.encode(_mend(document)).encode()


def describe(value: Any) -> str:
    """Name a JSON value in an error message, repeating no more than a few characters of it."""
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    if value in {float("inf"), float("-inf")} and not isinstance(value, Constant):
        return "a number beyond every float"
    text = json.dumps(value[: _PREVIEW + 1]) if isinstance(value, str) else repr(value)
    if len(text) > _PREVIEW:
        text = text[:_PREVIEW] + "..."
    return text
