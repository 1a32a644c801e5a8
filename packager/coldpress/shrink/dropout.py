"""Dropout that drops nothing, because the model is for inference."""

from onnx import NodeProto, TensorProto

from coldpress.shrink.bypass import bypass
from coldpress.shrink.constants import Constants
from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import Scope, is_standard, roots, use_counts

__all__ = ["drop_dropouts"]


def drop_dropouts(draft: Draft) -> int:
    """Remove Dropout in inference mode whose mask nobody reads; return how many.

    Opset 12 and later run in training mode only when the third input says so; 7 to 11 never do; 6 and earlier do
    unless the attribute ``is_test`` is set (the changelog of ONNX's operators).
    """
    constants = Constants(draft)
    uses = [use_counts(root.body) for root in roots(draft.proto)]

    def same(scope: Scope, node: NodeProto) -> str | None:
        if not is_standard(node, "Dropout"):
            return None
        if len(node.output) > 1 and uses[scope.root][node.output[1]]:
            return None
        return node.input[0] if _at_rest(scope, node, constants) else None

    return bypass(draft, same)


def _at_rest(scope: Scope, node: NodeProto, constants: Constants) -> bool:
    if scope.opset < 7:
        return any(attribute.name == "is_test" and attribute.i for attribute in node.attribute)
    if len(node.input) < 3 or not node.input[2]:
        return True
    training = constants.tensor(scope, node.input[2])
    if training is None or training.data_type != TensorProto.BOOL:
        return False
    return not constants.array(scope, node.input[2]).any()
