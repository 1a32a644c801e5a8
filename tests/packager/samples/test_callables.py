import sys
import textwrap

import numpy as np
import pytest

from coldpress.errors import SamplesError
from coldpress.samples.load import SamplesOptions, load_samples
from coldpress.signature import Port, Signature

SIGNATURE = Signature(
    (
        Port("x", "tensor(float)", "tensor", "FP32", "float32", ("N", 2)),
        Port("n", "tensor(int64)", "tensor", "INT64", "int64", ("N",)),
    ),
    (),
)


@pytest.fixture
def function(tmp_path, request, monkeypatch):
    """Write a module whose function has this body; return its source text for `load_samples`."""
    name = "user_" + "".join(c if c.isalnum() else "_" for c in request.node.name)
    monkeypatch.chdir(tmp_path)

    def write(body, head="import numpy as np"):
        text = f"{head}\n\ndef requests():\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
        (tmp_path / f"{name}.py").write_text(text)
        return f"{name}:requests"

    return write


def test_what_a_function_yields_becomes_requests(function):
    source = function("""
        for i in range(3):
            yield {"x": np.full((1, 2), i), "n": [i], "label": i, "sequence": i // 2}
    """)
    path = list(sys.path)
    got = load_samples(source, SIGNATURE)
    assert [r["x"].tolist() for r in got.requests] == [[[i, i]] for i in range(3)]
    assert got.requests[0]["x"].dtype == np.float32
    assert got.requests[0]["n"].dtype == np.int64
    assert got.labels.tolist() == [0, 1, 2]
    assert got.sequence == (0, 0, 1)
    assert got.origin == source
    assert sys.path == path


def test_the_batch_dimension_may_be_left_out_and_a_list_returned(function):
    got = load_samples(function("return [{'x': np.zeros(2), 'n': 1}, {'x': [1, 2], 'n': np.int64(2)}]"), SIGNATURE)
    assert [(r["x"].shape, r["n"].shape) for r in got.requests] == [((1, 2), (1,))] * 2


def test_the_module_may_lie_in_another_folder(function, tmp_path, monkeypatch):
    source = function("yield {'x': np.zeros(2), 'n': 1}")
    monkeypatch.chdir("/")
    assert len(load_samples(f"{tmp_path}/{source}", SIGNATURE).requests) == 1
    assert len(load_samples(tmp_path / source, SIGNATURE).requests) == 1


def test_two_folders_may_have_a_module_of_one_name(tmp_path):
    for number, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "user_rows.py").write_text(f"def rows():\n    yield {{'x': [{number}, 0], 'n': 1}}\n")
    got = [load_samples(f"{tmp_path / folder}/user_rows:rows", SIGNATURE) for folder in ("one", "two", "one")]
    assert [samples.requests[0]["x"][0, 0] for samples in got] == [0, 1, 0]


def test_constants_need_not_be_yielded(function):
    got = load_samples(function("yield {'x': np.zeros((4, 2))}"), SIGNATURE, SamplesOptions(constants={"n": 7}))
    assert got.requests[0]["n"].tolist() == [7, 7, 7, 7]


def test_most_ends_a_function_that_does_not(function):
    source = function("while True: yield {'x': np.zeros(2), 'n': 1}")
    assert len(load_samples(source, SIGNATURE, SamplesOptions(most=5)).requests) == 5


def test_a_function_without_end_is_stopped_by_count_and_by_bytes(function, monkeypatch):
    source = function("while True: yield {'x': np.zeros((1000, 2)), 'n': np.zeros(1000, int)}")
    monkeypatch.setattr("coldpress.samples.callables.MAX_COUNT", 10)
    with pytest.raises(SamplesError, match="over 10 samples and goes on"):
        load_samples(source, SIGNATURE)
    monkeypatch.setattr("coldpress.samples.files.MAX_BYTES", 50_000)
    with pytest.raises(SamplesError, match="sample 4: the samples so far are over 50,000 bytes"):
        load_samples(source, SIGNATURE)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("1 / 0", ["raised ZeroDivisionError", "line 4", "mend"]),
        ("yield {'x': np.zeros(2), 'n': 1}; {}['gone']", ["at sample 2, raised KeyError: 'gone'", "line 4"]),
        ("raise SystemExit(3)", ["raised SystemExit"]),
        ("return 5", ["gave a int", "yield one dict"]),
        ("return {'x': 1}", ["gave a dict"]),
        ("return None", ["gave a NoneType"]),
        ("yield [1, 2]", ["sample 1 is a list"]),
        ("yield {1: 2}", ["sample 1 is a dict", "input name"]),
        ("yield {'x': np.zeros(3), 'n': 1}", ["sample 1", "'x'", "[1, 3]", "FP32 [N, 2]"]),
        ("yield {'x': np.zeros(2)}", ["sample 1", "'n' is missing"]),
        ("yield {'x': np.zeros(2), 'n': 1.5}", ["'n' came as float64", "INT64"]),
        ("yield {'x': object(), 'n': 1}", ["'x'", "expected FP32"]),
        ("yield from [{'x': [1, 2], 'n': 1, 'label': l} for l in (1, [2, 3])]", ["'label'", "different shapes"]),
        ("return []", ["holds no samples"]),
    ],
)
def test_whatever_goes_wrong_in_it_is_one_sentence(function, body, words):
    with pytest.raises(SamplesError) as caught:
        load_samples(function(body), SIGNATURE)
    assert [word for word in words if word not in str(caught.value)] == []
    assert "\n" not in str(caught.value)


def test_modules_and_functions_that_are_not_there_are_named(function):
    source = function("yield {}", head="import no_such_package")
    with pytest.raises(SamplesError, match="raised ModuleNotFoundError: No module named 'no_such_package'"):
        load_samples(source, SIGNATURE)
    with pytest.raises(SamplesError, match="no module nowhere_at_all"):
        load_samples("nowhere_at_all:requests", SIGNATURE)
    name = function("yield {}").partition(":")[0]
    with pytest.raises(SamplesError, match="has no other"):
        load_samples(f"{name}:other", SIGNATURE)
    with pytest.raises(SamplesError, match="holds a module as np"):
        load_samples(f"{name}:np", SIGNATURE)


def test_a_function_that_takes_arguments_is_refused(tmp_path, monkeypatch):
    (tmp_path / "user_with_arguments.py").write_text("def requests(count): yield {}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SamplesError, match="missing 1 required positional argument"):
        load_samples("user_with_arguments:requests", SIGNATURE)


def test_a_module_that_does_not_parse_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "user_broken_text.py").write_text("def requests(:\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SamplesError, match=r"importing user_broken_text .* raised SyntaxError"):
        load_samples("user_broken_text:requests", SIGNATURE)


def test_what_a_function_prints_is_no_result(function, capsys):
    load_samples(
        function("print('reading')\nyield {'x': np.zeros(2), 'n': 1}", "import numpy as np; print('loaded')"), SIGNATURE
    )
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.split() == ["loaded", "reading"]
