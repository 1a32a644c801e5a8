import json

import numpy as np
import pytest
from onnx import TensorProto, helper

from coldpress_runtime.batch.chunks import RAW_BYTES, Chunk, Position, Reject, Sizes
from coldpress_runtime.batch.features import Signature
from coldpress_runtime.batch.formats import open_format
from coldpress_runtime.batch.options import Options
from coldpress_runtime.batch.scoring import Scorer, reject_line
from coldpress_runtime.errors import BatchError
from coldpress_runtime.http import Request
from tests.support import graphs
from tests.support.scoring import lines_of, score_bytes, score_lines
from tests.support.tiny import open_service


def _predictions(service, records, names):
    """What POST /predict answers for records one by one: outputs without the batch axis."""
    rows = []
    for number, record in enumerate(records):
        values = record if type(record) is dict else dict.fromkeys([service.session.inputs[0].name], record)
        body = json.dumps({"inputs": {name: [value] for name, value in values.items()}}).encode()
        response = service.answer(Request("POST", "/predict", {"content-type": "application/json"}, body))
        assert response.status == 200, response.body
        outputs = json.loads(response.body)["outputs"]
        rows.append({"row": number} | {names.get(name, name): value[0] for name, value in outputs.items()})
    return rows


def _alike(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-6 * abs(other)
    return type(one) is type(other) and one == other


RECORDS = {
    "mlp": [[float(place % (row + 2)) for place in range(64)] for row in range(5)],
    "two_inputs": [{"in/left:0": [row, 0.1], "right": [0.25, row]} for row in range(3)],
    "every_type": [
        {"f": 0.1, "i": -5, "s": "naïve", "h": 0.1, "b": True},
        {"f": 1, "i": 2, "s": "", "h": 2, "b": False},
    ],
    "zipmap": [[0.1, 0.9], [0.25, 0.75]],
    "divide": [1.0, 0.0, -1.0],
    "lookup": [0, 2, 1],
    "bytes": [["a", "b"], ["\u2028", '"\\\n']],
    "bf16": [[1.5, 0.1], [2, 3]],
    "fp64": [[0.1, 1e300], [2, 3]],
    "uint8": [[0, 255], [1, 2]],
    "bool": [[True, False], [False, False]],
}


@pytest.mark.parametrize("model", RECORDS)
def test_rows_are_what_single_requests_are_answered(tmp_path, model):
    service = open_service(tmp_path / "bundle", model)
    names = {"row": "output_row"}  # of one model
    rows, rejects = score_lines(service, *RECORDS[model])
    assert not rejects
    assert _alike(rows, _predictions(service, RECORDS[model], names))


def test_a_row_that_the_model_refuses_fails_alone(tmp_path):
    service = open_service(tmp_path / "bundle", "lookup")
    numbers = [place % 3 for place in range(100)]
    numbers[17] = 3
    numbers[63] = -9
    rows, rejects = score_lines(service, *numbers)
    assert rejects.keys() == {17, 63}
    assert "idx=3" in rejects[17]
    assert "idx=-9" in rejects[63]
    assert all(row["output_row"][0] == 4.0 * numbers[row["row"]] for row in rows)


def test_rows_of_different_shapes_come_out_in_their_order(tmp_path):
    service = open_service(tmp_path / "bundle", "two_inputs")
    widths = [2, 3, 2, 1, 3]
    records = [{"in/left:0": [place] * width, "right": [1] * width} for place, width in enumerate(widths)]
    records.insert(3, {"in/left:0": [1, 2], "right": [1, 2, 3]})
    rows, rejects = score_lines(service, *records)
    assert [row["row"] for row in rows] == [0, 1, 2, 4, 5]
    assert [row["sum/of:both"] for row in rows] == [[1, 1], [2, 2, 2], [3, 3], [4], [5, 5, 5]]
    assert "model cannot run" in rejects[3]


def _without_rows():
    """One sum over all that it is given: nothing tells its answers of two records apart."""
    node = graphs.node("ReduceSum", ["x"], ["y"], keepdims=0)
    return graphs.model(
        [node], [graphs.value("x", ("n", 2))], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    )


def _one_at_a_time():
    node = graphs.node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)
    return graphs.model(
        [node], [graphs.value("x", (1, 2))], [graphs.value("y", (1,))], [graphs.tensor("axes", [1], np.int64)]
    )


