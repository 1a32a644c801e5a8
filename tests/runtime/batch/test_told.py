"""A signature that has gone to another process as JSON is the same there."""

import json

import pytest

from coldpress_runtime.batch.features import Signature
from coldpress_runtime.batch.told import signature_of, tell_signature
from coldpress_runtime.errors import HookError
from tests.support.tiny import MODELS, open_service

PREPROCESS = "def preprocess(request):\n    return {}\n"
POSTPROCESS = "def postprocess(outputs):\n    return {}\n"


def told(signature):
    return signature_of(json.loads(json.dumps(tell_signature(signature))))


@pytest.mark.parametrize("model", MODELS)
def test_every_kind_of_input_is_told(tmp_path, model):
    signature = Signature.of(open_service(tmp_path / "bundle", model))
    there = told(signature)
    assert repr(there.inputs) == repr(signature.inputs)
    for name, info in signature.inputs.items():
        assert there.inputs[name].dtype is info.dtype
        assert there.inputs[name].shape == info.shape
    assert there.only is (there.inputs[signature.only.name] if signature.only else None)


@pytest.mark.parametrize(("hooks", "preprocess"), [(None, False), (PREPROCESS, True), (POSTPROCESS, False)],
                         ids=["none", "preprocess", "postprocess"])  # fmt: skip
def test_whether_records_go_through_hooks_is_told_and_the_hooks_stay(tmp_path, hooks, preprocess):
    signature = Signature.of(open_service(tmp_path / "bundle", "fp32", hooks), () if preprocess else ("b", "a"))
    there = told(signature)
    assert there.preprocess is preprocess
    assert there.columns == signature.columns
    if preprocess:
        with pytest.raises(HookError, match="not in this one"):
            there.hooks.preprocess(None)
