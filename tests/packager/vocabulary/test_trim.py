"""A trimmed model answers for texts of kept tokens like the whole one, bit for bit; what it cannot do it refuses."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from tokenizers import Tokenizer

from coldpress.errors import VocabularyError
from coldpress.shrink.strip import strip
from coldpress.vocabulary.model import with_rows
from coldpress.vocabulary.trim import trim_vocabulary, used_tokens
from tests.support import minilm, models
from tests.support.graphs import alike, answers, graph, model, node, same_bits, tensor, value

INT = TensorProto.INT64
TABLE = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
IDS = np.array([[3, 7, 40, 3]], np.int64)
KEPT = [0, 3, 7, 12, 40]
NEW = np.array([[1, 2, 4, 1]], np.int64)


def looking_up(nodes, weights, *, outputs=None, **more):
    """`nodes` go from ids to y."""
    return model(nodes, [value("ids", (1, "N"), INT)], outputs or [value("y", (1, "N", 8))], weights, **more)


PLAIN = ([node("Gather", ["t", "ids"], ["y"])], [tensor("t", TABLE)])
CODES = np.random.default_rng(1).integers(-127, 128, (50, 8)).astype(np.int8)
SCALES = np.random.default_rng(2).random((50, 1)).astype(np.float32)
TAKEN = {
    "a table": PLAIN,
    "a table behind a cast and an axis": (
        [node("Cast", ["ids"], ["c"], to=TensorProto.INT32), node("Identity", ["c"], ["i"]),
         node("Gather", ["t", "i"], ["y"])], [tensor("t", TABLE)],
    ),
    "codes looked up and scaled after": (
        [node("Gather", ["q", "ids"], ["a"]), node("Cast", ["a"], ["b"], to=1), node("Gather", ["s", "ids"], ["c"]),
         node("Mul", ["b", "c"], ["y"])], [tensor("q", CODES, np.int8), tensor("s", SCALES)],
    ),
    "codes scaled by the row first": (
        [node("Cast", ["q"], ["b"], to=1), node("Mul", ["b", "s"], ["c"]), node("Gather", ["c", "ids"], ["y"])],
        [tensor("q", CODES, np.int8), tensor("s", SCALES)],
    ),
    "codes scaled by the column first": (
        [node("Cast", ["q"], ["b"], to=1), node("Mul", ["s", "b"], ["c"]), node("Gather", ["c", "ids"], ["y"])],
        [tensor("q", CODES, np.int8), tensor("s", SCALES[:8, 0])],
    ),
    "codes dequantised by the row": (
        [node("DequantizeLinear", ["q", "s"], ["c"], axis=0), node("Gather", ["c", "ids"], ["y"])],
        [tensor("q", CODES, np.int8), tensor("s", SCALES[:, 0])],
    ),
    "a mask of what is not the padding": (
        [node("Gather", ["t", "ids"], ["h"]), node("Equal", ["ids", "pad"], ["e"]), node("Not", ["e"], ["n"]),
         node("Cast", ["n"], ["m"], to=1), node("Unsqueeze", ["m", "axis"], ["k"]), node("Mul", ["h", "k"], ["y"])],
        [tensor("t", TABLE), tensor("pad", 7, np.int64), tensor("axis", [-1], np.int64)],
    ),
    "positions from the shape of the ids": (
        [node("Gather", ["t", "ids"], ["h"]), node("Shape", ["ids"], ["s"]), node("Gather", ["s", "one"], ["n"]),
         node("Range", ["zero", "n", "one"], ["r"]), node("Gather", ["p", "r"], ["q"]), node("Add", ["h", "q"], ["y"])],
        [tensor("t", TABLE), tensor("p", TABLE[:20]), tensor("one", 1, np.int64), tensor("zero", 0, np.int64)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_the_same_rows_are_looked_up(name):
    made = looking_up(*TAKEN[name])
    before = made.SerializeToString()
    trimmed = with_rows(made, KEPT, "ids")
    assert made.SerializeToString() == before
    assert same_bits(answers(made, {"ids": IDS}), answers(trimmed, {"ids": NEW}))
    assert trimmed.ByteSize() < len(before) - 45 * 8


def test_comparing_with_an_id_that_is_gone_is_never_true():
    nodes, weights = TAKEN["a mask of what is not the padding"]
    made = looking_up(nodes, weights)
    trimmed = with_rows(made, [0, 3, 40], "ids")
    ids, new = np.array([[3, 40, 3]]), np.array([[1, 2, 1]])
    assert same_bits(answers(made, {"ids": ids}), answers(trimmed, {"ids": new}))


def branch_reading(name):
    return graph([node("Identity", [name], ["t"])], [], [value("t", None, INT)])


REFUSED = {
    "compares in order": (
        looking_up([*PLAIN[0], node("Less", ["ids", "k"], ["z"])], [*PLAIN[1], tensor("k", 5, np.int64)]),
        "computes with token ids in Less",
    ),
    "asks whether an id is 0": (
        looking_up([*PLAIN[0], node("Cast", ["ids"], ["z"], to=TensorProto.BOOL)], PLAIN[1]), "in Cast",
    ),
    "joins ids with others": (
        looking_up([node("Concat", ["k", "ids"], ["i"], axis=1), node("Gather", ["t", "i"], ["y"])],
                   [*PLAIN[1], tensor("k", [[1]], np.int64)]), "in Concat",
    ),
    "returns ids": (
        looking_up([*PLAIN[0], node("Identity", ["ids"], ["z"])], PLAIN[1],
                   outputs=[value("y", None), value("z", None, INT)]), "hands token ids on",
    ),
    "hands ids on from a branch": (
        looking_up([*PLAIN[0], node("If", ["c"], ["z"], then_branch=branch_reading("ids"),
                                    else_branch=branch_reading("ids"))],
                   [*PLAIN[1], tensor("c", True, bool)]), "hands token ids on",
    ),
    "is tied to its output": (
        looking_up([node("Gather", ["t", "ids"], ["h"]), node("Transpose", ["t"], ["w"]),
                    node("MatMul", ["h", "w"], ["y"])], PLAIN[1], outputs=[value("y", (1, "N", 50))]),
        "a value for each of the 50 tokens",
    ),
    "scores every token": (
        looking_up([node("Gather", ["t", "ids"], ["h"]), node("MatMul", ["h", "w"], ["y"])],
                   [*PLAIN[1], tensor("w", TABLE.T)], outputs=[value("y", None)]),
        "a value for each of the 50 tokens",
    ),
    "looks up in two vocabularies": (
        looking_up([node("Gather", ["t", "ids"], ["h"]), node("Gather", ["u", "ids"], ["g"]),
                    node("Add", ["h", "g"], ["y"])], [*PLAIN[1], tensor("u", TABLE[:45])]),
        "50 and of 45 rows",
    ),
    "has a table made by something": (
        looking_up([node("Transpose", ["u"], ["t"]), *PLAIN[0]], [tensor("u", TABLE.T)]), "is made by Transpose",
    ),
    "looks nothing up": (
        looking_up([node("Shape", ["ids"], ["y"])], [], outputs=[value("y", None, INT)]), "Nothing looks",
    ),
    "has fewer rows": (looking_up(PLAIN[0], [tensor("t", TABLE[:40])]), "40 rows has none"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_a_model_that(name):
    made, words = REFUSED[name]
    with pytest.raises(VocabularyError, match=words):
        with_rows(made, KEPT, "ids")


def test_an_input_that_is_not_there_is_named():
    with pytest.raises(VocabularyError, match="no input 'tokens' for token ids; its inputs are ids"):
        with_rows(looking_up(*PLAIN), KEPT, "tokens")


def test_nothing_to_keep_is_refused():
    with pytest.raises(VocabularyError, match="No token is to be kept"):
        trim_vocabulary(looking_up(*PLAIN), {"model": {"type": "WordLevel", "vocab": {}}}, [], "ids")


TURNED = [node("Gather", ["t", "ids"], ["h"]), node("Transpose", ["t"], ["w"]), node("MatMul", ["h", "w"], ["y"])]
BIAS = np.random.default_rng(3).normal(size=50).astype(np.float32)
SCORED = {
    "tied": (TURNED, PLAIN[1]),
    "its own projection and a bias": (
        [node("Gather", ["t", "ids"], ["h"]), node("MatMul", ["h", "w"], ["m"]), node("Add", ["b", "m"], ["y"])],
        [*PLAIN[1], tensor("w", TABLE.T), tensor("b", BIAS)],
    ),
    "a Gemm": (
        [node("Gather", ["t", "ids"], ["h"]), node("Squeeze", ["h", "axis"], ["f"]),
         node("Gemm", ["f", "w", "b"], ["g"], transB=1), node("Identity", ["g"], ["y"])],
        [*PLAIN[1], tensor("w", TABLE), tensor("b", BIAS), tensor("axis", [0], np.int64)],
    ),
    "a projection stored in 8 bits": (
        [node("Gather", ["t", "ids"], ["h"]), node("Cast", ["q"], ["f"], to=1), node("Mul", ["f", "s"], ["w"]),
         node("MatMul", ["h", "w"], ["y"])],
        [*PLAIN[1], tensor("q", CODES.T, np.int8), tensor("s", SCALES.T)],
    ),
    "a table stored in 8 bits and tied": (
        [node("Cast", ["q"], ["f"], to=1), node("Mul", ["f", "s"], ["t"]), *TURNED],
        [tensor("q", CODES, np.int8), tensor("s", SCALES)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCORED)
def test_scores_of_the_tokens_that_stay_are_the_same_when_asked_for(name):
    nodes, weights = SCORED[name]
    made = looking_up(nodes, weights, outputs=[value("y", (None,) * (2 if name == "a Gemm" else 2 + 1))])
    trimmed = with_rows(made, KEPT, "ids", scores=True)
    (before,), (after,) = answers(made, {"ids": IDS}), answers(trimmed, {"ids": NEW})
    assert after.shape == (*before.shape[:-1], len(KEPT))
    assert alike(after, before[..., KEPT])


def test_a_declared_number_of_scores_becomes_the_new_one():
    made = looking_up(TURNED, PLAIN[1], outputs=[value("y", (1, "N", 50))])
    (shown,) = with_rows(made, KEPT, "ids", scores=True).graph.output
    assert shown.type.tensor_type.shape.dim[-1].dim_value == len(KEPT)


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ([node("Softmax", ["m"], ["y"])], "made by Softmax, which looks at all tokens together"),
        ([node("Identity", ["m"], ["y"]), node("ArgMax", ["m"], ["z"])], "not made for them alone"),
    ],
)
def test_scores_that_look_at_each_other_are_refused(last, words):
    made = looking_up([*TURNED[:2], node("MatMul", ["h", "w"], ["m"]), *last], PLAIN[1],
                      outputs=[value("y", (1, "N", 50))])  # fmt: skip
    with pytest.raises(VocabularyError, match=words):
        with_rows(made, KEPT, "ids", scores=True)


SENTENCES = [
    "A man is eating a piece of bread.", "The girl is carrying a baby across the street.",
    "Stocks fell sharply after the announcement, wiping out a week of gains.", "How do I reset my password?",
    "I cannot log in to my account since yesterday.", "An ape is playing the drums behind the curtain.",
]  # fmt: skip


def encoded(tokenizer, text):
    ids = np.array([tokenizer.encode(text).ids], np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


@pytest.mark.models
@pytest.mark.parametrize("stripped", [False, True])
def test_a_sentence_encoder_answers_the_same_and_loses_most_of_its_embedding(stripped):
    tokenizer = json.loads(models.fetch_file(minilm._TOKENIZER).read_text(encoding="utf-8"))
    tokenizer |= {"padding": None, "truncation": None}
    old = Tokenizer.from_str(json.dumps(tokenizer))
    made = onnx.load(models.fetch("minilm_int8"))
    made = strip(made).model if stripped else made
    keep = used_tokens((encoded(old, text) for text in SENTENCES), "input_ids")
    trimmed, smaller = trim_vocabulary(made, tokenizer, keep, "input_ids")
    new = Tokenizer.from_str(json.dumps(smaller))
    assert new.get_vocab_size() < 100
    assert trimmed.ByteSize() < made.ByteSize() - 11_500_000
    for text in (*SENTENCES, "The baby is eating bread behind the street."):
        before, after = encoded(old, text), encoded(new, text)
        assert new.encode(text).tokens == old.encode(text).tokens
        assert same_bits(answers(made, before), answers(trimmed, after))
