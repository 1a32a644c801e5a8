"""ONNX Runtime's refusals as sentences for people: no source files, no folders of this machine, no C++."""

from __future__ import annotations

import os

from coldpress_runtime.tensor import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from coldpress_runtime.signature import ValueInfo

__all__ = ["complaint", "plain"]

_LONGEST = 400


def complaint(
    message: str,
    inputs: Mapping[str, Any],
    expected: Sequence[ValueInfo],
    wanted: Sequence[str],
    outputs: Sequence[str],
) -> str:
    """Say why a run was refused: what is wrong with the inputs if that can be seen, else what ONNX Runtime said."""
    for name in wanted:
        if name not in outputs:
            return f"Found output '{name}', which this model does not have; expected {_listed(outputs)}."
    known = {info.name: info for info in expected}
    for info in expected:
        if info.name not in inputs and info.kind != "optional":
            return f"Input '{info.name}' is missing; expected {_listed(known)}."
        if inputs.get(info.name) is None and info.kind != "optional":
            return f"Input '{info.name}' is None, expected {info}."
        if (wrong := _mismatch(inputs.get(info.name), info)) is not None:
            return wrong
    for name in inputs:
        if name not in known and "nvalid input name" in message:
            return f"Found input '{name}', which this model does not have; expected {_listed(known)}."
    return f"The model cannot run on these inputs: {plain(message)}"


def _mismatch(value: Any, info: ValueInfo) -> str | None:
    while info.kind == "optional" and info.item is not None:
        info = info.item
    if not isinstance(value, Tensor):
        return None
    found = f"{value.dtype.name}[{','.join(map(str, value.shape))}]"
    if info.kind != "tensor":
        return f"Input '{info.name}' is {found}, expected {info}."
    if info.dtype is None:
        return None
    fits = len(value.shape) == len(info.shape) and all(
        not isinstance(axis, int) or axis == size for axis, size in zip(info.shape, value.shape, strict=True)
    )
    if value.dtype is not info.dtype or not (fits or not info.shape):
        return f"Input '{info.name}' is {found}, expected {info}."
    return None


def plain(message: str, path: str | None = None) -> str:
    """Return ONNX Runtime's message in one line, without file paths, source positions and the functions there."""
    if path:
        message = message.replace(path, os.path.basename(path))
    words: list[str] = []
    found = message.split()
    place = 0
    while place < len(found):
        word = found[place]
        place += 1
        bare = word.strip("'\"(),;:[]")
        if _is_source(bare):
            place = _after_function(found, place, short="/" not in bare)
        elif word == "[ONNXRuntimeError]" and found[place + 4 : place + 5] == [":"]:
            place += 5  # : 1 : FAIL :
        else:
            rooted = os.sep in bare and (bare.startswith(os.sep) or bare[1:3] == ":\\")
            words.append(word.replace(bare, os.path.basename(bare)) if rooted else word)
    text = " ".join(words).strip(" :")
    for noise in ("Status Message: ", "Name:'' "):
        text = text.replace(noise, "")
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 1] + "…"
    return text if text.endswith((".", "!", "…")) else f"{text}."


def _after_function(words: list[str], place: int, *, short: bool) -> int:
    """Where words go on after the C++ function that ONNX Runtime names behind a source position."""
    if short:  # the bare name
        return place + 1 if place < len(words) and words[place].isidentifier() else place
    end, signature = place, ""
    while "(" not in signature or signature.count("(") > signature.count(")"):
        if end == len(words):
            return place
        signature += words[end]
        end += 1
    if "::" not in signature:
        return place
    if words[end : end + 1] == ["const"]:
        end += 1
    if words[end : end + 1] == ["[with"]:  # what a template stands for
        while end < len(words) and not words[end].endswith("]"):
            end += 1
        end += 1
    return end


def _is_source(word: str) -> bool:
    """A place in ONNX Runtime's own sources, such as /onnxruntime_src/core/graph/graph.cc:123."""
    return any(end in word for end in (".cc:", ".h:", ".cpp:")) or word.endswith((".cc", ".h", ".cpp"))


def _listed(names: Any) -> str:
    """Names for a sentence, a long list shortened."""
    names = list(names)
    shown = ", ".join(f"'{name}'" for name in names[:10])
    if not names:
        return "none"
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
