import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from coldpress.errors import SamplesError
from coldpress.reference import Reference
from coldpress.samples.load import SamplesOptions, load_samples
from coldpress.samples.preprocess import PREPROCESSINGS, fit
from coldpress.signature import Port, Signature
from tests.support.models import fetch

RED, BLUE = (250, 10, 0), (0, 20, 240)


def takes(*shape, datatype="FP32", numpy="float32"):
    return Signature((Port("x", "tensor", "tensor", datatype, numpy, shape),), ())


def halves(width, height):
    """Red above blue."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2], pixels[height // 2 :] = RED, BLUE
    return Image.fromarray(pixels)


def load(folder, *shape, datatype="FP32", numpy="float32", **options):
    got = load_samples(folder, takes(*shape, datatype=datatype, numpy=numpy), SamplesOptions(**options))
    return [request["x"] for request in got.requests]


@pytest.fixture
def photos():
    """Two real photographs."""
    from sklearn.datasets import load_sample_images

    return [Image.fromarray(image) for image in load_sample_images().images]


@pytest.mark.parametrize(
    ("shape", "made"),
    [
        (("N", 3, 8, 6), (1, 3, 8, 6)),
        ((1, 8, 6, 3), (1, 8, 6, 3)),
        ((3, 8, 6), (3, 8, 6)),
        ((8, 6, 3), (8, 6, 3)),
        ((None, 1, 8, 6), (1, 1, 8, 6)),
        ((None, 8, 6, 1), (1, 8, 6, 1)),
        ((None, 8, 6), (1, 8, 6)),
        ((1, None, 8, 6), (1, 3, 8, 6)),
        ((1, 8, 6, None), (1, 8, 6, 3)),
    ],
)
def test_layout_and_channels_are_the_inputs(tmp_path, shape, made):
    halves(30, 20).save(tmp_path / "a.png")
    (got,) = load(tmp_path, *shape, preprocess="raw")
    assert got.shape == made
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    if 3 in made:
        axis = made.index(3)
        assert np.take(got, 0, axis).ravel()[0] == RED[0]
        assert np.take(got, 2, axis).ravel()[-1] == BLUE[2]


def test_what_the_model_leaves_open_is_said(tmp_path):
    halves(40, 40).save(tmp_path / "a.png")
    got = load_samples(tmp_path, takes(None, None, None, None), SamplesOptions(preprocess="raw"))
    assert got.requests[0]["x"].shape == (1, 3, 32, 32)
    assert got.assumed == ("x: 3 channels at axis 1, which the model leaves open",)


@pytest.mark.parametrize(
    ("shape", "size", "preprocess", "made"),
    [
        ((1, 3, "h", "w"), (), "zero-one", (96, 64)),
        ((1, 3, "h", "w"), (64,), "zero-one", (64, 64)),
        ((1, 3, "h", "w"), (48, 320), "zero-one", (48, 320)),
        ((1, 3, 48, "w"), (), "zero-one", (48, 32)),
        ((1, 3, "h", 128), (), "zero-one", (192, 128)),
        ((1, 3, "h", "w"), (), "imagenet", (224, 224)),
        ((1, 3, "h", "w"), (), "letterbox", (640, 640)),
        ((1, 3, 64, "w"), (), "letterbox", (64, 64)),
    ],
)
def test_open_sizes_are_the_users_else_the_preprocessings_else_the_pictures_own(
    tmp_path, shape, size, preprocess, made
):
    halves(63, 95).save(tmp_path / "a.png")
    assert load(tmp_path, *shape, size=size, preprocess=preprocess)[0].shape == (1, 3, *made)


def test_a_pictures_own_size_is_capped_with_its_ratio(tmp_path):
    halves(2100, 300).save(tmp_path / "a.png")
    assert load(tmp_path, 1, 3, "h", "w", preprocess="raw")[0].shape == (1, 3, 160, 1024)


def test_the_formulas_are_those_of_the_table(tmp_path):
    Image.new("RGB", (16, 16), (200, 100, 50)).save(tmp_path / "a.png")
    expected = {
        "raw": [200, 100, 50],
        "zero-one": [200 / 255, 100 / 255, 50 / 255],
        "minus-one-one": [200 / 127.5 - 1, 100 / 127.5 - 1, 50 / 127.5 - 1],
        "imagenet": [(200 / 255 - 0.485) / 0.229, (100 / 255 - 0.456) / 0.224, (50 / 255 - 0.406) / 0.225],
        "caffe": [50 - 104, 100 - 117, 200 - 123],
        "letterbox": [200 / 255, 100 / 255, 50 / 255],
    }
    assert set(expected) == set(PREPROCESSINGS)
    for name, colour in expected.items():
        (got,) = load(tmp_path, 1, 3, 14, 14, preprocess=name)
        assert np.allclose(got[0].mean(axis=(1, 2)), colour, atol=1e-5), name


def test_imagenet_keeps_the_ratio_and_cuts_the_centre_as_torchvision_does(photos):
    photo = photos[0].crop((0, 0, 640, 427))
    resized = photo.resize((int(256 * 640 / 427), 256), Image.Resampling.BILINEAR)
    left = round((resized.width - 224) / 2)
    expected = resized.crop((left, 16, left + 224, 240))
    assert np.array_equal(np.asarray(fit(photo, PREPROCESSINGS["imagenet"], 224, 224)), np.asarray(expected))


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 90), st.integers(1, 90))
@settings(deadline=None, max_examples=60)
def test_every_picture_fits_every_size_in_every_way(width, height, columns, rows):
    picture = Image.new("RGB", (width, height), (9, 9, 9))
    for name, how in PREPROCESSINGS.items():
        got = fit(picture, how, rows, columns)
        assert got.size == (columns, rows)
        if name != "letterbox":
            assert got.getextrema() == ((9, 9),) * 3, name


def test_a_long_strip_is_not_blown_up(tmp_path):
    halves(40000, 2).save(tmp_path / "a.png")
    assert load(tmp_path, 1, 3, 224, 224, preprocess="imagenet")[0].shape == (1, 3, 224, 224)


def test_letterbox_pads_with_114_on_both_sides(tmp_path):
    Image.new("RGB", (100, 50), (0, 0, 0)).save(tmp_path / "a.png")
    (got,) = load(tmp_path, 1, 3, 64, 64, preprocess="letterbox")
    rows = np.round(got[0, 0, :, 0] * 255).tolist()
    assert rows == [114] * 16 + [0] * 32 + [114] * 16


def test_whole_numbers_take_pixels_as_they_are(tmp_path):
    Image.new("RGB", (8, 8), (200, 100, 50)).save(tmp_path / "a.png")
    for options in ({}, {"preprocess": "imagenet"}, {"preprocess": "zero-one"}):
        (got,) = load(tmp_path, 1, 8, 8, 3, datatype="UINT8", numpy="uint8", **options)
        assert got.dtype == np.uint8
        assert got[0, 0, 0].tolist() == [200, 100, 50]


@pytest.mark.parametrize("kind", ["FP16 float16", "FP64 float64", "BF16 bfloat16", "INT64 int64"])
def test_every_number_type_is_served(tmp_path, kind):
    datatype, numpy = kind.split()
    halves(8, 8).save(tmp_path / "a.png")
    (got,) = load(tmp_path, 1, 3, 8, 8, datatype=datatype, numpy=numpy, preprocess="raw")
    assert str(got.dtype) == numpy


def test_a_photo_is_turned_as_its_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    halves(128, 64).save(tmp_path / "a.jpg", exif=exif, quality=95)
    (got,) = load(tmp_path, 1, 3, "h", "w", preprocess="raw")
    assert got.shape == (1, 3, 128, 64)
    assert (got[0, 0, 60, 60], got[0, 0, 60, 3]) == pytest.approx((RED[0], BLUE[0]), abs=5)  # above is now right


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_every_mode_are_read(tmp_path, mode, channels):
    if mode == "I;16":
        grey = Image.fromarray(np.full((8, 8), 51200, np.uint16))
    else:
        grey = Image.new("RGB", (8, 8), (255, 255, 255) if mode == "1" else (200, 200, 200))
        grey = grey.quantize() if mode == "P" else grey.convert(mode)
    grey.save(tmp_path / "a.tif")
    (got,) = load(tmp_path, 1, channels, 8, 8, preprocess="raw")
    assert np.abs(got - (255 if mode == "1" else 200)).max() <= 1


def test_every_common_format_is_read(tmp_path):
    for suffix in ("png", "jpg", "jpeg", "bmp", "webp", "gif", "tif", "ppm"):
        halves(32, 32).save(tmp_path / f"a.{suffix}")
    got = load(tmp_path, 1, 3, 32, 32, preprocess="raw")
    assert len(got) == 8
    assert all(np.abs(x - got[0]).mean() < 4 for x in got)


def test_folders_are_labels(tmp_path):
    for place, name in enumerate(("cat", "dog", "dog")):
        (tmp_path / name).mkdir(exist_ok=True)
        halves(8, 8).save(tmp_path / name / f"{place}.png")
    got = load_samples(tmp_path, takes(1, 3, 8, 8), SamplesOptions(preprocess="raw"))
    assert got.labels.tolist() == [0, 1, 1]
    assert got.sequence == ()
    assert got.origin == tmp_path.name


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((1, 3, 8, 8), {}, ["nothing says how pictures", "imagenet", "letterbox"]),
        ((1, 3, 8, 8), {"preprocess": "magic"}, ["no preprocessing 'magic'", "raw, zero-one"]),
        ((1, 1, 8, 8), {"preprocess": "imagenet"}, ["for 3 channels", "FP32 [1, 1, 8, 8]"]),
        ((1, 3, 8, 8), {"preprocess": "raw", "size": (9, 9)}, ["size says 9 x 9", "leave size out"]),
        ((1, 3, "h", "w"), {"preprocess": "raw", "size": (1, 2, 3)}, ["height and width"]),
        ((4, 3, 8, 8), {"preprocess": "raw"}, ["4 pictures at once"]),
        ((1, 4, 8, 8), {"preprocess": "raw"}, ["no picture", "FP32 [1, 4, 8, 8]"]),
        ((1, 64), {"preprocess": "raw"}, ["no picture"]),
    ],
)
def test_inputs_and_options_that_do_not_match_are_refused(tmp_path, shape, options, words):
    halves(8, 8).save(tmp_path / "a.png")
    with pytest.raises(SamplesError) as caught:
        load(tmp_path, *shape, **options)
    assert [word for word in words if word not in str(caught.value)] == []


def _png(width, height):
    """A PNG that claims a size and holds no pixels."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_000, 100_000])
