"""A model's bytes with long lists of attributes packed: what tree ensembles are made of takes a quarter less.

The onnx schema writes each number of an attribute's list with a tag of its own before it. Protocol buffers' readers
must take the packed form as well, one tag for all (protobuf.dev, "Packed Repeated Fields"), and those of ONNX Runtime
and onnx do; only their writers never write it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

__all__ = ["to_bytes"]

_LONG = 64
"""Shorter lists are settings; packing one saves less than a name takes."""
# Tags of fields as they stand before a length (field number * 8 + 2), from onnx.proto.
_MODEL_GRAPH, _GRAPH_NODE, _NODE_ATTRIBUTE = b"\x3a", b"\x0a", b"\x2a"
_ATTRIBUTE_FLOATS, _ATTRIBUTE_INTS = b"\x3a", b"\x42"


def to_bytes(model: "ModelProto") -> bytes:
    """Return what reads as ``model``: its plain serialisation, but for long lists in the main graph's attributes."""
    from onnx import ModelProto

    if not any(_is_long(attribute) for node in model.graph.node for attribute in node.attribute):
        return model.SerializeToString(deterministic=True)
    rest = ModelProto()
    rest.CopyFrom(model)
    rest.ClearField("graph")
    return rest.SerializeToString(deterministic=True) + _field(_MODEL_GRAPH, _graph(model.graph))


def _is_long(attribute: "AttributeProto") -> bool:
    return len(attribute.ints) >= _LONG or len(attribute.floats) >= _LONG


def _graph(graph: "GraphProto") -> bytes:
    from onnx import GraphProto

    rest = GraphProto()
    rest.CopyFrom(graph)
    rest.ClearField("node")
    nodes = (_field(_GRAPH_NODE, _node(node)) for node in graph.node)
    return b"".join(nodes) + rest.SerializeToString(deterministic=True)


def _node(node: "NodeProto") -> bytes:
    from onnx import NodeProto

    if not any(map(_is_long, node.attribute)):
        return node.SerializeToString(deterministic=True)
    rest = NodeProto()
    rest.CopyFrom(node)
    rest.ClearField("attribute")
    attributes = (_field(_NODE_ATTRIBUTE, _attribute(attribute)) for attribute in node.attribute)
    return rest.SerializeToString(deterministic=True) + b"".join(attributes)


def _attribute(attribute: "AttributeProto") -> bytes:
    """Serialise with lists packed: a TensorProto's are, so that its bytes after the tag are those wanted."""
    from onnx import AttributeProto, TensorProto

    rest = AttributeProto()
    rest.CopyFrom(attribute)
    rest.ClearField("ints")
    rest.ClearField("floats")
    data = rest.SerializeToString(deterministic=True)
    if attribute.ints:
        data += _ATTRIBUTE_INTS + TensorProto(int64_data=attribute.ints).SerializeToString(deterministic=True)[1:]
    if attribute.floats:
        data += _ATTRIBUTE_FLOATS + TensorProto(float_data=attribute.floats).SerializeToString(deterministic=True)[1:]
    return data


def _field(tag: bytes, content: bytes) -> bytes:
    length, rest = bytearray(), len(content)
    while rest > 0x7F:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    length.append(rest)
    return tag + bytes(length) + content
