"""Wheels end up where pip would put them, and nothing of a wheel ends up anywhere else."""

import stat
import zipfile

import pytest

from coldpress.bundle.packages import install, installed
from coldpress.bundle.wheels import Wheel, sha256_of
from coldpress.errors import BundleError
from tests.support.wheels import make_wheel


def _wheel(path):
    name, version = path.name.split("-")[:2]
    return Wheel(name, version, path.name, path, sha256_of(path))


def _files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_purelib_platlib_and_data_land_in_the_root_and_scripts_and_headers_stay_out(tmp_path):
    wheel = make_wheel(
        tmp_path,
        "pkg",
        files={
            "pkg/__init__.py": "",
            "pkg-1.0.data/purelib/pure.py": "",
            "pkg-1.0.data/platlib/plat.py": "",
            "pkg-1.0.data/data/share/pkg.txt": "",
            "pkg-1.0.data/scripts/tool": "#!python",
            "pkg-1.0.data/headers/pkg.h": "",
        },
    )
    install([_wheel(wheel)], tmp_path / "tree")
    info = {f"pkg-1.0.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD")}
    assert _files(tmp_path / "tree") == {"pkg/__init__.py", "pure.py", "plat.py", "share/pkg.txt"} | info


def test_packages_that_share_a_namespace_live_together(tmp_path):
    shared = {"space/__init__.py": "# shared\n"}
    one = make_wheel(tmp_path, "one", files={**shared, "space/one.py": ""})
    two = make_wheel(tmp_path, "two", files={**shared, "space/two.py": ""})
    install([_wheel(one), _wheel(two)], tmp_path / "tree")
    assert {"space/__init__.py", "space/one.py", "space/two.py"} <= _files(tmp_path / "tree")


def test_the_same_wheels_are_unpacked_once_whatever_their_order_and_others_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("COLDPRESS_CACHE", str(tmp_path / "cache"))
    one, two = (_wheel(make_wheel(tmp_path, name, files={f"{name}.py": "a = 1"})) for name in ("one", "two"))
    both = installed([one, two])
    (both / "one.pyc").touch()  # as the first use leaves it
    assert installed([two, one]) == both
    assert {"one.py", "one.pyc", "two.py"} <= _files(both)
    assert installed([one]) != both


def test_two_packages_that_want_the_same_file_are_refused(tmp_path):
    one = make_wheel(tmp_path, "one", files={"shared.py": "a = 1"})
    two = make_wheel(tmp_path, "two", files={"shared.py": "a = 2"})
    with pytest.raises(BundleError, match=r"two-1.*both bring shared\.py"):
        install([_wheel(one), _wheel(two)], tmp_path / "tree")


@pytest.mark.parametrize(
    "name", ["coldpress_runtime/extra.py", "app.py", "hooks.py", "model/x.onnx", "lib/libonnxruntime.so"]
)
def test_a_package_may_not_bring_what_the_bundle_itself_uses(tmp_path, name):
    wheel = make_wheel(tmp_path, "pkg", files={name: "x"})
    with pytest.raises(BundleError, match="the bundle itself uses"):
        install([_wheel(wheel)], tmp_path / "tree")


@pytest.mark.parametrize("name", ["../out.py", "pkg-1.0.data/purelib/../../../out.py", "/out.py"])
def test_a_path_that_leads_out_is_refused(tmp_path, name):
    wheel = make_wheel(tmp_path, "pkg", files={name: "x"})
    with pytest.raises(BundleError, match="entry named"):
        install([_wheel(wheel)], tmp_path / "a" / "tree")
    assert not list(tmp_path.rglob("out.py"))


def test_a_link_is_refused(tmp_path):
    wheel = make_wheel(tmp_path, "pkg")
    with zipfile.ZipFile(wheel, "a") as archive:
        info = zipfile.ZipInfo("pkg_link.py")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(BundleError, match="link"):
        install([_wheel(wheel)], tmp_path / "tree")


def test_a_damaged_wheel_is_named(tmp_path):
    wheel = make_wheel(tmp_path, "pkg", files={"pkg.py": "x" * 5000})
    found = _wheel(wheel)
    wheel.write_bytes(wheel.read_bytes()[:-40])
    with pytest.raises(BundleError, match=r"pkg-1\.0-py3-none-any\.whl cannot be unpacked"):
        install([found], tmp_path / "tree")


def test_an_executable_inside_a_package_stays_one(tmp_path):
    wheel = make_wheel(tmp_path, "pkg")
    with zipfile.ZipFile(wheel, "a") as archive:
        info = zipfile.ZipInfo("pkg_bin/tool")
        info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o755) << 16
        archive.writestr(info, "#!/bin/sh")
    install([_wheel(wheel)], tmp_path / "tree")
    assert stat.S_IMODE((tmp_path / "tree" / "pkg_bin" / "tool").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "tree" / "pkg.py").stat().st_mode) == 0o644
