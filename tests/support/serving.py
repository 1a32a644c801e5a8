"""`coldpress serve` as a user starts it, on a free port, and small bundles that it can start in no time."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldpress._resources import runtime_root, template_root
from tests.support.tiny import write_bundle

__all__ = ["Server", "serve", "write_function"]


@dataclass(frozen=True)
class Server:
    """A running server: its URL, and the process."""

    url: str
    process: subprocess.Popen

    @property
    def address(self) -> str:
        """``host:port``."""
        return self.url.removeprefix("http://")

    def stop(self, how: int = signal.SIGINT) -> tuple[int, str]:
        """End it; returns the exit code and what it said on stderr."""
        self.process.send_signal(how)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@contextlib.contextmanager
def serve(build: Path, *flags: str) -> Iterator[Server]:
    """Run the command until the context ends."""
    command = [sys.executable, "-m", "coldpress", "serve", str(build), "--port", "0", "--json", *flags]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            told = ""
            for line in process.stdout:
                told += line
                if line.startswith("}"):
                    break
            else:
                raise RuntimeError(process.stderr.read())
            yield Server(json.loads(told)["url"], process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=60)


def write_function(root: Path, model: Any, hooks: str | None = None, /, **changes: Any) -> Path:
    """Write an unpacked function for AWS: a bundle, its entry point, and the runtime as it is here."""
    write_bundle(root, model, hooks, **changes)
    (root / "app.py").write_bytes((template_root() / "aws" / "app.py").read_bytes())
    (root / "coldpress_runtime").symlink_to(runtime_root())
    return root
