"""Tokenizers with fewer tokens cut every text whose tokens all stayed as before: the library itself is asked."""

import copy
import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from coldpress.errors import VocabularyError
from coldpress.vocabulary.tokenizer import kept_tokens, renumbered

TEXT = (
    "the low lower lowest new newer newest wide wider widest walk walks walked walking talk talks talked talking under "
    "understand understanding stand standing over overt overtly cover covered recover discovered un happy unhappy "
    "happier happiness kind kindness unkind café naïve 北京 東京 12 123 1234 20-20 a b c"
)
WORDS = TEXT.split()
CHOICES = random.Random(0)
CORPUS = [" ".join(CHOICES.choices(WORDS, k=12)) for _ in range(300)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def _trained(kind):
    if kind == "WordPiece":
        made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        trainer = trainers.WordPieceTrainer(vocab_size=220, special_tokens=SPECIAL)
    elif kind == "Unigram":
        made = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=SPECIAL, unk_token="[UNK]")
    elif kind == "WordLevel":
        made = Tokenizer(models.WordLevel(unk_token="[UNK]"))
        trainer = trainers.WordLevelTrainer(vocab_size=200, special_tokens=SPECIAL)
    else:
        prefix = {"continuing_subword_prefix": "##"} if "prefix" in kind else {}
        made = Tokenizer(models.BPE(unk_token=None if "byte" in kind else "[UNK]", **prefix))
        alphabet = pre_tokenizers.ByteLevel.alphabet() if "byte" in kind else []
        trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=SPECIAL, initial_alphabet=alphabet, **prefix)
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = (
        pre_tokenizers.ByteLevel(add_prefix_space=False) if "byte" in kind else pre_tokenizers.Whitespace()
    )
    made.train_from_iterator(CORPUS, trainer)
    pair = [(name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=pair)
    made.enable_padding(pad_id=made.token_to_id("[PAD]"), pad_token="[PAD]")
    if "byte" in kind:
        made.decoder = decoders.ByteLevel()
    return json.loads(made.to_str())


KINDS = {kind: _trained(kind) for kind in ("WordLevel", "WordPiece", "Unigram", "BPE", "BPE byte", "BPE prefix")}


def trim(tokenizer, keep):
    kept = kept_tokens(tokenizer, keep)
    return kept, Tokenizer.from_str(json.dumps(renumbered(tokenizer, kept)))


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_texts_of_kept_tokens_are_cut_as_before(kind, data):
    old = Tokenizer.from_str(json.dumps(KINDS[kind]))
    used = data.draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12))
    keep = set(old.encode(" ".join(used)).ids)
    kept, new = trim(KINDS[kind], keep)
    asked = data.draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8))
    unknown = old.token_to_id("[UNK]")
    for text in (" ".join(used), " ".join(asked), "".join(asked)):
        before = old.encode(text)
        if not set(before.ids) <= set(kept) or (kind == "WordPiece" and unknown in before.ids):
            continue
        after = new.encode(text)
        assert after.tokens == before.tokens
        assert [kept[number] for number in after.ids] == before.ids


@pytest.mark.parametrize("kind", KINDS)
def test_it_becomes_smaller_and_keeps_what_it_cannot_do_without(kind):
    old = Tokenizer.from_str(json.dumps(KINDS[kind]))
    kept, new = trim(KINDS[kind], old.encode("the lowest walk").ids)
    assert new.get_vocab_size() == len(kept) < old.get_vocab_size()
    for name in SPECIAL:
        assert kept[new.token_to_id(name)] == old.token_to_id(name)
    assert new.padding["pad_id"] == new.token_to_id("[PAD]")
    assert new.encode("the").tokens[0] == "[CLS]"


@pytest.mark.parametrize("kind", ["BPE byte"])
def test_any_text_can_still_be_cut_into_bytes(kind):
    _, new = trim(KINDS[kind], [4])
    assert new.decode(new.encode("Ω unheard-of 字 \x00").ids) == "Ω unheard-of 字 \x00"


