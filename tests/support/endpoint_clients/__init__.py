"""Clients of clouds and servers, unchanged, in the environment ``.tools/endpoint-clients`` that ``make tools`` builds.

Each script reads a job from its input, asks the endpoint in every way that its client has, and prints what came.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["ask_with", "clients_python"]

ROOT = Path(__file__).parents[3]


def clients_python() -> Path:
    """The environment's interpreter, whether it is there or not."""
    return ROOT / ".tools" / "endpoint-clients" / "bin" / "python"


def ask_with(script: str, **job: Any) -> dict[str, Any]:
    """Run a script of this folder by its name; returns what it found, by the way of asking."""
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [clients_python(), "-W", "ignore", Path(__file__).with_name(f"{script}.py")],
        input=json.dumps(job),
        env=environ | {"AWS_DEFAULT_REGION": "us-east-1", "SAGEMAKER_SUPPRESS_V2_WARNING": "1", "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-4000:])
    return json.loads(done.stdout.splitlines()[-1])
