"""What one invocation leaves behind: a line of structured log and a CloudWatch metric record, both on stdout.

The metric record is in CloudWatch's embedded metric format (EMF): CloudWatch Logs turns the line into the metrics it
declares, with no agent and no call to a service. Everything is written by hand because the loggers and metric
libraries cost tens of milliseconds of start-up. Neither line holds a header, a query or a body.

The log line's ``status`` and ``function_version`` are an interface: a metric filter of ``templates/aws`` counts a
release's failures by them.
"""

from __future__ import annotations

import os
import sys
import time
from json.encoder import encode_basestring_ascii as quote

from coldpress_runtime import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coldpress_runtime.http import Request, Response

__all__ = ["METRICS", "NAMESPACE", "Telemetry", "log_line"]

NAMESPACE = "coldpress"
#: Where providers say which version or revision runs: Lambda, Function Compute, Cloud Run and Knative.
_VERSIONS = ("AWS_LAMBDA_FUNCTION_VERSION", "FC_FUNCTION_VERSION", "K_REVISION")
#: Metric names and CloudWatch units.
METRICS = (
    ("ColdStart", "Count"),
    ("DecodeMs", "Milliseconds"),
    ("RunMs", "Milliseconds"),
    ("EncodeMs", "Milliseconds"),
    ("TotalMs", "Milliseconds"),
    ("Errors", "Count"),
)


class Telemetry:
    """Writes the two lines; the first invocation carries the cold start flag and the timings of init.

    Args:
        model: the model's name, the metrics' dimension.
        init: milliseconds by step of loading.
        write: takes the text of both lines; stdout by default.
        function_name: the metrics' second dimension; by default what Lambda says, and none elsewhere.
    """

    __slots__ = ("_emf", "_init", "_model", "_origin", "_write", "cold")

    def __init__(
        self,
        model: str,
        init: dict[str, float],
        write: Callable[[str], object] | None = None,
        function_name: str | None = None,
    ) -> None:
        name = function_name if function_name is not None else os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
        dimensions = '"function_name","model"' if name else '"model"'
        metrics = ",".join(f'{{"Name":"{metric}","Unit":"{unit}"}}' for metric, unit in METRICS)
        version = next(filter(None, map(os.environ.get, _VERSIONS)), "")
        of_model = f'"model":{quote(model)}'
        self._origin = of_model + (f',"function_version":{quote(version)}' if version else "")
        of_function = (f'"function_name":{quote(name)},' if name else "") + of_model
        # All but the time stamp and the values is the same for every invocation.
        self._emf = (
            f',"CloudWatchMetrics":[{{"Namespace":"{NAMESPACE}","Dimensions":[[{dimensions}]],'
            f'"Metrics":[{metrics}]}}]}},{of_function}'
        )
        self._init = init
        self._model = model
        self._write = write if write is not None else _stdout
        self.cold = True

    def restored(self) -> None:
        """Say that this process woke from a snapshot: its next invocation is a cold start again."""
        self.cold = True

    def record(self, request_id: str, request: Request, response: Response, total_ms: float) -> None:
        """Write one invocation's two lines, and a third where an endpoint was asked."""
        timings = response.timings
        now = time.time()
        seconds = int(now)
        milliseconds = int(now * 1000)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        cold, status = self.cold, response.status
        identity = quote(request_id)
        decode_ms, run_ms, encode_ms = timings.decode_ms, timings.run_ms, timings.encode_ms
        level = "INFO" if status < 400 else "WARNING" if status < 500 else "ERROR"
        extra = ""
        if cold:
            self.cold = False
            steps = ",".join(f"{quote(name)}:{value:.3f}" for name, value in self._init.items())
            extra = f',"init":{{{steps}}},"coldpress":"{__version__}"'
        if response.error is not None:
            error = response.error
            extra += f',"error":{{"type":"{type(error).__name__}","message":{quote(str(error))}}}'
        counts = ""
        if response.marks is not None:
            extra += response.marks.log()
            counts = response.marks.metrics(NAMESPACE, self._model)
        self._write(
            f'{{"level":"{level}","timestamp":"{stamp}.{milliseconds % 1000:03d}Z","request_id":{identity},'
            f'"message":"answered",{self._origin},"method":{quote(request.method)},'
            f'"path":{quote(request.path)},"status":{status},"cold_start":{"true" if cold else "false"},'
            f'"decode_ms":{decode_ms:.3f},"run_ms":{run_ms:.3f},"encode_ms":{encode_ms:.3f},'
            f'"total_ms":{total_ms:.3f},"request_bytes":{len(request.body)},"response_bytes":{len(response.body)}'
            f"{extra}}}\n"
            f'{{"_aws":{{"Timestamp":{milliseconds}{self._emf},"ColdStart":{1 if cold else 0},'
            f'"DecodeMs":{decode_ms:.3f},"RunMs":{run_ms:.3f},"EncodeMs":{encode_ms:.3f},"TotalMs":{total_ms:.3f},'
            f'"Errors":{1 if status >= 500 else 0},"request_id":{identity}}}\n{counts}'
        )


def log_line(text: str) -> None:
    """Write the log line alone: a cloud other than AWS makes no metrics of the second line."""
    _stdout(text.partition("\n")[0] + "\n")


def _stdout(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except (OSError, ValueError):
        return  # nobody reads any more; the caller shall have the answer all the same
