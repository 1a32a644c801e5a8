"""Files that travel with coldpress: the templates, the runtime package and the licence.

Each is inside an installed wheel, else in the checkout that an editable install points at.
"""

from importlib.util import find_spec
from pathlib import Path

from coldpress.errors import BundleError, TemplateError

__all__ = ["license_file", "runtime_root", "template_root"]


def template_root() -> Path:
    """Return the folder that holds one folder of templates a target.

    An editable install may leave a stale copy in site-packages, so this looks beside the package that was imported
    and nowhere else.

    Raises:
        TemplateError: this installation carries no templates.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "_templates", package.parents[1] / "templates"):
        if (folder / "aws").is_dir():
            return folder
    raise TemplateError(f"there are no templates in {package / '_templates'}: reinstall coldpress")


def runtime_root() -> Path:
    """Return the folder of the package ``coldpress_runtime``, which every bundle gets; it is not imported for that.

    Raises:
        BundleError: this installation carries no runtime.
    """
    spec = find_spec("coldpress_runtime")
    if spec is None or not spec.submodule_search_locations:
        raise BundleError("coldpress_runtime, which ships in every bundle, is missing: reinstall coldpress.")
    return Path(next(iter(spec.submodule_search_locations)))


def license_file() -> Path:
    """Return coldpress's own licence text.

    Raises:
        BundleError: this installation carries none.
    """
    package = Path(__file__).resolve().parent
    installed = sorted(package.parent.glob("coldpress-*.dist-info/licenses/LICENSE"))
    for place in (*installed, package.parents[1] / "LICENSE"):
        if place.is_file():
            return place
    raise BundleError(f"there is no LICENSE of coldpress beside {package}: reinstall coldpress.")
