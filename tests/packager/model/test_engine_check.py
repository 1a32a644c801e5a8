"""What ONNX Runtime will not open, in one sentence."""

import onnx
import pytest
from onnx import TensorProto, helper

from coldpress.errors import ModelError
from coldpress.model.engine_check import check_opens, foreign_locales


def _upper(**attributes):
    return _normalizer(case_change_action="UPPER", **attributes)


def _normalizer(**attributes):
    node = helper.make_node("StringNormalizer", ["x"], ["y"], **attributes)
    values = [helper.make_tensor_value_info(name, TensorProto.STRING, ["n"]) for name in "xy"]
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_locales_that_need_a_language_pack_are_named():
    assert foreign_locales(_upper()) == ("en_US.UTF-8",)
    assert foreign_locales(_upper(locale="de_DE.UTF-8")) == ("de_DE.UTF-8",)
    assert foreign_locales(_upper(locale="C.UTF-8")) == ()


@pytest.mark.parametrize("case", [None, "NONE", "UPPER", "LOWER"])
@pytest.mark.parametrize("exact", [None, 0, 1])
@pytest.mark.parametrize("stops", [None, ["a"]])
def test_a_locale_is_needed_where_onnx_runtime_opens_one(tmp_path, case, exact, stops):
    given = {"case_change_action": case, "is_case_sensitive": exact, "stopwords": stops, "locale": "xx_XX.UTF-8"}
    model = _normalizer(**{name: value for name, value in given.items() if value is not None})
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    if foreign_locales(model):
        with pytest.raises(ModelError, match="locale"):
            check_opens(model, path)
    else:
        check_opens(model, path)


def test_a_missing_locale_says_which_and_what_to_set(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(_upper(locale="xx_XX.UTF-8"), path)
    with pytest.raises(ModelError, match=r"m\.onnx changes the case of text by the locale xx_XX\.UTF-8.*C\.UTF-8"):
        check_opens(onnx.load(path), path)
    onnx.save(_upper(locale="C.UTF-8"), path)
    check_opens(onnx.load(path), path)