def test_a_picture_that_claims_to_be_huge_is_refused_before_it_is_unpacked(tmp_path, side):
    (tmp_path / "a.png").write_bytes(_png(side, side))
    with pytest.raises(SamplesError, match=r"a\.png unpacks to over"):
        load(tmp_path, 1, 3, 8, 8, preprocess="raw")


def test_too_many_pictures_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("coldpress.samples.images.MAX_BYTES", 2000)
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(_png(8, 8))
    with pytest.raises(SamplesError, match=r"4 pictures, 3,072 bytes .* set most = 2"):
        load(tmp_path, 1, 3, 8, 8, preprocess="raw")


def test_what_is_no_picture_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"hello")
    with pytest.raises(SamplesError, match=r"a\.png is no picture"):
        load(tmp_path, 1, 3, 8, 8, preprocess="raw")
    (tmp_path / "a.png").write_bytes(_png(8, 8))
    with pytest.raises(SamplesError, match=r"a\.png cannot be read"):
        load(tmp_path, 1, 3, 8, 8, preprocess="raw")


@given(st.sampled_from(["png", "jpeg", "gif", "bmp", "webp", "tiff"]), st.floats(0, 1), st.binary(max_size=8))
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_picture_is_refused_or_read_and_nothing_else(tmp_path, kind, place, junk):
    whole = io.BytesIO()
    halves(16, 16).save(whole, kind)
    at = int(place * len(whole.getvalue()))
    (tmp_path / "a.png").write_bytes(whole.getvalue()[:at] + junk + whole.getvalue()[at + len(junk) :])
    try:
        (got,) = load(tmp_path, 1, 3, 8, 8, preprocess="raw")
    except SamplesError:
        return
    assert got.shape == (1, 3, 8, 8)


