"""The output folder is replaced as a whole, and what a provider's tool keeps there moves along as it was."""

import dataclasses
import zipfile

import pytest

from coldpress.config import Config, ModelConfig
from coldpress.plan import make_plan
from coldpress.publish import publish
from tests.support.reports import small


@pytest.fixture
def publish_for(tmp_path):
    """Publish a bundle of one file for a target, and return the folder."""
    (tmp_path / "model.onnx").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as bundle:
        bundle.writestr("main.py", "")
    config = dataclasses.replace(Config(), model=ModelConfig(source=tmp_path / "model.onnx"))

    def run(target):
        plan = make_plan(config, target, tmp_path / "out")
        publish(plan, tmp_path / "bundle.zip", {}, small())
        return plan.out

    return run


def test_what_a_tool_keeps_stays_as_private_as_it_was(publish_for):
    out = publish_for("gcp")
    (out / "terraform.tfstate").write_text("a secret")
    (out / "terraform.tfstate").chmod(0o600)
    publish_for("gcp")
    assert (out / "terraform.tfstate").read_text() == "a secret"
    assert (out / "terraform.tfstate").stat().st_mode & 0o777 == 0o600


def test_links_that_a_tool_keeps_stay_links_wherever_they_lead(publish_for):
    out = publish_for("gcp")
    (out / "terraform.tfvars").symlink_to("../shared.tfvars")
    publish_for("gcp")
    assert (out / "terraform.tfvars").readlink().as_posix() == "../shared.tfvars"


def test_a_folder_with_a_link_that_leads_nowhere_moves_along(publish_for):
    out = publish_for("azure")
    (out / ".azure").mkdir()
    (out / ".azure" / "latest").symlink_to("gone")
    publish_for("azure")
    assert (out / ".azure" / "latest").readlink().as_posix() == "gone"


def test_a_link_in_the_place_of_a_rendered_file_is_kept(publish_for):
    out = publish_for("aws")
    (out / "samconfig.toml").unlink()
    (out / "samconfig.toml").symlink_to("../samconfig.toml")
    publish_for("aws")
    assert (out / "samconfig.toml").is_symlink()
