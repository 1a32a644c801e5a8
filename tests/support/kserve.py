"""What KServe's own SDK says of its resources: the names and types in its generated models, read and not imported.

The SDK requires seventy packages, of which the models need none.
"""

import ast
import zipfile
from functools import cache

from coldpress.bundle.wheels import resolve
from coldpress.cache import cache_dir

__all__ = ["model"]

_LOCK = "kserve==0.21.0 --hash=sha256:df9bc5888704d9085015e08f1a8fced5ff0698f3becc6212d4e7b8234c71623b\n"


@cache
def model(name: str) -> dict[str, str]:
    """Return the type of each property of the model in ``kserve/models/<name>.py``, by its name in YAML."""
    (wheel,) = resolve((), "3.13", "x86_64", cache_dir("wheels"), _LOCK)
    with zipfile.ZipFile(wheel.path) as archive:
        tree = ast.parse(archive.read(f"kserve/models/{name}.py"))
    (record,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    tables = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in record.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    return {tables["attribute_map"][key]: kind for key, kind in tables["openapi_types"].items()}