def test_what_merges_pass_through_stays():
    tokenizer = {
        "model": {
            "type": "BPE", "vocab": {"l": 0, "o": 1, "w": 2, "lo": 3, "low": 4, "ow": 5}, "unk_token": None,
            "merges": ["l o", "lo w", "o w"],
        }
    }  # fmt: skip
    assert kept_tokens(tokenizer, {4}) == [0, 1, 2, 3, 4]
    made = renumbered(tokenizer, [0, 1, 2, 3, 4])
    assert made["model"]["merges"] == ["l o", "lo w"]


def test_the_lowest_score_of_unigram_stays():
    vocab = [["<unk>", 0.0], ["a", -1.0], ["b", -2.0], ["c", -9.0]]
    tokenizer = {"model": {"type": "Unigram", "vocab": vocab, "unk_id": 0}}
    assert kept_tokens(tokenizer, {1}) == [0, 1, 3]
    assert renumbered(tokenizer, [0, 1, 3])["model"]["vocab"] == [vocab[0], vocab[1], vocab[3]]


def test_tokens_for_single_bytes_stay():
    vocab = {"<unk>": 0, "<0x41>": 1, "<0xF>": 2, "a": 3, "b": 4}
    tokenizer = {"model": {"type": "BPE", "vocab": vocab, "merges": [], "unk_token": "<unk>"}}
    assert kept_tokens(tokenizer, {3}) == [0, 1, 3]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.update(model={"type": "Surprise", "vocab": {}}), "of the kind 'Surprise'"),
        (lambda t: t.pop("model"), "no tokenizer.json"),
        (lambda t: t.update(post_processor={"type": "Odd"}), "post-processor 'Odd'"),
        (lambda t: t["model"].update(dropout=0.1), "dropout"),
        (lambda t: t["model"].update(end_of_word_suffix="</w>"), "suffix"),
    ],
)
def test_what_cannot_be_followed_is_refused(change, words):
    tokenizer = copy.deepcopy(KINDS["BPE"])
    change(tokenizer)
    with pytest.raises(VocabularyError, match=words):
        kept_tokens(tokenizer, {4})


def test_an_id_that_is_no_token_is_refused():
    with pytest.raises(VocabularyError, match=r"100000 is to be kept and is no token"):
        kept_tokens(KINDS["WordPiece"], {4, 100_000})


@pytest.mark.parametrize("processing", ["bert", "roberta", "sequence"])
def test_processors_name_the_new_ids(processing):
    tokenizer = copy.deepcopy(KINDS["WordPiece"])
    vocab = tokenizer["model"]["vocab"]
    ends = {"sep": ["[SEP]", vocab["[SEP]"]], "cls": ["[CLS]", vocab["[CLS]"]]}
    one = {"type": "BertProcessing", **ends}
    if processing == "roberta":
        one = {"type": "RobertaProcessing", **ends, "trim_offsets": True, "add_prefix_space": False}
    if processing == "sequence":
        one = {"type": "Sequence", "processors": [one]}
    tokenizer["post_processor"] = one
    # The specials come last here, so that their numbers change.
    order = sorted(vocab, key=lambda token: (token in SPECIAL, vocab[token]))
    numbers = {vocab[token]: number for number, token in enumerate(order)}
    text = json.dumps(tokenizer)
    tokenizer = json.loads(text)
    tokenizer["model"]["vocab"] = {token: numbers[old] for token, old in vocab.items()}
    for token in tokenizer["added_tokens"]:
        token["id"] = numbers[token["id"]]
    tokenizer["padding"]["pad_id"] = tokenizer["model"]["vocab"]["[PAD]"]
    inner = one["processors"][0] if processing == "sequence" else one
    target = tokenizer["post_processor"]["processors"][0] if processing == "sequence" else tokenizer["post_processor"]
    for name in ("sep", "cls"):
        target[name] = [inner[name][0], tokenizer["model"]["vocab"][inner[name][0]]]
    old = Tokenizer.from_str(json.dumps(tokenizer))
    _, new = trim(tokenizer, old.encode("the low").ids)
    assert new.encode("the low").tokens == old.encode("the low").tokens
    assert new.encode("the low").ids[0] == new.token_to_id("[CLS]") != old.token_to_id("[CLS]")
