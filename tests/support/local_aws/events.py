"""What moto does otherwise than AWS between an upload and a function, mended in place. Runs in moto's environment."""

import itertools
from typing import Any

from moto.awslambda.models import LambdaBackend
from moto.events.models import Rule
from moto.s3 import notifications
from moto.s3.models import FakeBucket, s3_backends
from moto.sqs.models import sqs_backends
from moto.utilities.utils import get_partition

__all__ = ["install"]

_sequence = itertools.count(0x55AED6DCD90281E5)


def install() -> None:
    """Have templates' buckets notify, events tell all that AWS's do, and nobody but the test play Lambda's poller."""
    _notify_from_templates()
    _tell_of_events_as_s3_does()
    _leave_queues_to_the_test()


def _notify_from_templates() -> None:
    create = FakeBucket.create_from_cloudformation_json.__func__

    def create_notifying(cls: Any, name: str, document: Any, account: str, region: str, **rest: Any) -> Any:
        bucket = create(cls, name, document, account, region, **rest)
        wanted = document.get("Properties", {}).get("NotificationConfiguration")
        if wanted:
            backend = s3_backends[account][get_partition(region)]
            backend.put_bucket_notification_configuration(name, _as_the_api_takes_it(wanted))
        return bucket

    FakeBucket.create_from_cloudformation_json = classmethod(create_notifying)


def _as_the_api_takes_it(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return CloudFormation's spelling of a bucket's notifications in that of S3's own API."""
    if "EventBridgeConfiguration" in wanted:
        return {"EventBridgeConfiguration": {}}
    return {
        "QueueConfiguration": [
            {
                "Queue": queue["Queue"],
                "Event": [queue["Event"]],
                "Filter": {
                    "S3Key": {
                        "FilterRule": [
                            {"Name": rule["Name"], "Value": rule["Value"]} for rule in queue["Filter"]["S3Key"]["Rules"]
                        ]
                    }
                },
            }
            for queue in wanted["QueueConfigurations"]
        ]
    }


def _tell_of_events_as_s3_does() -> None:
    make = notifications._get_s3_event

    def make_with_sequencer(*arguments: Any) -> Any:
        event = make(*arguments)
        event["Records"][0]["s3"]["object"]["sequencer"] = f"{next(_sequence):016X}"
        return event

    notifications._get_s3_event = make_with_sequencer

    send = Rule.send_to_targets

    def send_as_eventbridge_does(self: Rule, event: Any, **options: Any) -> None:
        if event["source"] == "aws.s3":
            told = event["detail"]["object"]
            told["etag"] = told.pop("eTag")
            told["sequencer"] = f"{next(_sequence):016X}"
        send(self, event, **options)

    Rule.send_to_targets = send_as_eventbridge_does


def _leave_queues_to_the_test() -> None:
    """Keep moto from running the function itself, in a container, inside of the call that sends a message."""
    create = LambdaBackend.create_event_source_mapping

    def create_only(self: LambdaBackend, spec: dict[str, Any]) -> Any:
        mapping = create(self, spec)
        for queue in sqs_backends[self.account_id][self.region_name].queues.values():
            queue.lambda_event_source_mappings.clear()
        return mapping

    LambdaBackend.create_event_source_mapping = create_only
