"""``fallback`` of the manifest: what is read, and what is refused with which words."""

import pytest

from coldpress_runtime.errors import ManifestError
from coldpress_runtime.fallback.settings import Fallback, read_rule
from coldpress_runtime.manifest import Manifest
from tests.support.endpoint import fallback
from tests.support.tiny import manifest

_NOWHERE = {"engine": None, "model": None, "warmup": None}


def test_what_is_read_is_what_is_written_again():
    document = manifest(
        fallback=fallback(
            "", "batch > 8", "confidence < 0.6", "shadow 2.5%", kind="vertex", auth="google", hedge_after_s=0.25,
            output="probabilities", waking="queue",
        )
    )  # fmt: skip
    read = Manifest.parse(document)
    assert read.to_dict() == document
    assert Manifest.parse(read.to_dict()) == read


def test_rules_have_their_bounds():
    when = ("batch > 8", "sequence > 512", "elements > 100000", "bytes > 1000000", "time > 0.8", "confidence < 0.6",
            "error", "canary 5%", "shadow 1%")  # fmt: skip
    assert Fallback.read(fallback("", *when), "fallback").rules == {
        "batch": 8, "sequence": 512, "elements": 100000, "bytes": 1000000, "time": 0.8, "confidence": 0.6, "error": 0,
        "canary": 0.05, "shadow": 0.01,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("batch > 0", 0),
        ("batch  >  3.0", 3),
        ("time > 1", 1),
        ("confidence < 1", 1),
        ("confidence < .5", 0.5),
        ("canary 100%", 1),
        ("shadow 0.5%", 0.005),
        ("error", 0),
    ],
)
def test_a_rule_at_the_edge_of_what_it_may_be(rule, expected):
    assert read_rule(rule, "when") == (rule.split()[0], expected)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("", "one of does-not-fit, batch > N"),
        ("luck > 3", "one of does-not-fit"),
        (7, "one of does-not-fit"),
        (None, "one of does-not-fit"),
        (["error"], "one of does-not-fit"),
        ("batch", "batch > N with a whole number"),
        ("batch < 8", "batch > N with a whole number"),
        ("batch > -1", "batch > N with a whole number"),
        ("batch > 1.5", "batch > N with a whole number"),
        ("batch > 1e3", "batch > N with a whole number"),
        ("batch > inf", "batch > N with a whole number"),
        ("batch > ٣", "batch > N with a whole number"),
        ("batch > 8 rows", "batch > N with a whole number"),
        ("batch>8", "one of does-not-fit"),
        ("bytes > 99999999999999999999", "bytes > N with a whole number"),
        ("time > 0", "time > N with a number above 0, at most 1"),
        ("time > 1.01", "time > N with a number above 0, at most 1"),
        ("time > 80%", "time > N with a number above 0, at most 1"),
        ("confidence < 0", "confidence < N with a number above 0, at most 1"),
        ("confidence < 1.5", "confidence < N with a number above 0, at most 1"),
        ("confidence < nan", "confidence < N with a number above 0, at most 1"),
        ("confidence > 0.5", "confidence < N with a number above 0, at most 1"),
        ("confidence", "confidence < N"),
        ("canary 0%", "canary P% with a percentage"),
        ("canary 101%", "canary P% with a percentage"),
        ("canary 5", "canary P% with a percentage"),
        ("canary 5 %", "canary P% with a percentage"),
        ("canary > 5%", "canary P% with a percentage"),
        ("shadow -1%", "shadow P% with a percentage"),
        ("error > 3", "error alone"),
        ("does-not-fit really", "does-not-fit alone"),
    ],
)
def test_a_rule_that_cannot_be_right_is_named(rule, expected):
    with pytest.raises(ManifestError) as caught:
        Manifest.parse(manifest(fallback=fallback("") | {"when": [rule]}))
    assert "fallback.when[0]: expected " + expected in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "where", "expected"),
    [
        ({"when": []}, "fallback.when", "at least one rule"),
        ({"when": ["batch > 8", "batch > 9"]}, "fallback.when", "each kind of rule once"),
        ({"when": "error"}, "fallback.when", "a list"),
        ({"deadline_s": 0}, "fallback.deadline_s", "above 0"),
        ({"deadline_s": True}, "fallback.deadline_s", "seconds"),
        ({"deadline_s": float("nan")}, "fallback.deadline_s", "seconds"),
        ({"deadline_s": 86401}, "fallback.deadline_s", "at most 86400"),
        ({"connect_s": 21}, "fallback.connect_s", "at most deadline_s, which is 20"),
        ({"retries": 11}, "fallback.retries", "from 0 to 10"),
        ({"hedge_after_s": 0}, "fallback.hedge_after_s", "above 0"),
        ({"concurrency": 0}, "fallback.concurrency", "from 1"),
        ({"answer_bytes": 0}, "fallback.answer_bytes", "from 1"),
        ({"breaker": {"failures": 0, "window_s": 1, "open_s": 1}}, "fallback.breaker.failures", "from 1"),
        ({"breaker": {"failures": 1, "window_s": -1, "open_s": 1}}, "fallback.breaker.window_s", "above 0"),
        ({"breaker": None}, "fallback.breaker", "an object"),
        ({"waking": "sleep"}, "fallback.waking", "one of small, queue, refuse"),
        ({"waking": ["small"]}, "fallback.waking", "one of small, queue, refuse"),
        ({"kind": "lambda"}, "fallback.endpoint.kind", "one of http, sagemaker"),
        ({"auth": "basic"}, "fallback.endpoint.auth", "one of none, bearer"),
        ({"kind": "sagemaker", "auth": "google"}, "fallback.endpoint.auth", "aws for an endpoint of kind sagemaker"),
        ({"kind": "vertex", "auth": "bearer"}, "fallback.endpoint.auth", "google for an endpoint of kind vertex"),
        ({"url": "ftp://x"}, "fallback.endpoint.url", "begins with https://"),
        ({"url": "endpoint.example"}, "fallback.endpoint.url", "begins with https://"),
        ({"url": "https://"}, "fallback.endpoint.url", "begins with https://"),
        ({"url": "https://me:word@x"}, "fallback.endpoint.url", "without user"),
        ({"url": "https://x/?token=1"}, "fallback.endpoint.url", "without user, query"),
        ({"url": "https://x/a\nb"}, "fallback.endpoint.url", "begins with https://"),
        ({"url": "https://ex ample"}, "fallback.endpoint.url", "begins with https://"),
        ({"allow_private": 1}, "fallback.endpoint.allow_private", "true or false"),
        ({"inputs": []}, "fallback.inputs", "each of the model's inputs once"),
        ({"outputs": []}, "fallback.outputs", "each of the model's outputs once"),
        ({"inputs": [{"name": "x", "datatype": "float", "shape": []}]}, "fallback.inputs[0].datatype", "one of"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1]}]}, "fallback.inputs[0].shape[0]", "a size"),
        ({"inputs": [{"name": "x", "datatype": "FP32"}]}, "fallback.inputs[0]", "'shape' is missing"),
        ({"output": "label"}, "fallback.output", "an output of numbers by row and class: probabilities"),
        ({"output": "else"}, "fallback.output", "an output of numbers by row and class"),
        ({"output": ""}, "fallback.output", "not empty"),
        (
            {"when": ["confidence < 0.5"], "outputs": [{"name": "y", "datatype": "FP32", "shape": ["n"]}]},
            "fallback.output",
            "which output holds the probabilities: none",
        ),
        (
            {"when": ["shadow 5%"], "kind": "sagemaker-async", "waking": "queue"},
            "fallback.when",
            "no shadow of an endpoint that answers later",
        ),
        ({"colour": "red"}, "fallback", "'colour' is unknown"),
    ],
)
def test_what_cannot_be_right_is_named(changes, where, expected):
    with pytest.raises(ManifestError) as caught:
        Manifest.parse(manifest(fallback=fallback(**changes)))
    assert f"{where}: " in str(caught.value)
    assert expected in str(caught.value)
    assert "pack the function again" in str(caught.value)


