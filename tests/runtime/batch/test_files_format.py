import io
import json
import random
import struct
import tarfile
import zipfile
from io import BytesIO

import pytest

from coldpress_runtime.batch.chunks import Position, Sizes
from coldpress_runtime.batch.features import Signature
from coldpress_runtime.batch.formats import open_format
from coldpress_runtime.batch.options import Options
from coldpress_runtime.errors import InputError
from tests.support.scoring import lines_of, score_bytes
from tests.support.tiny import open_service

_HOOKS = """
from coldpress_runtime.errors import RequestError

def preprocess(request):
    if request.body == b"dark":
        raise RequestError("Too dark to see.")
    return {"x": [[len(request.body), {"image/png": 1, "image/jpeg": 2, "audio/wav": 3}.get(
        request.headers["content-type"], 0)]]}
"""


@pytest.fixture
def service(tmp_path):
    return open_service(tmp_path / "bundle", "fp32", _HOOKS)


def _zip(files, compression=zipfile.ZIP_DEFLATED):
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def _tar(files, kind=tarfile.PAX_FORMAT):
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=kind) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            if isinstance(data, str):
                member.type, member.linkname = tarfile.SYMTYPE, data
            elif name.endswith("/"):
                member.type = tarfile.DIRTYPE
            else:
                member.size = len(data)
            archive.addfile(member, BytesIO(data) if member.size else None)
    return packed.getvalue()


def _rows(service, name, data, sizes=None, **options):
    parts = score_bytes(service, name, data, sizes, **options)
    rows = [row for part in parts for row in lines_of(part.output)]
    rejects = {row["row"]: row for part in parts for row in lines_of(part.rejects)}
    assert sorted([*(row["row"] for row in rows), *rejects]) == list(range(len(rows) + len(rejects)))
    return rows, rejects


_PACK = {
    "a.zip": _zip,
    "stored.zip": lambda files: _zip(files, zipfile.ZIP_STORED),
    "pax.tar": _tar,
    "gnu.tar": lambda files: _tar(files, tarfile.GNU_FORMAT),
    "ustar": lambda files: _tar(files, tarfile.USTAR_FORMAT),
}


@pytest.mark.parametrize("name", _PACK)
@pytest.mark.parametrize("sizes", [Sizes(), Sizes(bytes=4), Sizes(rows=2)], ids=["large", "small", "two"])
def test_each_file_of_an_archive_is_a_record(service, name, sizes):
    files = {
        "cats/": b"", "cats/b.PNG": b"12345", "cats/a.jpg": b"1", "../out.png": b"1", "dark.wav": b"dark",
        "ä ö.wav": b"", "./c": b"1234567",
    }  # fmt: skip
    rows, rejects = _rows(service, name, _PACK[name](files), sizes)
    assert rows == [
        {"row": 0, "file": "cats/b.PNG", "y": [5, 1]},
        {"row": 1, "file": "cats/a.jpg", "y": [1, 2]},
        {"row": 4, "file": "ä ö.wav", "y": [0, 3]},
        {"row": 5, "file": "./c", "y": [7, 0]},
    ]
    assert rejects == {
        2: {"row": 2, "reason": 'The name "../out.png" leads out of the archive.', "record": "../out.png"},
        3: {"row": 3, "reason": "Too dark to see.", "record": "dark.wav"},
    }


@pytest.mark.parametrize("name", _PACK)
def test_what_systems_leave_behind_is_no_record(service, name):
    files = {".DS_Store": b"x", "__MACOSX/._a.png": b"x", "a/.hidden/b.png": b"x", "Thumbs.db": b"x", "a/b.png": b"1"}
    assert _rows(service, name, _PACK[name](files))[0] == [{"row": 0, "file": "a/b.png", "y": [1, 1]}]


def test_links_are_no_records(service):
    assert len(_rows(service, "a.tar", _tar({"a.png": b"1", "b.png": "/etc/passwd", "c.png": "a.png"}))[0]) == 1


@pytest.mark.parametrize("name", _PACK)
def test_a_job_goes_on_behind_any_chunk(service, name):
    drawn = random.Random(0)
    long = "folder/" * 9 if name == "ustar" else "folder/" * 40  # longer than a header of tar has room for
    files = {f"{long}{place}.png": drawn.randbytes(drawn.randrange(2000)) for place in range(40)}
    data = _PACK[name](files)
    form = open_format(name, data[:1000], Signature.of(service), Options())
    sizes = Sizes(bytes=5000, rows=7)
    chunks = list(form.chunks(BytesIO(data), Position(), sizes))
    assert sum(chunk.records for chunk in chunks) == 40
    assert max(chunk.records for chunk in chunks) <= 7
    for place, chunk in enumerate(chunks):
        rest = BytesIO(data if form.seeks else data[chunk.end.offset :])
        assert list(form.chunks(rest, chunk.end, sizes)) == chunks[place + 1 :]
    names = [form.record(chunk, row).decode() for chunk in chunks for row in range(chunk.first, chunk.end.row)]
    assert names == list(files)


def test_few_files_are_decoded_at_a_time(service):
    data = _zip({f"{place}.png": b"1" for place in range(100)})
    form = open_format("a.zip", data, Signature.of(service), Options())
    assert max(chunk.records for chunk in form.chunks(BytesIO(data), Position(), Sizes())) == 32


