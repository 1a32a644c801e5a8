"""A text classifier in miniature, its tokenizer, and texts: 140 made-up words, a row for each, and their mean."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto
from tokenizers import Tokenizer

from tests.support.graphs import model, node, tensor, value

__all__ = ["TOKENIZER", "classifier", "encode", "texts", "write"]

_WORDS = [
    first + last for first in "bdfgklmnprstvz" for last in ("a", "e", "i", "o", "u", "al", "en", "ir", "os", "ut")
]
_VOCAB = {word: number for number, word in enumerate(["[PAD]", "[UNK]", *_WORDS])}
TOKENIZER: dict[str, Any] = {
    "version": "1.0",
    "added_tokens": [
        {"id": _VOCAB[word], "content": word, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for word in ("[PAD]", "[UNK]")
    ],
    "normalizer": None, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
    "padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None,
                "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
    "truncation": None, "model": {"type": "WordLevel", "vocab": _VOCAB, "unk_token": "[UNK]"},
}  # fmt: skip
"""What its ``tokenizer.json`` holds."""


def classifier(ids: str = "input_ids") -> ModelProto:
    """From token ids, int64 [N, T], to scores, float32 [N, 4]."""
    draw = np.random.default_rng(0)
    nodes = [
        node("Gather", ["table", ids], ["rows"]),
        node("ReduceMean", ["rows"], ["mean"], axes=[1], keepdims=0),
        node("MatMul", ["mean", "weight"], ["scores"]),
    ]
    weights = [
        tensor("table", draw.standard_normal((len(_VOCAB), 64))),
        tensor("weight", draw.standard_normal((64, 4))),
    ]
    return model(nodes, [value(ids, ("N", "T"), TensorProto.INT64)], [value("scores", ("N", 4))], weights)


def texts(count: int = 80, words: int = 40, seed: int = 0) -> list[str]:
    """Return texts of five words, from the last ``words`` there are: their ids change when others go."""
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(_WORDS[-words:], 5)) for _ in range(count)]


def encode(lines: list[str], tokenizer: str | None = None) -> np.ndarray:
    """Return the ids of texts, int64 [N, 5], by the text of a ``tokenizer.json``: the whole one unless given."""
    cut = Tokenizer.from_str(tokenizer or json.dumps(TOKENIZER))
    return np.array([one.ids for one in cut.encode_batch(lines)], np.int64)


def write(folder: Path) -> None:
    """Write model.onnx, tokenizer.json and samples.npz."""
    onnx.save(classifier(), folder / "model.onnx")
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    np.savez(folder / "samples.npz", input_ids=encode(texts()))
