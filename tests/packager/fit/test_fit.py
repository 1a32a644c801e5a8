"""What fits, what does not, whose bytes they are and what to do: by the provider's limits, each with its source."""

import datetime as dt
import zipfile

import pytest

from coldpress.errors import BundleError, FitError
from coldpress.fit.limits import provider
from coldpress.fit.sizes import Entry, Sizes, kind_of, measure_sizes
from coldpress.fit.verdict import check_fit
from coldpress.render.alibaba_values import REGIONS as ALIBABA_REGIONS

MB = 1_000_000
LIMIT = 262_144_000
ENGINE = 29_352_200


def _sizes(model=10 * MB, packages=0, ratio=0.5):
    files = [
        ("lib/libonnxruntime.so.1.31.1", ENGINE),
        ("model/model.onnx", model),
        ("coldpress_runtime/service.py", 10_000),
        ("coldpress_runtime/__pycache__/service.cpython-313.pyc", 12_000),
        ("licenses/onnxruntime/ThirdPartyNotices.txt", 338_088),
        ("bom.cdx.json", 2_000),
    ]
    files += [("scipy/a.so", packages - packages // 2), ("scipy/b.so", packages // 2)] if packages else []
    entries = tuple(Entry(path, size, int(size * ratio), kind_of(path)) for path, size in files)
    return Sizes(entries, sum(entry.zip_bytes for entry in entries) + 500)


def _check(sizes, target="aws", **changes):
    settings = {"python": "3.13", "architecture": "x86_64", "memory_mb": 1024, "timeout_s": 30}
    return check_fit(target, sizes, **{**settings, **changes})


def _use(fit, name):
    return next(use for use in fit.uses if use.limit.name == name)


def test_a_small_bundle_fits_and_nothing_is_said():
    fit = _check(_sizes())
    assert fit.verdict == "fits"
    assert fit.advice == ()


def test_a_bundle_of_exactly_the_limit_fits_and_one_byte_more_does_not():
    rest = _sizes(model=0).unzipped_bytes
    assert _check(_sizes(model=LIMIT - rest)).verdict == "fits"
    assert _check(_sizes(model=LIMIT - rest + 1)).verdict != "fits"


def test_a_model_too_large_for_the_zip_but_not_for_the_disk_needs_a_store():
    fit = _check(_sizes(model=400 * MB))
    assert fit.verdict == "needs-store"
    said = " ".join(fit.advice)
    assert "model/model.onnx with 400.0 MB" in said
    assert "at most 232.4 MB" in said
    assert "S3" in said


def test_a_model_over_the_offsets_of_ort_format_needs_an_image():
    assert _check(_sizes(model=2_147_483_647)).verdict == "needs-store"
    assert _check(_sizes(model=2_147_483_648)).verdict == "needs-image"


def test_the_way_to_a_store_is_a_setting():
    (first, way) = _check(_sizes(model=400 * MB)).advice[:2]
    assert "too much" in first
    assert 'set targets.aws.weights = "s3://BUCKET/FOLDER/"' in way
    assert "of which it needs 540.0 MB" in way


def test_weights_in_a_store_count_for_memory_and_for_the_start():
    fit = _check(_sizes(model=0), weights_bytes=400 * MB, memory_mb=480, timeout_s=30)
    assert fit.verdict == "fits"
    assert fit.advice[0] == "A start reads 400.0 MB of weights, about 5.3 s at 75.0 MB a second."
    assert any("set function.memory_mb" in advice for advice in fit.advice)
    assert "raise it" in _check(_sizes(model=0), weights_bytes=400 * MB, timeout_s=5).advice[0]
    long = _check(_sizes(model=0), weights_bytes=1500 * MB, timeout_s=60).advice[0]
    assert "gives it 10 s" in long
    assert "turn SnapStart on" in long
    assert _check(_sizes(model=0), weights_bytes=11_000 * MB).verdict == "needs-gpu"


def test_a_zip_over_a_limit_that_has_no_way_around_it_needs_an_image():
    sizes = _sizes(model=1100 * MB)
    assert _check(sizes, "gcp").verdict == "fits"
    fit = _check(sizes, "alibaba", python="3.12", memory_mb=4096)
    assert fit.verdict == "needs-image"
    assert "zipped and Function Compute 3.0 takes 524.3 MB" in fit.advice[0]
    assert "at most 509." in fit.advice[1]


def test_a_code_package_may_have_a_fifth_of_that_in_some_of_alibabas_regions():
    sizes = _sizes(model=300 * MB)
    settings = {"target": "alibaba", "python": "3.12", "memory_mb": 4096}
    assert _check(sizes, **settings).verdict == "fits"
    assert _check(sizes, **settings, region="cn-shanghai").verdict == "fits"
    fit = _check(sizes, **settings, region="eu-west-1")
    assert fit.verdict == "needs-image"
    assert "zipped and Function Compute 3.0 takes 104.9 MB" in fit.advice[0]
    assert {region for region in ALIBABA_REGIONS if provider("alibaba", region=region) != provider("alibaba")} == {
        *("cn-qingdao", "cn-chengdu", "ap-northeast-2", "ap-southeast-7", "eu-west-1", "us-west-1"),
    }


def test_packages_that_alone_do_not_fit_need_an_image_and_are_named():
    fit = _check(_sizes(packages=300 * MB))
    assert fit.verdict == "needs-image"
    assert "scipy/ with 300.0 MB" in fit.advice[0]
    assert "Drop packages" in fit.advice[1]


def test_a_model_for_which_no_function_has_the_memory_needs_a_gpu_endpoint():
    assert _check(_sizes(model=10_800 * MB)).verdict == "needs-gpu"


def test_a_model_too_large_for_an_image_needs_a_gpu_endpoint_though_memory_would_do():
    fit = _check(_sizes(model=10_200 * MB))
    assert fit.verdict == "needs-gpu"
    assert "image" in fit.advice[1]


def test_measured_memory_outweighs_the_estimate():
    assert _check(_sizes(), peak_mb=11_000).verdict == "needs-gpu"


def test_azures_disk_and_memory_are_its_own():
    settings = {"target": "azure", "memory_mb": 2048}
    assert _check(_sizes(model=700 * MB), **settings).verdict == "fits"
    assert _check(_sizes(model=900 * MB), **settings).verdict == "needs-store"
    assert _check(_sizes(model=2200 * MB), **settings).verdict == "needs-image"


def test_googles_second_generation_has_no_limit_on_the_package():
    assert _check(_sizes(model=5_000 * MB), target="gcp", memory_mb=8192).verdict == "fits"


def test_a_zip_over_the_direct_upload_still_fits_and_the_way_is_said():
    fit = _check(_sizes(model=120 * MB))
    assert fit.verdict == "fits"
    assert _use(fit, "zip_bytes").over
    assert "through S3" in fit.advice[0]


def test_the_last_tenth_of_the_room_is_said():
    rest = _sizes(model=0).unzipped_bytes
    (advice,) = [text for text in _check(_sizes(model=LIMIT - rest - MB)).advice if "left" in text]
    assert advice.startswith("Only 1.0 MB of 262.1 MB are left (the function unzipped, its layers included)")
    (advice,) = [text for text in _check(_sizes(model=750 * MB), "azure", memory_mb=4096).advice if "left" in text]
    assert "the temporary disk of an instance" in advice


def test_memory_close_to_what_is_needed_is_said_with_a_number_that_does():
    (advice,) = _check(_sizes(), memory_mb=512, peak_mb=500).advice
    assert "function.memory_mb = 704" in advice


@pytest.mark.parametrize(
    ("target", "memory_mb", "peak_mb", "said"),
    [
        ("azure", 512, 500, "set targets.azure.memory_mb = 2048 or more"),
        ("azure", 4096, 4000, "no more is sold"),
        ("aws", 10_240, 10_000, "no more is sold"),
        ("aws", 10_000, 10_000, "set function.memory_mb = 10240 or more"),
    ],
)
def test_the_memory_that_is_advised_is_sold_and_more_than_there_is(target, memory_mb, peak_mb, said):
    (advice,) = _check(_sizes(), target, memory_mb=memory_mb, peak_mb=peak_mb).advice
    assert said in advice


def test_loading_that_takes_longer_than_the_provider_gives_is_said():
    (advice,) = _check(_sizes(), init_ms=11_000).advice
    assert "11.0 s" in advice
    assert "SnapStart" in advice
    assert _check(_sizes(), init_ms=11_000, snapstart=True).advice == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"memory_mb": 20_000}, "AWS Lambda, zip sells no instance of 20,000 MB: the nearest is 10,240 MB"),
        ({"memory_mb": 64}, "the nearest is 128 MB"),
        ({"timeout_s": 901}, "timeout_s is 901"),
        ({"python": "3.9"}, 'python is "3.9"'),
        ({"architecture": "riscv"}, "architecture is"),
        ({"target": "azure", "memory_mb": 1024}, "the nearest are 512 and 2,048 MB; set memory_mb"),
        ({"target": "mars"}, 'no limits for the target "mars"'),
    ],
)
def test_a_setting_that_the_provider_does_not_offer_stops(changes, said):
    with pytest.raises(FitError, match=said):
        _check(_sizes(), **changes)


