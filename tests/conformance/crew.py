"""Cases in worker processes: a case that takes its process down is an outcome like another."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

__all__ = ["outcomes"]


def outcomes(folders: Sequence[Path], *, strip: bool = False) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Run each case and give its outcome; a crash is told as `crash: N` under `lean` or `plain`, `N` its exit code."""
    left = list(folders)
    while left:
        command = [sys.executable, "-m", "tests.conformance.crew", *(["--strip"] if strip else [])]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write("\n".join(map(str, left)))
            worker.stdin.close()
            for line in worker.stdout:
                yield left.pop(0), json.loads(line)
        if left:
            yield left.pop(0), {"plain": "unknown", "lean": f"crash: {worker.returncode}", "same": False}


def _work() -> None:
    from tests.conformance.outcome import outcome

    for line in sys.stdin.read().splitlines():
        sys.stdout.write(json.dumps(outcome(Path(line), strip="--strip" in sys.argv)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _work()
