"""The float32 MiniLM is the model that its int8 twin was made of, and our tokenizer is its own."""

import numpy as np
import pytest

from benchmarks.shrink import data
from coldpress.reference import Reference
from tests.support import minilm, models

pytestmark = pytest.mark.models


def test_the_float32_model_answers_like_the_int8_one_and_knows_what_sentences_mean():
    sentences = ["The cat eats fish.", "A cat is eating a fish", "Stocks fell sharply.", "I forgot my password!"]
    feeds = minilm.encode(sentences)
    hidden = (Reference(path).run(feeds)["last_hidden_state"] for path in (minilm.model(), models.fetch("minilm_int8")))
    full, small = (minilm.pooled(one, feeds["attention_mask"]) for one in hidden)
    assert (full * small).sum(1).min() > 0.999
    alike = full @ full.T
    assert alike[0, 1] > 0.9
    assert alike[0, 2] < 0.2
    assert minilm.model().stat().st_size > 90_000_000


def test_words_are_cut_as_the_models_own_tokenizer_cuts_them():
    tokenizers = pytest.importorskip("tokenizers")
    theirs = tokenizers.Tokenizer.from_file(str(models.fetch_file(minilm._TOKENIZER)))
    theirs.no_padding()
    theirs.enable_truncation(128)
    odd = ["naïve Café — “quotes” 5€", "foo_bar @home #1 ~`^|", "tabs\tand\nlines", "word" * 60, "x " * 300]
    for text in (*data.sentences(300), *odd):
        assert minilm.tokenize(text) == theirs.encode(text).ids


def test_a_padded_batch_gives_the_same_vectors_as_one_by_one():
    sentences = data.sentences(4)
    model = Reference(minilm.model())

    def vectors(feeds):
        return minilm.pooled(model.run(feeds)["last_hidden_state"], feeds["attention_mask"])

    together = vectors(minilm.encode(sentences))
    alone = np.concatenate([vectors(minilm.encode([text])) for text in sentences])
    np.testing.assert_allclose(together, alone, atol=1e-5)
