from coldpress.report.document import read_document
from coldpress.report.groups import groups_of
from tests.support.reports import detector, minilm, small


def tensors(count, name, size=1000):
    return [{"name": name(n), "bytes": size + n, "dtype": "float32", "op": "MatMul"} for n in range(count)]


def test_layers_group_tensors_whose_names_have_parts():
    before, after = groups_of(read_document(minilm()))
    for side in (before, after):
        assert {"embeddings", "encoder.layer.0", "encoder.layer.5"} <= {group.name for group in side}


def test_operators_group_tensors_whose_names_say_nothing():
    before, _ = groups_of(read_document(detector()))
    assert {"Conv", "Add", "graph"} == {group.name for group in before}


def test_every_byte_of_the_model_is_somewhere():
    document = read_document(detector())
    before, after = groups_of(document)
    assert sum(group.bytes for group in before) == document.model_bytes
    assert sum(group.bytes for group in after) == document.chosen.bytes


def test_what_is_around_the_model_counts_on_both_sides():
    document = read_document(minilm())
    around = sum(file.bytes for file in document.files if file.kind != "model")
    before, after = groups_of(document)
    for side in (before, after):
        assert sum(group.bytes for group in side if not group.weights) == around


def test_two_thousand_tensors_are_capped_and_none_is_lost():
    many = tensors(2000, lambda n: f"stack.{n % 40}.block.{n}.weight")
    total = sum(tensor["bytes"] for tensor in many)
    model = {"name": "m", "bytes": total, "sha256": ""}
    before, _ = groups_of(read_document(small(model=model, tensors={"before": many, "after": []})))
    assert sum(group.bytes for group in before) == total
    assert sum(len(group.leaves) for group in before) <= 260
    assert len(before) <= 14
    assert "other weights" in {group.name for group in before}


def test_tensors_of_no_bytes_take_no_room():
    nothing = [{"name": "a.0.b", "bytes": 0, "dtype": "float32", "op": "Add"}]
    before, _ = groups_of(read_document(small(tensors={"before": nothing, "after": nothing})))
    assert all(leaf.bytes for group in before for leaf in group.leaves)