def test_a_name_and_a_password_in_a_url_are_not_shown_whole():
    with pytest.raises(ManifestError) as caught:
        Manifest.parse(manifest(fallback=fallback("https://me:hidden@endpoint.example")))
    assert "hidden" not in str(caught.value)


def test_the_model_is_absent_exactly_where_it_does_not_fit():
    gone = manifest(fallback=fallback("", "does-not-fit"), **_NOWHERE)
    assert Manifest.parse(gone).to_dict() == gone
    with pytest.raises(ManifestError, match="engine: expected null"):
        Manifest.parse(manifest(fallback=fallback("", "does-not-fit")))
    for name in ("engine", "model", "warmup"):
        with pytest.raises(ManifestError, match=f"{name}: expected an object"):
            Manifest.parse(manifest(**{name: None}))
        with pytest.raises(ManifestError, match=f"{name}: expected an object"):
            Manifest.parse(manifest(fallback=fallback(""), **{name: None}))


@pytest.mark.parametrize("name", ["portable", "batch"])
def test_nothing_that_needs_the_model_is_there_without_it(name):
    found = {"portable": manifest()["model"]}.get(name, {
        "input": "a/", "output": "b/", "format": "csv", "columns": [], "outputs": [], "max_rejects": 0,
    })  # fmt: skip
    with pytest.raises(ManifestError, match=f"{name}: expected null"):
        Manifest.parse(manifest(fallback=fallback("", "does-not-fit"), **_NOWHERE, **{name: found}))