def _more_rows_than_records():
    """Two rows of output for each of input, as detectors give boxes."""
    node = graphs.node("Concat", ["x", "x"], ["y"], axis=0)
    return graphs.model([node], [graphs.value("x", ("n", 2))], [graphs.value("y", ("boxes", 2))])


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (_without_rows, [3.0, 7.0]),
        (_one_at_a_time, [3.0, 7.0]),
        (_more_rows_than_records, [[[1, 2]] * 2, [[3, 4]] * 2]),
    ],
)
def test_models_that_take_one_record_at_a_time(tmp_path, make, expected):
    service = open_service(tmp_path / "bundle", make())
    rows, rejects = score_lines(service, [1, 2], [3, 4])
    assert not rejects
    assert [row["y"] for row in rows] == expected


def _scaled_by_all():
    """``x / max|x|`` over all that it is given, as dynamic quantisation chooses its scale."""
    nodes = [
        graphs.node("Abs", ["x"], ["a"]),
        graphs.node("ReduceMax", ["a"], ["m"], keepdims=0),
        graphs.node("Div", ["x", "m"], ["y"]),
    ]
    return graphs.model(nodes, [graphs.value("x", ("n", 2))], [graphs.value("y", ("n", 2))])


@pytest.mark.parametrize("outputs", [(), ("y",)])
def test_rows_that_would_change_each_others_answers_run_alone(tmp_path, outputs):
    service = open_service(tmp_path / "bundle", _scaled_by_all())
    rows, _ = score_lines(service, *([place, 1] for place in range(1, 50)), outputs=outputs)
    assert all(row["y"][0] == 1 for row in rows)
    rows, _ = score_lines(service, [1, 1], [2, 1], outputs=outputs)  # as another file of the same process
    assert [row["y"] for row in rows] == [[1, 1], [1, 0.5]]


def test_inputs_that_are_no_tensors_run_one_by_one(tmp_path):
    service = open_service(tmp_path / "bundle", "counts")
    rows, rejects = score_lines(service, {"a": 1.5}, {"counts": {"b": 2}}, {"a": "much"})
    assert [row["y"] for row in rows] == [[[1.5, 0]], [[0, 2]]]
    assert rejects.keys() == {2}


def test_sequences_in_and_out(tmp_path):
    service = open_service(tmp_path / "bundle", "sequences")
    rows, rejects = score_lines(service, {"parts": [[0.1], [2, 3]]}, {"parts": 7})
    assert rows == [{"row": 0, "joined": [0.1, 2, 3], "same": [[0.1], [2, 3]]}]
    assert "expected a list" in rejects[1]


_PREPROCESS = """
import sys
from coldpress_runtime.errors import RequestError

def preprocess(request):
    n = request.json()["n"]
    return {"x": [[n, n]]} if n else fail()

def fail():
"""


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ("raise RequestError('Too dark to see.')", "Too dark to see."),
        ("raise KeyError('secret')", "preprocess in hooks.py failed with KeyError; the log has the details."),
        ("return {'y': 1}", "preprocess returned ['y'], expected a dict with the inputs ['x']."),
        ("sys.exit(3)", "preprocess in hooks.py failed with SystemExit; the log has the details."),
    ],
    ids=["refused", "error", "wrong", "exit"],
)
def test_what_preprocess_refuses_is_a_reject(tmp_path, failure, reason):
    code = f"{_PREPROCESS}    {failure}\n"
    service = open_service(tmp_path / "bundle", "fp32", code)
    rows, rejects = score_lines(service, {"n": 1}, {"n": 0}, {"n": 3}, b"no JSON")
    assert rows == [{"row": 0, "y": [1, 1]}, {"row": 2, "y": [3, 3]}]
    assert rejects[1] == reason
    assert rejects[3].startswith("The record is not JSON")


def test_preprocess_may_make_several_rows_of_a_record(tmp_path):
    hooks = "def preprocess(request):\n    n = request.json()\n    return {'x': [[n, place] for place in range(n)]}\n"
    service = open_service(tmp_path / "bundle", "fp32", hooks)
    rows, _ = score_lines(service, 1, 3, 1)
    assert [row["y"] for row in rows] == [[1, 0], [[3, 0], [3, 1], [3, 2]], [1, 0]]


def test_postprocess_makes_the_row(tmp_path):
    hooks = (
        "def postprocess(outputs):\n    n = outputs['y'].tolist()[0][0]\n"
        "    return {'n': n} if n == 0 else {} if n == 1 else [n] if n == 2 else {'row': n} if n == 3 else 1 / 0\n"
    )
    service = open_service(tmp_path / "bundle", "fp32", hooks)
    rows, rejects = score_lines(service, *([n, 0] for n in range(5)))
    assert rows == [{"row": 0, "n": 0}, {"row": 1}, {"row": 2, "result": [2]}, {"row": 3, "result": {"row": 3}}]
    assert rejects == {4: "postprocess in hooks.py failed with ZeroDivisionError; the log has the details."}