def test_the_report_has_every_limit_with_use_source_and_date():
    report = _check(_sizes()).to_json()
    assert report["as_of"] == "2026-11-21"
    by_name = {limit["name"]: limit for limit in report["limits"]}
    assert by_name["unzipped_bytes"]["limit"] == LIMIT
    assert by_name["unzipped_bytes"]["used"] == _sizes().unzipped_bytes
    assert by_name["init_s"]["used"] is None
    assert report["largest"][0] == {"path": "lib/libonnxruntime.so.1.31.1", "bytes": ENGINE, "kind": "engine"}


@pytest.mark.parametrize("name", ["aws", "aws-image", "gcp", "azure", "alibaba", "container"])
def test_every_limit_has_a_source_and_a_date(name):
    there = provider(name)
    assert isinstance(there.as_of, dt.date)
    for limit in there.limits.values():
        assert limit.limit > 0
        assert limit.source
        assert limit.date == "undated" or limit.date.startswith("20")


def test_snapstart_replaces_two_limits():
    with_it, without = provider("aws", snapstart=True).limits, provider("aws").limits
    assert with_it["tmp_mb"].limit == 512
    assert {name for name in without if with_it[name] != without[name]} == {"tmp_mb", "init_s"}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("app.py", "runtime"),
        ("coldpress.json", "runtime"),
        ("__pycache__/app.cpython-313.pyc", "bytecode"),
        ("coldpress_runtime/ort.py", "runtime"),
        ("coldpress_runtime/batch/__pycache__/x.cpython-313.pyc", "bytecode"),
        ("lib/libonnxruntime.so.1.31.1", "engine"),
        ("model/portable.onnx", "model"),
        ("hooks.py", "hooks"),
        ("__pycache__/hooks.cpython-313.pyc", "hooks"),
        ("numpy/__pycache__/__init__.cpython-313.pyc", "packages"),
        ("six.py", "packages"),
        ("__pycache__/six.cpython-313.pyc", "packages"),
        ("numpy-2.5.5.dist-info/METADATA", "packages"),
        ("licenses/coldpress/LICENSE", "licences"),
        ("bom.cdx.json", "inventory"),
    ],
)
def test_every_byte_has_an_owner(path, kind):
    assert kind_of(path) == kind


