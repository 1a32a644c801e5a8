"""What Lambda does with a queue that a function is mapped to: polls it, invokes, deletes what is done with.

The function is the code object that lies behind the deployed function's name, run under Lambda's own runtime client
with the deployed settings. Time does not pass here: what is invisible comes back when a test says so.
"""

from pathlib import Path
from typing import Any, Self

import boto3

from coldpress.emulate.aws import LambdaFunction
from coldpress.errors import EmulateError
from tests.support.local_aws import LocalAws

__all__ = ["Deployed", "Poller", "clients"]


def clients(aws: LocalAws, *services: str) -> tuple[Any, ...]:
    """Return AWS's own clients, pointed at the local AWS."""
    settings = {"endpoint_url": aws.endpoint, "region_name": "us-east-1"}
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    return tuple(boto3.client(service, **settings, **keys) for service in services)


class Deployed:
    """A deployed function, as Lambda would run it.

    Args:
        aws: where it is deployed.
        function: its name.
        scratch: a folder for its code.
        timeout_s: of an invocation; None: what is deployed.
        endpoint: what stands between the function and AWS; empty: nothing.
    """

    def __init__(
        self, aws: LocalAws, function: str, scratch: Path, timeout_s: float | None = None, endpoint: str = ""
    ) -> None:
        deployed = aws.function(function)
        self.settings = deployed.configuration
        self.variables = self.settings["Environment"]["Variables"]
        self._timeout_s = timeout_s or self.settings["Timeout"]
        self._code = scratch / f"{function}.zip"
        self._code.write_bytes(deployed.code)
        self._environment = {name: value for name, value in aws.environment().items() if name.startswith("AWS_")}
        if endpoint:
            self._environment["AWS_ENDPOINT_URL"] = endpoint
        self._environment |= {"AWS_REGION": "us-east-1", "AWS_LAMBDA_FUNCTION_NAME": function, **self.variables}

    def start(self) -> LambdaFunction:
        """Start a process of the function."""
        return LambdaFunction(
            self._code,
            handler=self.settings["Handler"],
            sdk=True,
            memory_mb=self.settings["MemorySize"],
            timeout_s=self._timeout_s,
            environment=self._environment,
        )


class Poller:
    """An event source mapping and its function. Use as a context manager.

    Args:
        aws: where it is deployed.
        function: the function's name.
        deployed: the function.
    """

    def __init__(self, aws: LocalAws, function: str, deployed: Deployed) -> None:
        self._sqs, self._table, lambdas = clients(aws, "sqs", "dynamodb", "lambda")
        (self.mapping,) = lambdas.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
        self._deployed = deployed
        self._seen = deployed.variables["COLDPRESS_SEEN_EVENTS"]
        self.queue, self.dead_letters = (deployed.variables[f"COLDPRESS_{name}"] for name in ("QUEUE", "DEAD_LETTERS"))
        self._invisible: list[str] = []
        self.function = self.start()

    def start(self) -> LambdaFunction:
        """Start another process of the function."""
        return self._deployed.start()

    def receive(self) -> list[dict[str, Any]]:
        """Take a batch of messages off the queue, for as long as its visibility timeout is."""
        found = self._sqs.receive_message(
            QueueUrl=self.queue,
            MaxNumberOfMessages=self.mapping["BatchSize"],
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages = found.get("Messages", [])
        self._invisible += [message["ReceiptHandle"] for message in messages]
        return messages

    def event(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what the function gets: docs.aws.amazon.com/lambda/latest/dg/with-sqs.html."""
        return {
            "Records": [
                {
                    "messageId": message["MessageId"],
                    "receiptHandle": message["ReceiptHandle"],
                    "body": message["Body"],
                    "attributes": message["Attributes"],
                    "messageAttributes": message.get("MessageAttributes", {}),
                    "md5OfBody": message["MD5OfBody"],
                    "eventSource": "aws:sqs",
                    "eventSourceARN": self.mapping["EventSourceArn"],
                    "awsRegion": "us-east-1",
                }
                for message in messages
            ]
        }

    def deliver(self, messages: list[dict[str, Any]], function: LambdaFunction | None = None) -> set[str]:
        """Invoke the function with messages and delete those that it is done with; return the ids of the others."""
        failed = {message["MessageId"] for message in messages}
        try:
            answer = (function or self.function).invoke(self.event(messages))
        except EmulateError:  # it died, or ran out of time: nothing is deleted
            return failed
        if answer.error is None:
            failed = {failure["itemIdentifier"] for failure in answer.json()["batchItemFailures"]}
        for message in messages:
            if message["MessageId"] not in failed:
                self._sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                self._invisible.remove(message["ReceiptHandle"])
        return failed

    def drain(self) -> int:
        """Deliver until nothing is visible any more; return how many invocations it took."""
        invocations = 0
        while messages := self.receive():
            self.deliver(messages)
            invocations += 1
        return invocations

    def let_time_pass(self) -> None:
        """Let invocations that were killed be over by their time limit, and what is invisible come back after that."""
        for item in self._table.scan(TableName=self._seen)["Items"]:
            if item["status"]["S"] == "INPROGRESS":
                item["in_progress_expiration"] = {"N": "0"}
                self._table.put_item(TableName=self._seen, Item=item)
        while self._invisible:
            self._sqs.change_message_visibility(
                QueueUrl=self.queue, ReceiptHandle=self._invisible.pop(), VisibilityTimeout=0
            )

    def send(self, body: str) -> None:
        """Put a message into the queue."""
        self._sqs.send_message(QueueUrl=self.queue, MessageBody=body)

    def dead(self) -> list[dict[str, Any]]:
        """Take what lies in the dead-letter queue."""
        found = []
        while messages := self._sqs.receive_message(
            QueueUrl=self.dead_letters, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            found += messages
        return found

    def close(self) -> None:
        """End the function's process."""
        self.function.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