@pytest.mark.models
def test_caffe_gives_a_caffe_model_what_its_own_package_gives(tmp_path, photos):
    reference = Reference(fetch("opennsfw"))
    for place, photo in enumerate(photos):
        photo.save(tmp_path / f"{place}.png")
    samples = load_samples(tmp_path, reference.signature, SamplesOptions(preprocess="caffe"))
    assert len(samples.requests) == 2
    for photo, request in zip(photos, samples.requests, strict=True):
        cut = photo.resize((256, 256), Image.Resampling.BILINEAR).crop((16, 16, 240, 240))
        own = np.asarray(cut, np.float32)[None, :, :, ::-1] - np.array([104, 117, 123], np.float32)
        assert np.array_equal(request["input:0"], own)
        assert reference.run(request)["outputs"][0, 0] > 0.9  # a temple, a flower: safe


@pytest.mark.models
def test_a_classifier_knows_its_digits_from_a_folder_of_pictures(tmp_path):
    from sklearn.datasets import load_digits

    digits = load_digits()
    for place in range(20):
        folder = tmp_path / str(digits.target[place])
        folder.mkdir(exist_ok=True)
        Image.fromarray((digits.images[place] * 255 / 16).round().astype(np.uint8)).save(folder / f"{place}.png")
    got = load_samples(tmp_path, takes(1, 1, 8, 8), SamplesOptions(preprocess="zero-one"))
    assert got.labels.tolist() == sorted(digits.target[:20].tolist())
    right = {place: digits.images[place] / 16 for place in range(20)}
    assert all(min(np.abs(r["x"][0, 0] - x).max() for x in right.values()) < 0.01 for r in got.requests)


def test_the_guide_names_every_preprocessing():
    guide = (Path(__file__).parents[3] / "docs" / "samples.md").read_text()
    rows = guide.partition("| `preprocess` |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", rows, re.MULTILINE) == list(PREPROCESSINGS)
