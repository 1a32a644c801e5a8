"""What becomes of jobs as CloudWatch metrics: a line on stdout in the embedded metric format, which needs no call."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from coldpress_runtime.telemetry import NAMESPACE

if TYPE_CHECKING:
    from coldpress_runtime.batch.job import Outcome

__all__ = ["Metrics"]

_JOBS = {"done": "JobsDone", "failed": "JobsFailed", "unfinished": "JobsHandedOn", "gone": "JobsGone"}


class Metrics:
    """The metrics of a function.

    Args:
        model: the model's name, a dimension like that of the answering function.
    """

    def __init__(self, model: str) -> None:
        self._dimensions = {"function_name": os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "function"), "model": model}

    def add(self, outcome: Outcome) -> None:
        """Count a job, and its rows when it has ended."""
        name = _JOBS.get(outcome.status)
        if name is None:
            return
        line = AmazonCloudWatchEMFProvider(namespace=NAMESPACE, default_dimensions=self._dimensions)
        line.add_metric(name, "Count", 1)
        if manifest := outcome.manifest:
            line.add_metric("RowsScored", "Count", manifest["rows"]["scored"])
            line.add_metric("RowsRejected", "Count", manifest["rows"]["rejected"])
            line.add_metric("BytesRead", "Bytes", manifest["bytes"]["read"])
            line.add_metric("BytesWritten", "Bytes", manifest["bytes"]["written"])
            line.add_metric("JobSeconds", "Seconds", manifest["seconds"]["total"])
        line.flush_metrics()
