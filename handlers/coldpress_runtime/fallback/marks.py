"""Who answered a request and why: in the answer's headers, in the log line and in a metric record."""

from __future__ import annotations

import time
from json.encoder import encode_basestring_ascii as quote

from coldpress_runtime.errors import DoorAnswerError, DoorBusyError, DoorLateError, WakingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coldpress_runtime.errors import DoorError

__all__ = ["METRICS", "Marks", "failure_name"]

#: Metric names and CloudWatch units; their dimensions are the model and the rule.
METRICS = (
    ("Fallbacks", "Count"),
    ("FallbackFailures", "Count"),
    ("FallbackRows", "Count"),
    ("FallbackMs", "Milliseconds"),
    ("Shadows", "Count"),
    ("ShadowDifferences", "Count"),
)
_DECLARED = ",".join(f'{{"Name":"{name}","Unit":"{unit}"}}' for name, unit in METRICS)
_FAILURES = {DoorLateError: "late", DoorBusyError: "busy", WakingError: "waking", DoorAnswerError: "answer"}


def failure_name(error: DoorError) -> str:
    """An error of the door in a word, for ``Coldpress-Fallback``."""
    return next((name for kind, name in _FAILURES.items() if isinstance(error, kind)), "unreachable")


class Marks:
    """What became of one request.

    Attributes:
        rule: the rule that sent it out; None when nothing did.
        endpoint: whether the endpoint answered; else the function's own model did.
        failed: why the endpoint did not, in a word; None when it did, or was not asked.
        rows: how many rows were asked for; 0 where the whole request was.
        door_ms: milliseconds that the endpoint took, the way there and back included.
        at_once: whether the endpoint must not be asked, because nobody can wait where the request is answered.
        different: whether the endpoint, asked as a shadow, said something else; None when it was not asked.
    """

    __slots__ = ("at_once", "different", "door_ms", "endpoint", "failed", "rows", "rule")

    def __init__(self, rule: str | None = None) -> None:
        self.rule = rule
        self.at_once = False
        self.endpoint = False
        self.failed: str | None = None
        self.rows = 0
        self.door_ms = 0.0
        self.different: bool | None = None

    def headers(self) -> dict[str, str]:
        """The headers that tell a caller who answered."""
        told = {"Coldpress-Answered-By": "endpoint" if self.endpoint else "function"}
        if self.rule is not None:
            told["Coldpress-Fallback"] = self.rule if self.failed is None else f"{self.rule}; failed={self.failed}"
        return told

    def log(self) -> str:
        """More fields of the log line, each behind a comma."""
        text = f',"answered_by":"{"endpoint" if self.endpoint else "function"}"'
        if self.rule is not None:
            text += f',"fallback":"{self.rule}","fallback_rows":{self.rows}'
        if self.door_ms:
            text += f',"door_ms":{self.door_ms:.3f}'
        if self.failed is not None:
            text += f',"fallback_failed":"{self.failed}"'
        if self.different is not None:
            text += f',"shadow_different":{"true" if self.different else "false"}'
        return text

    def metrics(self, namespace: str, model: str) -> str:
        """A record in CloudWatch's embedded metric format, as a line; nothing where there is nothing to count."""
        if self.rule is None and self.different is None and self.failed is None:
            return ""
        return (
            f'{{"_aws":{{"Timestamp":{int(time.time() * 1000)},"CloudWatchMetrics":[{{"Namespace":"{namespace}",'
            f'"Dimensions":[["fallback","model"]],"Metrics":[{_DECLARED}]}}]}},"fallback":"{self.rule or "shadow"}",'
            f'"model":{quote(model)},"Fallbacks":{int(self.rule is not None)},'
            f'"FallbackFailures":{int(self.failed is not None)},"FallbackRows":{self.rows},'
            f'"FallbackMs":{self.door_ms:.3f},"Shadows":{int(self.different is not None)},'
            f'"ShadowDifferences":{int(bool(self.different))}}}\n'
        )
