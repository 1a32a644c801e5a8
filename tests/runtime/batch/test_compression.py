import gzip
import io
import sys
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from coldpress_runtime.batch.compression import GROWTH_BYTES, decompress, is_compressed
from coldpress_runtime.errors import InputError

_TEXT = b"".join(b"%d,%d\n" % (number, number * 7919) for number in range(60_000))
_PACKED = {"gzip": gzip.compress(_TEXT, 6, mtime=0), "zstd": zstandard.compress(_TEXT)}


def _read(raw, offset=0, size=50_000):
    """What a stream gives until it ends or is damaged, and the damage."""
    stream, parts = decompress(io.BytesIO(raw), offset), []
    try:
        while part := stream.read(size):
            assert len(part) <= size
            parts.append(part)
    except InputError as error:
        return b"".join(parts), str(error)
    return b"".join(parts), ""


class _Drip(io.BytesIO):
    """A stream that gives a byte at a time."""

    def read(self, size=-1, /):
        return super().read(min(size, 1))


@pytest.mark.parametrize("kind", _PACKED)
def test_the_first_bytes_tell_what_is_compressed(kind):
    assert is_compressed(_PACKED[kind][:4])
    assert not is_compressed(_TEXT[:4])
    assert not is_compressed(b"")
    assert _read(_PACKED[kind]) == (_TEXT, "")


@pytest.mark.parametrize("text", [_TEXT, b"", b"\x1f", b"7"], ids=["rows", "empty", "half-a-mark", "one-byte"])
def test_what_is_not_compressed_is_read_as_it_is(text):
    assert _read(text) == (text, "")


@pytest.mark.parametrize("kind", _PACKED)
def test_members_one_after_another_are_one_text(kind):
    assert _read(_PACKED[kind] * 3) == (_TEXT * 3, "")


def test_zeros_that_fill_a_gzip_file_up_are_no_damage():
    assert _read(_PACKED["gzip"] + bytes(200_000) + _PACKED["gzip"] + bytes(9)) == (_TEXT * 2, "")


@pytest.mark.parametrize("kind", _PACKED)
def test_a_stream_that_drips_is_read_to_its_end(kind):
    stream = decompress(_Drip(_PACKED[kind]))
    assert b"".join(iter(lambda: stream.read(1 << 20), b"")) == _TEXT


@pytest.mark.parametrize("kind", [*_PACKED, "plain"])
@given(offset=st.integers(0, len(_TEXT) + 10), size=st.integers(1_000, 1 << 20))
def test_reading_begins_at_any_offset_of_the_text(kind, offset, size):
    assert _read(_PACKED.get(kind, _TEXT), offset, size) == (_TEXT[offset:], "")


@pytest.mark.parametrize("kind", _PACKED)
@given(data=st.data())
def test_all_that_a_cut_file_holds_is_read_before_the_damage_is_told(kind, data):
    packed = _PACKED[kind]
    cut = data.draw(st.integers(5, len(packed) - 1))
    text, damage = _read(packed[:cut])
    assert _TEXT.startswith(text)
    assert damage == f"The input's {kind} data is cut short; upload the whole file again."


def test_a_gzip_file_without_its_last_byte_gives_all_of_its_text():
    assert _read(_PACKED["gzip"][:-1])[0] == _TEXT


@given(place=st.integers(100, len(_PACKED["gzip"]) - 20))
def test_bytes_before_the_damage_are_what_they_were(place):
    packed = bytearray(_PACKED["gzip"])
    machine = zlib.decompressobj(31)
    sound = machine.decompress(bytes(packed[: place - 1]))
    packed[place] ^= 0xFF
    text, damage = _read(bytes(packed))
    assert text.startswith(sound)
    assert damage.startswith("The input's gzip data is ")


def test_a_wrong_checksum_is_damage_behind_the_text():
    packed = bytearray(_PACKED["gzip"])
    packed[-8] ^= 0xFF
    assert _read(bytes(packed)) == (_TEXT, "The input's gzip data is damaged; upload the file again.")


@pytest.mark.parametrize("kind", _PACKED)
def test_what_follows_a_file_and_is_none_is_damage(kind):
    text, damage = _read(_PACKED[kind] + b"and more")
    assert text == _TEXT
    assert damage == f"The input's {kind} data is damaged; upload the file again."


def test_a_bomb_is_refused_when_it_has_grown_too_far():
    bomb = zstandard.compress(bytes(64 << 20)) * 20  # 1.25 GiB in 40 KiB
    stream, counts = decompress(io.BytesIO(bomb)), []
    with pytest.raises(InputError, match="over 1000 times larger once decompressed, and over 1 GiB"):
        counts.extend(map(len, iter(lambda: stream.read(1 << 20), b"")))
    assert max(counts) <= 1 << 20
    assert GROWTH_BYTES // 2 < sum(counts) <= GROWTH_BYTES


def test_a_frame_that_needs_a_huge_window_is_damage():
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=28, enable_ldm=True)
    machine = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = machine.compress(bytes(1000)) + machine.flush()
    assert _read(packed)[1] == "The input's zstd data is damaged; upload the file again."


@pytest.mark.skipif(sys.version_info < (3, 14), reason="compression.zstd came with Python 3.14")
def test_the_standard_library_reads_zstd_where_the_package_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert _read(_PACKED["zstd"] * 2) == (_TEXT * 2, "")


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="compression.zstd came with Python 3.14")
def test_zstd_without_anything_that_reads_it_is_said_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(InputError, match="install zstandard, or use gzip"):
        decompress(io.BytesIO(_PACKED["zstd"]))
