"""A local AWS that the real SAM CLI deploys to, and a few questions to ask it afterwards."""

import base64
import hashlib
import json
import os
import subprocess
import tempfile
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote
from xml.etree import ElementTree as ET

__all__ = ["ROOT", "DeployedFunction", "LocalAws", "tool"]

ROOT = Path(__file__).resolve().parents[3]
_SERVER = Path(__file__).with_name("server.py")
_REGION = "us-east-1"


def tool(environment: str, name: str) -> Path:
    """Return a command of one of the environments that ``make tools`` builds."""
    return ROOT / ".tools" / environment / "bin" / name


@dataclass(frozen=True)
class DeployedFunction:
    """What Lambda holds behind a name: its settings, and the code object that it would run."""

    configuration: dict[str, Any]
    code: bytes

    @property
    def code_sha256(self) -> str:
        """The code object's digest as Lambda writes it: base64 of SHA-256."""
        return base64.b64encode(hashlib.sha256(self.code).digest()).decode()


class LocalAws:
    """A running local AWS. Use as a context manager.

    Args:
        settings: of moto, as variables of its environment.
    """

    def __init__(self, **settings: str) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="local-aws-")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [tool("moto", "python"), _SERVER],
                env=os.environ | settings,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        first = self._process.stdout.readline()
        if not first:
            said = self.log()[-2000:]
            self.close()
            raise RuntimeError(f"the local AWS did not start; `make tools` builds it. It said: {said}")
        self.endpoint = f"http://127.0.0.1:{json.loads(first)['port']}"

    @property
    def _log(self) -> Path:
        return Path(self._home.name) / "server.log"

    def log(self) -> str:
        """Return what the server has written to its log."""
        return self._log.read_text(errors="replace")

    def environment(self) -> dict[str, str]:
        """Return the variables that point AWS's tools at this server and at nothing else."""
        return {
            "PATH": f"{tool('sam', '')}:{os.environ['PATH']}",
            "HOME": self._home.name,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.2",
            "LANG": "C.UTF-8",
        }

    def sam(
        self, *arguments: str, folder: Path, answers: Sequence[str] = (), check: bool = True, **variables: str
    ) -> str:
        """Run the SAM CLI in ``folder``, give it ``answers`` to its questions, and return what it said."""
        done = subprocess.run(
            [tool("sam", "sam"), *arguments],
            cwd=folder,
            env=self.environment() | variables,
            input="".join(f"{answer}\n" for answer in answers),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=280,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(
                f"sam {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{self.log()[-4000:]}"
            )
        return done.stdout

    def ask(self, service: str, path: str, form: str | None = None, **headers: str) -> bytes:
        """Send one request to ``service``: a GET, or a POST of ``form``."""
        # moto tells the services apart by the scope in the signature, and does not check the rest of it.
        scope = f"testing/20260101/{_REGION}/{service}/aws4_request"
        request = urllib.request.Request(
            self.endpoint + path,
            data=form.encode() if form is not None else None,
            headers={"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}
            | headers,
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.read()

    def outputs(self, stack: str) -> dict[str, str]:
        """Return a stack's outputs."""
        reply = ET.fromstring(self.ask("cloudformation", "/", f"Action=DescribeStacks&StackName={quote(stack)}"))
        return {
            member.findtext("{*}OutputKey"): member.findtext("{*}OutputValue")
            for member in reply.iterfind(".//{*}Outputs/{*}member")
        }

    def function(self, name: str, qualifier: str | None = None) -> DeployedFunction:
        """Return the function ``name`` (or ARN), at an alias or a version."""
        suffix = f"?Qualifier={qualifier}" if qualifier else ""
        reply = json.loads(self.ask("lambda", f"/2015-03-31/functions/{quote(name, safe='')}{suffix}"))
        return DeployedFunction(reply["Configuration"], self.ask("s3", reply["Code"]["Location"]))

    def alias(self, name: str, alias: str) -> dict[str, Any]:
        """Return where an alias of the function ``name`` points."""
        return json.loads(self.ask("lambda", f"/2015-03-31/functions/{quote(name, safe='')}/aliases/{alias}"))

    def log_filters(self, namespace: str, metric: str) -> list[dict[str, Any]]:
        """Return the filters of logs that count into a metric."""
        asked = {"X-Amz-Target": "Logs_20140328.DescribeMetricFilters", "Content-Type": "application/x-amz-json-1.1"}
        body = json.dumps({"metricNamespace": namespace, "metricName": metric})
        return json.loads(self.ask("logs", "/", body, **asked))["metricFilters"]

    def close(self) -> None:
        """End the server and forget everything it held."""
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._home.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