@pytest.mark.parametrize("name", _PACK)
def test_a_file_that_is_too_long_is_not_read(service, name):
    data = _PACK[name]({"a.png": b"1", "large.png": bytes(1000), "b.png": b"22"})
    rows, rejects = _rows(service, name, data, Sizes(record_bytes=999))
    assert [row["file"] for row in rows] == ["a.png", "b.png"]
    assert rejects[1]["reason"] == "The file is over 999 bytes long, which is more than is read as one."
    assert rejects[1]["record"] == "large.png"


def test_a_zip_bomb_is_refused(service):
    bomb = _zip({"zeros.png": bytes(1 << 20)})
    central = bomb.index(b"PK\x01\x02")
    claimed = bytearray(bomb)
    struct.pack_into("<I", claimed, central + 24, 0xF0000000)
    with pytest.raises(InputError, match="would grow to 4026531840, over 100 times as many; is it a zip bomb"):
        _rows(service, "a.zip", bytes(claimed))


def test_damage_within_a_zip_archive_is_one_reject(service):
    files = {f"{place}.png": random.Random(place).randbytes(500) for place in range(3)}
    data = bytearray(_zip(files, zipfile.ZIP_STORED))
    data[data.index(files["1.png"]) + 7] ^= 255
    encrypted = data.rindex(b"PK\x01\x02") + 8
    data[encrypted] |= 1
    rows, rejects = _rows(service, "a.zip", bytes(data))
    assert [row["file"] for row in rows] == ["0.png"]
    assert "Bad CRC-32" in rejects[1]["reason"]
    assert "encrypted" in rejects[2]["reason"]


@pytest.mark.parametrize("damage", ["cut", "within", "header"])
def test_damage_in_a_tar_archive_ends_it_behind_what_is_sound(service, damage):
    data = bytearray(_tar({f"{place}.png": bytes([65 + place]) * 600 for place in range(4)}))
    second = data.index(b"C" * 600)
    if damage == "cut":
        del data[second + 100 :]
    elif damage == "header":
        data[second - 512 : second] = b"?" * 512
    else:
        del data[second - 300 :]
    form = open_format("a.tar", bytes(data[:600]), Signature.of(service), Options())
    read = []
    with pytest.raises(InputError, match="The archive is damaged: "):
        read.extend(chunk.records for chunk in form.chunks(BytesIO(data), Position(), Sizes()))
    assert sum(read) == 2


class _Truncated(BytesIO):
    def read(self, size=-1, /):
        if not (data := super().read(size)):
            raise InputError("The stream ends early.")
        return data


def test_a_damaged_stream_ends_the_archive_behind_what_is_sound(service):
    data = _tar({f"{place}.png": bytes(600) for place in range(4)})
    form = open_format("a.tar", data, Signature.of(service), Options())
    read = []
    with pytest.raises(InputError, match="The stream ends early"):
        read.extend(chunk.records for chunk in form.chunks(_Truncated(data[:2000]), Position(), Sizes()))
    assert sum(read) == 1


@pytest.mark.parametrize("data", [b"PK\x03\x04" + bytes(50), b"PK\x05\x06", b"PK"])
def test_what_is_no_zip_archive(service, data):
    with pytest.raises(InputError, match="no zip archive that can be read"):
        _rows(service, "a.zip", data)


def test_archives_without_files(service):
    assert _rows(service, "a.zip", _zip({})) == ([], {})
    assert _rows(service, "a.tar", _tar({})) == ([], {})
    assert _rows(service, "a.tar", _tar({"a/": b""})) == ([], {})


def test_a_single_file_is_one_record(service):
    assert _rows(service, "photos/a.jpg", b"\xff\xd8\xff") == ([{"row": 0, "file": "a.jpg", "y": [3, 2]}], {})
    assert _rows(service, "a.jpg", b"") == ([], {})
    rows, rejects = _rows(service, "a.jpg", bytes(1000), Sizes(record_bytes=999))
    assert not rows
    assert rejects[0]["record"] == "a.jpg"


def test_files_need_preprocess(tmp_path):
    service = open_service(tmp_path / "bundle", "fp32")
    with pytest.raises(InputError, match=r"pack the model with a hooks\.py that defines preprocess"):
        _rows(service, "a.jpg", b"\xff\xd8\xff")


def test_names_in_csv(service):
    (scored,) = score_bytes(service, "a.zip", _zip({'a,"b".png': b"1", "c.png": b"dark"}), output_format="csv")
    assert scored.output.decode() == 'row,file,y.0,y.1\n0,"a,""b"".png",1.0,1.0\n'


def test_names_that_are_no_text(service):
    data = _tar({"a\udcff.png": b"1"}, tarfile.GNU_FORMAT)
    (row,), _ = _rows(service, "a.tar", data)
    assert row["y"] == [1, 1]


def test_a_stream_that_gives_little_at_a_time(service):
    class Slow(io.RawIOBase):
        def __init__(self, data):
            self._file = BytesIO(data)

        def readable(self):
            return True

        def seekable(self):
            return True

        def seek(self, offset, whence=0):
            return self._file.seek(offset, whence)

        def readinto(self, buffer):
            data = self._file.read(min(len(buffer), 11))
            buffer[: len(data)] = data
            return len(data)

    for pack in (_zip, _tar):
        data = pack({"a.png": b"1" * 100, "b.png": b"2" * 200})
        form = open_format("a", data[:600], Signature.of(service), Options())
        (chunk,) = form.chunks(Slow(data), Position(), Sizes())
        assert form.rows(chunk).files == ["a.png", "b.png"]


def test_what_is_told_of_a_file_is_json(service):
    (scored,) = score_bytes(service, "a.zip", _zip({"\u2028.png": b"dark"}))
    assert json.loads(scored.rejects)["record"] == "\u2028.png"
