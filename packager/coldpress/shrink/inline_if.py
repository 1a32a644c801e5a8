"""An If whose condition is known is the branch it takes."""

from onnx import GraphProto, NodeProto, TensorProto

from coldpress.shrink.constants import Constants
from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import Scope, is_standard, output_names, scopes

__all__ = ["inline_constant_ifs"]


def inline_constant_ifs(draft: Draft) -> int:
    """Replace each If with a constant condition by the nodes and weights of its branch; return how many.

    Names need no care: ``unique_names`` made them unlike any other.
    """
    constants = Constants(draft)
    count = 0
    for scope in scopes(draft.proto):
        if not isinstance(scope.body, GraphProto):
            continue
        nodes: list[NodeProto] = []
        found = 0
        for node in scope.body.node:
            branch = _branch(scope, node, constants)
            if branch is None:
                nodes.append(node)
            else:
                nodes.extend(_inlined(scope.body, node, branch))
                found += 1
        if found:
            copies = [_copy(node) for node in nodes]
            del scope.body.node[:]
            scope.body.node.extend(copies)
            count += found
            constants = Constants(draft)
    return count


def _branch(scope: Scope, node: NodeProto, constants: Constants) -> GraphProto | None:
    if not is_standard(node, "If"):
        return None
    condition = constants.tensor(scope, node.input[0])
    if condition is None or condition.data_type != TensorProto.BOOL or condition.data_location == TensorProto.EXTERNAL:
        return None
    values = constants.array(scope, node.input[0]).reshape(-1)
    if values.size != 1:
        return None
    wanted = "then_branch" if values[0] else "else_branch"
    return next((attribute.g for attribute in node.attribute if attribute.name == wanted), None)


def _inlined(graph: GraphProto, node: NodeProto, branch: GraphProto) -> list[NodeProto]:
    """Move the branch's weights and types to ``graph``; return its nodes, giving the outputs of the If."""
    graph.initializer.extend(branch.initializer)
    graph.sparse_initializer.extend(branch.sparse_initializer)
    graph.value_info.extend(branch.value_info)
    graph.quantization_annotation.extend(branch.quantization_annotation)
    nodes = [_copy(inner) for inner in branch.node]
    for inside, outside in zip(output_names(branch), node.output, strict=False):
        if outside:  # Identity, because one value may be two outputs, or a weight; drop_identities removes what it can
            nodes.append(NodeProto(op_type="Identity", input=[inside], output=[outside]))
    return nodes


def _copy(node: NodeProto) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    return copy
