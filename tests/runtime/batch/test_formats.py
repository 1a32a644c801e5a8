import contextlib
import tarfile
import zipfile
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldpress_runtime.batch.chunks import Position, Sizes
from coldpress_runtime.batch.features import Signature
from coldpress_runtime.batch.formats import kind_of, open_format
from coldpress_runtime.batch.options import Options
from coldpress_runtime.batch.scoring import Scorer
from coldpress_runtime.errors import BatchError, InputError
from tests.support.tiny import open_service


@pytest.mark.parametrize(
    ("name", "start", "kind"),
    [
        ("a.jsonl", b"", "jsonl"),
        ("a/b.NDJSON.gz", b"", "jsonl"),
        ("a.json", b"", "jsonl"),
        ("a.csv.zst", b"", "csv"),
        ("a.tsv", b"", "csv"),
        ("a.parquet", b"", "parquet"),
        ("a.npz", b"", "npy"),
        ("a.tar.gz", b"", "files"),
        ("a.tgz", b"", "files"),
        ("cat.JPEG", b"", "files"),
        ("part-0000", b'{"x":1}', "jsonl"),
        ("part-0000.gz", b"\xef\xbb\xbf \n[1,2]", "jsonl"),
        ("part-0000", b"1,2\n", "csv"),
        ("part-0000", b"", "csv"),
        ("part-0000", b"PAR1\x15\x04", "parquet"),
        ("part-0000", b"\x93NUMPY\x01\x00", "npy"),
        ("part-0000", b"PK\x03\x04\x14\x00", "files"),
        ("part-0000", b"\xff\xd8\xff\xe0", "files"),
        ("part-0000", b"RIFF\x00\x00\x00\x00WAVE", "files"),
        ("part-0000", bytes(257) + b"ustar\x0000", "files"),
    ],
)
def test_kinds_by_name_or_by_start(name, start, kind):
    assert kind_of(name, start) == kind


def test_what_is_of_no_kind():
    with pytest.raises(InputError, match=r'"model\.onnx" is of no kind that is scored; expected JSON Lines, CSV'):
        kind_of("a/model.onnx", b"\x08\x08\x12\x00")


def test_the_option_counts_more_than_the_name(tmp_path):
    service = open_service(tmp_path / "bundle", "fp32")
    form = open_format("a.csv", b"", Signature.of(service), Options(input_format="jsonl"))
    assert type(form).__name__ == "JsonLinesFormat"
    with pytest.raises(InputError, match="The format 'xlsx' is unknown, expected one of jsonl, csv"):
        open_format("a.csv", b"", Signature.of(service), Options(input_format="xlsx"))


def _file(write):
    file = BytesIO()
    write(file)
    return file.getvalue()


def _write_tar(file):
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in "abc":
            member = tarfile.TarInfo(name)
            member.size = 2
            archive.addfile(member, BytesIO(name.encode() * 2))


def _write_zip(file):
    with zipfile.ZipFile(file, "w") as archive:
        for name in "abc":
            archive.writestr(name, name * 2)


_FILES = {
    "a.csv": b"p,q\n1,2\n\n3,x\n5,6",
    "a.jsonl": b"[1,2]\n\n[3]\r\n[5,6]",
    "a.npy": _file(lambda file: np.save(file, np.array([[1, 2], [3, 1e300], [5, 6]]))),
    "a.npz": _file(lambda file: np.savez(file, np.array([[1, 2], [3, 1e300], [5, 6]]))),
    "a.parquet": _file(lambda file: pq.write_table(pa.table({"p": [1, 3, 5], "q": [2, None, 6]}), file)),
    "a.tar": _file(_write_tar),
    "a.zip": _file(_write_zip),
    "a.png": b"12",
}
_HOOKS = "def preprocess(request):\n    return {'x': [[ord(request.body[:1]), 1 / (request.body != b'bb')]]}\n"


@pytest.mark.parametrize("name", _FILES)
def test_the_records_of_a_chunk_one_by_one_are_what_they_are_together(tmp_path, name):
    """Of a chunk that ended a process, each record is tried by itself."""
    binary = name.endswith(("tar", "zip", "png"))
    service = open_service(tmp_path / "bundle", "fp32", _HOOKS if binary else None)
    form = open_format(name, _FILES[name], Signature.of(service), Options())
    (chunk,) = form.chunks(BytesIO(_FILES[name]), Position(), Sizes())
    together = form.rows(chunk)
    singles = list(form.singles(chunk))
    assert [(one.first, one.records, one.end) for one in singles] == [
        (row, 1, chunk.end) for row in range(chunk.records)
    ]
    parts = [form.rows(one) for one in singles]
    assert [number for part in parts for number in part.numbers] == together.numbers.tolist()
    assert [reject for part in parts for reject in part.rejects] == together.rejects
    assert len(together.rejects) == (chunk.records == 3)
    found = np.concatenate([part.columns["x"] for part in parts if len(part.numbers)])
    assert np.array_equal(found, together.columns["x"])
    for one in singles:
        assert form.record(one, one.first) == form.record(chunk, one.first)


@st.composite
def _damaged(draw):
    """A small file of some kind, with a few bytes changed, added or cut."""
    name = draw(st.sampled_from(sorted(_FILES)))
    data = bytearray(_FILES[name])
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)))
        cut = draw(st.integers(0, 20))
        data[place : place + cut] = draw(
            st.binary(max_size=5) | st.sampled_from([b'"', b"[", b"\n", b"NaN", b"9" * 400])
        )
    return name, bytes(data)


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    folder = tmp_path_factory.mktemp("services")
    models = {"plain": ("fp32", None), "hooked": ("fp32", _HOOKS), "several": ("every_type", None)}
    return {name: open_service(folder / name, *model) for name, model in models.items()}


@pytest.mark.filterwarnings("ignore:Reading `.npy` or `.npz` file required additional header parsing")
@given(
    _damaged(), st.sampled_from(["plain", "hooked", "several"]), st.sampled_from(["jsonl", "csv"]),
    st.sampled_from([1, 20, 1 << 20]), st.sampled_from([1, 2, 1000]), st.sampled_from([30, 1 << 20]),
)  # fmt: skip
def test_whatever_a_file_holds_each_record_is_scored_or_rejected(services, file, service, output, size, rows, longest):
    name, data = file
    row = 0
    with contextlib.suppress(InputError, BatchError):
        form = open_format(name, data, Signature.of(services[service]), Options(output_format=output))
        scorer = Scorer(services[service], Options(output_format=output), form)
        for chunk in form.chunks(BytesIO(data), Position(), Sizes(size, rows, longest)):
            scored = scorer.score(chunk)
            assert (chunk.first, chunk.end.row) == (row, row + chunk.records)
            assert scored.scored + scored.rejected == chunk.records
            row = chunk.end.row
