"""Asking ONNX Runtime itself whether it can open a model, and putting its answer into one sentence."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from coldpress.binding import onnxruntime
from coldpress.errors import ModelError

if TYPE_CHECKING:
    from onnx import FunctionProto, GraphProto, ModelProto, NodeProto

__all__ = ["check_opens", "foreign_locales", "plain_engine_error", "unknown_operators"]

_BUILT_IN = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "com.microsoft"}
    | {"com.microsoft.nchwc", "com.microsoft.experimental", "com.ms.internal.nhwc"}
)
"""Domains whose operators are inside the onnxruntime library."""
_EVERYWHERE = frozenset({"C", "POSIX", "C.UTF-8", "C.utf8"})
"""Locales that need no language pack."""
_MOST_NAMED = 5
# What the engine says, around what matters: its error class, a source file and a C++ function, the path it opened.
_NODE = re.compile(r'In Node, \("(?P<name>[^"]*)", (?P<type>[^,]*), .*?\) : .*? -> .*? , Error ', re.DOTALL)
_NOISE = (
    re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : "),
    re.compile(r"Load model from .*? failed:\s*", re.DOTALL),
    re.compile(r"/\S*onnxruntime_src/\S+:\d+ .*?\) (?=[A-Z\w])"),
    re.compile(r"^Exception during (initialization|loading): "),
    re.compile(r"(This is an i|I)nvalid model\.\s*(Error: )?"),
    re.compile(r"Fatal error: "),
)


def check_opens(model: "ModelProto", path: Path) -> None:
    """Open the file ``path``, which holds ``model``, in ONNX Runtime; ``ModelError`` when it will not open.

    Graph optimisation is off: what is asked is whether the model is valid and has a kernel for every node.
    """
    ort = onnxruntime()

    if unknown := unknown_operators(model):
        named = ", ".join(unknown[:_MOST_NAMED]) + (f" and {len(unknown) - _MOST_NAMED} more" if unknown[5:] else "")
        raise ModelError(
            f"{path.name} uses operators that are not part of ONNX Runtime: {named}; "
            "export it with standard operators, or add them to the model as local functions."
        )
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if "Failed to construct locale" in str(error):
            raise ModelError(
                f"{path.name} changes the case of text by the locale {', '.join(foreign_locales(model))}, "
                "which this machine lacks, as the function's may; set the attribute `locale` of its StringNormalizer "
                "nodes to C.UTF-8, which needs no language pack."
            ) from error
        raise ModelError(
            f"ONNX Runtime {ort.__version__} cannot open {path.name}: {plain_engine_error(error, path)}; "
            "check the export, or export it with another opset."
        ) from error


def unknown_operators(model: "ModelProto") -> list[str]:
    """Return a description of each operator type from a domain ONNX Runtime does not have, with its first node."""
    local = {(function.domain, function.name) for function in model.functions}
    found: dict[tuple[str, str], str] = {}
    for node in (*_nodes(model.graph), *(node for function in model.functions for node in _nodes(function))):
        key = (node.domain, node.op_type)
        if node.domain not in _BUILT_IN and key not in local:
            found.setdefault(key, f"{node.domain}.{node.op_type} (node {node.name or ''.join(node.output[:1])!r})")
    return list(found.values())


def foreign_locales(model: "ModelProto") -> tuple[str, ...]:
    """Return the locales that text operators ask the system for, other than those that every system has.

    ONNX Runtime 1.31.1 opens one for a ``StringNormalizer`` that changes case, or that compares stop words without
    regard to it; its default is ``en_US.UTF-8``.
    """
    found = set()
    for node in (*_nodes(model.graph), *(node for function in model.functions for node in _nodes(function))):
        if node.op_type == "StringNormalizer" and node.domain in ("", "ai.onnx"):
            given = {attribute.name: attribute for attribute in node.attribute}
            changes = "case_change_action" in given and given["case_change_action"].s != b"NONE"
            exact = "is_case_sensitive" in given and given["is_case_sensitive"].i
            stops = "stopwords" in given and given["stopwords"].strings
            if changes or (stops and not exact):
                found.add(given["locale"].s.decode("utf-8", "replace") if "locale" in given else "en_US.UTF-8")
    return tuple(sorted(found - _EVERYWHERE))


def plain_engine_error(error: Exception, path: Path) -> str:
    """Return the engine's message on one line, without its class, its source files and the path of the model."""
    text = str(error)
    for noise in _NOISE:
        text = noise.sub("", text)
    text = _NODE.sub(r"node '\g<name>' (\g<type>): ", text)
    text = " ".join(text.replace(str(path), path.name).replace(f"{path.resolve().parent}{os.sep}", "").split())
    return text.strip().rstrip(".") or type(error).__name__


def _nodes(body: "GraphProto | FunctionProto") -> "Iterator[NodeProto]":
    for node in body.node:
        yield node
        for attribute in node.attribute:
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _nodes(graph)