def test_sizes_are_read_from_the_zip_and_add_up(tmp_path):
    with zipfile.ZipFile(tmp_path / "f.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/model.onnx", b"m" * 1000)
        archive.writestr("hooks.py", b"h" * 10)
        archive.writestr("app.py", b"a" * 7)
    sizes = measure_sizes(tmp_path / "f.zip")
    assert (sizes.unzipped_bytes, sizes.model_bytes, sizes.runtime_bytes) == (1017, 1000, 7)
    by_kind = sizes.to_json()
    assert sum(kind["zip_bytes"] for kind in by_kind.values()) == (tmp_path / "f.zip").stat().st_size
    assert sum(kind["bytes"] for kind in by_kind.values()) == 1017


def test_what_is_not_a_zip_is_named(tmp_path):
    (tmp_path / "no.zip").write_bytes(b"no")
    with pytest.raises(BundleError, match=r"no\.zip cannot be read"):
        measure_sizes(tmp_path / "no.zip")


def test_a_folder_is_measured_before_there_is_a_zip(tmp_path):
    (tmp_path / "tree" / "model").mkdir(parents=True)
    (tmp_path / "tree" / "model" / "model.onnx").write_bytes(b"m" * 300)
    (tmp_path / "tree" / "app.py").write_bytes(b"a" * 7)
    sizes = measure_sizes(tmp_path / "tree")
    assert (sizes.unzipped_bytes, sizes.model_bytes, sizes.runtime_bytes, sizes.zip_bytes) == (307, 300, 7, None)
    fit = _check(sizes)
    assert fit.verdict == "fits"
    assert _use(fit, "zip_bytes").used is None
    assert fit.to_json()["bytes"]["model"] == {"bytes": 300}
