"""What ``pack`` can build for: one record a target, and the file by which a built function is known."""

from collections.abc import Mapping

__all__ = ["ENTRIES"]

ENTRIES: Mapping[str, str] = {
    "app.py": "aws",
    "main.py": "gcp",
    "function_app.py": "azure",
    "index.py": "alibaba",
    "server.py": "container",
}
"""The targets by their entry point, a file at the root of every bundle."""