def test_postprocess_has_to_answer_with_json(tmp_path):
    hooks = (
        "from coldpress_runtime.http import Response\n"
        "def postprocess(outputs):\n    return Response(200, {'Content-Type': 'image/png'}, b'PNG')\n"
    )
    service = open_service(tmp_path / "bundle", "fp32", hooks)
    assert score_lines(service, [1, 2])[1] == {
        0: 'postprocess answered with status 200 and content type "image/png"; rows take JSON alone.'
    }


def test_rows_of_postprocess_as_csv_are_one_column_of_json(tmp_path):
    hooks = "def postprocess(outputs):\n    return {'a': 1, 'b': 'x,y'}\n"
    service = open_service(tmp_path / "bundle", "fp32", hooks)
    (scored,) = score_bytes(service, "x.jsonl", b"[1,2]\n", output_format="csv")
    assert scored.output == b'row,result\n0,"{""a"":1,""b"":""x,y""}"\n'


def test_only_outputs_that_are_asked_for(tmp_path):
    service = open_service(tmp_path / "bundle", "mlp")
    rows, _ = score_lines(service, [0] * 64, outputs=("label",))
    assert rows == [{"row": 0, "label": 0}]
    with pytest.raises(BatchError, match="outputs has 'lable', but this model's outputs are 'label', 'probabilities'"):
        score_lines(service, [0] * 64, outputs=("lable",))


def test_csv_has_its_header_once(tmp_path):
    service = open_service(tmp_path / "bundle", "mlp")
    data = (json.dumps([0] * 64) + "\n").encode() * 3
    scored = score_bytes(service, "x.jsonl", data, Sizes(rows=2), output_format="csv")
    lines = b"".join(part.output for part in scored).decode().splitlines()
    assert lines[0] == "row,label," + ",".join(f"probabilities.{place}" for place in range(10))
    assert lines[1:] == [f"{row},0," + ",".join(["0.1"] * 10) for row in range(3)]


def test_many_chunks_score_as_one(tmp_path):
    service = open_service(tmp_path / "bundle", "zipmap")
    lines = [b"[0.5,%d]" % place if place % 5 else b"[0.5]" for place in range(50)]
    whole = b"\r\n".join([b"\xef\xbb\xbf" + lines[0], *lines[1:], b"", b"  "])
    (once,) = score_bytes(service, "x.jsonl", whole)
    parts = score_bytes(service, "x.jsonl", whole, Sizes(bytes=40, rows=3))
    assert once.output == b"".join(part.output for part in parts)
    assert once.rejects == b"".join(part.rejects for part in parts)
    assert [row["row"] for row in lines_of(once.rejects)] == list(range(0, 50, 5))
    assert parts[-1].end.row == 50


def test_large_rows_run_a_few_at_a_time(tmp_path):
    service = open_service(tmp_path / "bundle", "fp32")
    runs = []
    run = service.session.run
    service.session.run = lambda inputs, outputs: runs.append(inputs["x"].nbytes) or run(inputs, outputs)
    form = open_format("x.jsonl", b"", Signature.of(service), Options())
    data = b"[1,2]\n" * 10_000
    scored = Scorer(service, Options(), form).score(Chunk(0, 10_000, data, Position()))
    assert scored.scored == 10_000
    assert runs[:3] == [8, 8, 32]  # whether rows may run together
    assert max(runs) == 4096 * 8


@pytest.mark.parametrize(
    ("raw", "record"),
    [
        (b"plain", "plain"),
        (b"\xff\x00", {"b64": "/wA="}),
        ("é".encode() * RAW_BYTES, "é" * (RAW_BYTES // 2 - 1)),
        (b"a" + "é".encode() * RAW_BYTES, "a" + "é" * (RAW_BYTES // 2 - 1)),
        ("\U0001f600".encode() * RAW_BYTES, "\U0001f600" * (RAW_BYTES // 4 - 1)),
    ],
    ids=["text", "bytes", "cut", "cut-within", "cut-after-four"],
)
def test_a_reject_shows_its_record(raw, record):
    line = reject_line(Reject(7, "why", raw))
    assert json.loads(line) == {"row": 7, "reason": "why", "record": record}
    assert line.endswith(b"\n")
