"""The folder of an endpoint: its image, what runs it, the model, and the server's own code."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

from coldpress._resources import runtime_root
from coldpress.errors import BundleError
from coldpress.model.files import model_files
from coldpress.render.endpoint import EndpointValues, render_endpoint
from coldpress.render.template import write_files

__all__ = ["FOLDER", "write_endpoint"]

FOLDER = "endpoint"
"""What it is called in the output folder."""


def write_endpoint(values: EndpointValues, model: Path, out: Path) -> Path:
    """Write everything that builds and deploys an endpoint below ``out``; return its folder.

    Args:
        values: of its templates.
        model: what it serves, with its external data beside it.
        out: the function's output folder, in which ``endpoint/`` is not there yet.

    Raises:
        BundleError: the disk is full, or the folder cannot be written.
    """
    folder = out / FOLDER
    place = folder / "models" / values.name / _version(values.version)
    try:
        place.mkdir(parents=True)
        _copy_model(model, place)
        for name, source in (("coldpress_endpoint", _server_root()), ("coldpress_runtime", runtime_root())):
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", "*.pyi"))
    except OSError as error:
        raise BundleError(f"{folder} cannot be written ({error.strerror}): make room on the disk.") from error
    write_files(render_endpoint(values), folder)
    for script in folder.glob("*.sh"):
        script.chmod(0o755)
    return folder


def _copy_model(model: Path, place: Path) -> None:
    """Put the model there under the name that the server looks for, and its data under theirs, which it names."""
    own, *data = model_files(model)
    for source in (own, *data):
        target = place / ("model.onnx" if source == own else source.relative_to(own.parent))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _version(text: str) -> str:
    """Return a version as the name of a folder."""
    return re.sub(r"[^0-9A-Za-z_.-]", "-", text).lstrip(".-")[:64] or "1"


def _server_root() -> Path:
    spec = find_spec("coldpress_endpoint")
    if spec is None or not spec.submodule_search_locations:
        raise BundleError("coldpress_endpoint, the server of endpoints, is missing: reinstall coldpress.")
    return Path(next(iter(spec.submodule_search_locations)))
