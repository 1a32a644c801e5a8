"""AWS: a queue of uploads in, each scored once. Lambda's ``handler(event, context)`` for an SQS event source.

What becomes of a message:

- its object is scored, or has been, or is gone or replaced (the new one has a message of its own): it is done with;
- time is up before all rows are scored: the function sends itself another message, with what is left;
- the object cannot be scored, whoever tries: it goes to the dead-letter queue with the attribute ``reason``;
- S3 refuses or is too busy, or something breaks: it comes back, later and later, and SQS itself moves it to the
  dead-letter queue in the end.

Powertools keeps the account of a batch and of events that come twice. That is courtesy, and saves work: that no row is
scored twice rests on the job's own conditional writes.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyAlreadyInProgressError

from coldpress_runtime.batch.emf import Metrics
from coldpress_runtime.batch.runner import IDLE_TURNS
from coldpress_runtime.batch.s3_events import Arrival, arrivals
from coldpress_runtime.batch.stores import open_store
from coldpress_runtime.errors import BatchError, ColdpressError, ConflictError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from coldpress_runtime.batch.job import Job
    from coldpress_runtime.batch.runner import Runners

__all__ = ["make_handler"]

_RESERVE_S = 10.0  # of the time limit: for the message to itself, the account of events, and the answer
_REMEMBER_S = 24 * 3600
_REASON_CHARACTERS = 1000
_FIRST_WAIT_S = 60
_LONGEST_WAIT_S = 3600


def make_handler(runners: Runners, other: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return Lambda's handler.

    Args:
        runners: what scores.
        other: takes events that come from no queue.
    """
    uploads = _Uploads(runners)

    def handler(event: Any, context: LambdaContext) -> Any:
        return uploads.handle(event, context) if "Records" in event else other(event, context)

    return handler


class _Uploads:
    def __init__(self, runners: Runners) -> None:
        model = runners.runner.model
        self._runners = runners
        self._queue = os.environ["COLDPRESS_QUEUE"]
        self._dead_letters = os.environ["COLDPRESS_DEAD_LETTERS"]
        self._sqs = boto3.client("sqs")
        self._log = Logger(service=model.name)
        self._metrics = Metrics(model.name)
        self._processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
        self._seen = IdempotencyConfig(expires_after_seconds=_REMEMBER_S)
        self._once = idempotent_function(
            self._score,
            data_keyword_argument="work",
            persistence_store=DynamoDBPersistenceLayer(table_name=os.environ["COLDPRESS_SEEN_EVENTS"]),
            config=self._seen,
            key_prefix=model.sha256[:12],  # another model scores again what this one has scored
        )

    def handle(self, event: Any, context: LambdaContext) -> Any:
        """Take a batch of messages; return which of them are to come back."""
        self._seen.register_lambda_context(context)
        return process_partial_response(event, self._take, self._processor, context)

    def _take(self, record: SQSRecord, lambda_context: LambdaContext) -> None:
        """Deal with a message; raises whatever it is to come back for."""
        try:
            found = arrivals(record.body)
        except ColdpressError as error:
            self._give_up(record.body, error)
            return
        problem: Exception | None = None
        for arrival in found:
            try:
                self._once(work=arrival._asdict(), context=lambda_context)
            except IdempotencyAlreadyInProgressError as error:
                self._log.info("another invocation works on this event", object=arrival.key)
                problem = error
            except StoreError as error:
                self._log.warning(str(error), object=arrival.key)
                problem = error
            except ColdpressError as error:
                self._give_up(arrival.to_message(), error)
            except Exception as error:  # noqa: BLE001 - whatever it is, the message must come back
                self._log.exception("scoring broke off", object=arrival.key)
                problem = error
        if problem is not None:
            self._wait(record)
            raise problem

    def _score(self, *, work: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Score an object, or go on with it; return what became of it.

        Raises:
            StoreError: it may go better later.
            ColdpressError: nobody can score it.
        """
        arrival = Arrival(**work)
        runner = self._runners.runner
        if reason := runner.why_not(arrival.key):
            return self._told(arrival, "passed", reason)
        store, key = open_store(arrival.url)
        stat = store.stat(key)
        if stat is None or (arrival.version and stat.version != arrival.version):
            return self._told(arrival, "gone", "it was deleted or replaced before it was read")
        if not stat.size and key.endswith("/"):
            return self._told(arrival, "passed", "it stands for a folder")
        job = runner.job(store, stat, arrival.url)
        runner.check_names(job)
        try:
            with self._runners.use():
                outcome, row = runner.run(job, lambda: _seconds_left(context))
        except ConflictError as conflict:
            return self._contested(arrival, job, conflict)
        self._metrics.add(outcome)
        if outcome.status == "failed":
            raise BatchError(outcome.reason)
        if outcome.status == "unfinished":
            self._hand_on(arrival._replace(version=stat.version), row or arrival.row, outcome.reason)
        return self._told(arrival, outcome.status, outcome.reason)

    def _contested(self, arrival: Arrival, job: Job, conflict: ConflictError) -> dict[str, Any]:
        """Leave a job to who is at work on it: that one's message comes back should it die."""
        if not job.layout.is_begun():
            raise BatchError(str(conflict)) from conflict
        return self._told(arrival, "passed", str(conflict))

    def _hand_on(self, arrival: Arrival, row: int, reason: str) -> None:
        """Send the queue what is left of a job."""
        idle = arrival.idle + 1 if row == arrival.row else 0
        if idle >= IDLE_TURNS:
            raise BatchError(
                f"{idle} invocations came no further than row {row}: {reason} Give the function more time or memory "
                "(batch.timeout_s, batch.memory_mb)."
            )
        rest = arrival._replace(turn=arrival.turn + 1, row=row, idle=idle)
        self._sqs.send_message(QueueUrl=self._queue, MessageBody=rest.to_message())

    def _give_up(self, message: str, error: ColdpressError) -> None:
        """Put what nobody can score where somebody looks after it."""
        self._log.error(str(error), dead_letter=message)
        # SQS takes no control characters in an attribute, and a reason may repeat some of the record.
        text = "".join(c if c.isprintable() else " " for c in str(error))[:_REASON_CHARACTERS]
        reason = {"DataType": "String", "StringValue": text or type(error).__name__}
        self._sqs.send_message(QueueUrl=self._dead_letters, MessageBody=message, MessageAttributes={"reason": reason})

    def _wait(self, record: SQSRecord) -> None:
        """Have a message come back later each time, and not when the time is up that a whole job may take."""
        received = int(record.attributes.approximate_receive_count)
        seconds = min(_FIRST_WAIT_S * 4 ** (received - 1), _LONGEST_WAIT_S)
        with suppress(botocore.exceptions.ClientError):  # then it comes back when that time is up
            self._sqs.change_message_visibility(
                QueueUrl=self._queue, ReceiptHandle=record.receipt_handle, VisibilityTimeout=seconds
            )

    def _told(self, arrival: Arrival, status: str, reason: str) -> dict[str, Any]:
        self._log.info(status, object=arrival.key, version=arrival.version, turn=arrival.turn, reason=reason)
        return {"status": status, "reason": reason}


def _seconds_left(context: LambdaContext) -> float:
    return context.get_remaining_time_in_millis() / 1000 - _RESERVE_S
