"""A local OSS: one bucket in memory, and OSS's own SDK to judge the signature of every request.

The server runs in the environment ``.tools/alibaba``, which ``make tools`` builds.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

__all__ = ["CREDENTIALS", "LocalOss", "sdk"]

_SERVER = Path(__file__).with_name("server.py")
CREDENTIALS = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "STS.xmplAccessKeyId",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "xmpl/Access+Key=Secret",
    "ALIBABA_CLOUD_SECURITY_TOKEN": "CAISxmpl//token+of=the role",
}


def sdk() -> Path:
    """Return the interpreter of the environment with Alibaba Cloud's SDKs."""
    return Path(__file__).resolve().parents[3] / ".tools" / "alibaba" / "bin" / "python"


class LocalOss:
    """A running store. Use as a context manager.

    Attributes:
        endpoint: for ``COLDPRESS_OSS_ENDPOINT``.
    """

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="local-oss-")
        self._journal = Path(self._home.name, "journal")
        with Path(self._home.name, "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sdk(), _SERVER, self._journal, json.dumps(CREDENTIALS)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.endpoint = self._process.stdout.readline().strip()
        if not self.endpoint:
            raise RuntimeError(Path(self._home.name, "log").read_text())

    def requests(self) -> list[dict[str, Any]]:
        """Return what was asked so far: method, bucket, key, status, and the SHA-256 of the content."""
        if not self._journal.exists():
            return []
        return [json.loads(line) for line in self._journal.read_text().splitlines()]

    def close(self) -> None:
        """End the server and forget everything it held."""
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
        self._home.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
