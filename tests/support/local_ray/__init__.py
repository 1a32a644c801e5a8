"""A local Ray: a cluster of two CPUs on this machine, in the environment ``.tools/ray`` that ``make tools`` builds."""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

__all__ = ["LocalRay", "python"]

ROOT = Path(__file__).resolve().parents[3]
_HERE = Path(__file__).parent


def python() -> Path:
    """Return the interpreter of the environment with Ray."""
    return ROOT / ".tools" / "ray" / "bin" / "python"


class LocalRay:
    """A running cluster. Use as a context manager.

    Attributes:
        environment: for processes that are to find it, and coldpress as it lies here.
    """

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="ray-")  # short: Ray makes sockets in it
        modules = os.pathsep.join(map(str, (ROOT / "handlers", ROOT / "packager", ROOT)))
        self.environment = os.environ | {
            "PYTHONPATH": modules,
            "RAY_AUTH_MODE": "disabled",  # or a token is left in the user's home
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        with Path(self._home.name, "log").open("wb") as log:
            self._process = subprocess.Popen(
                [python(), _HERE / "server.py", self._home.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self.environment,
            )
        address = self._process.stdout.readline().strip()
        if not address:
            raise RuntimeError(Path(self._home.name, "log").read_text())
        self.environment["RAY_ADDRESS"] = address

    def coldpress(self, *arguments: Any) -> subprocess.CompletedProcess[str]:
        """Run the command as a user of the cluster would."""
        return self._run(["-m", "coldpress", *map(str, arguments)])

    def score(self, *arguments: Any) -> subprocess.CompletedProcess[str]:
        """Score by what lies behind the command, in small ranges: see ``score.py``."""
        return self._run([str(_HERE / "score.py"), *map(str, arguments)])

    def _run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run([python(), *words], capture_output=True, text=True, env=self.environment, check=False)

    def close(self) -> None:
        """End the cluster."""
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()
        self._home.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
