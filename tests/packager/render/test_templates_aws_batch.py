"""``templates/aws/batch``: what a stack that scores uploads has beside the function that answers."""

import dataclasses
import json
import re

import pytest

from coldpress.config import BatchConfig
from coldpress.errors import TemplateError
from coldpress.render.aws import AwsValues, render_aws
from coldpress.render.aws_batch import UPLOAD_EVENTS
from tests.packager.render.test_templates_aws import template

ANSWERING = AwsValues(name="digits")
SCORING = dataclasses.replace(ANSWERING, batch=BatchConfig(input="in/", output="out/", timeout_s=100, concurrency=7))
EVENTS = [dataclasses.replace(SCORING, upload_events=events) for events in UPLOAD_EVENTS]


def resources(values=SCORING):
    return template(values)["Resources"]


def statements(role):
    policies = role["Properties"]["Policies"]
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


def literal(value):
    """The text of ``!Sub``, in either form, or of a plain value."""
    while isinstance(value, dict):
        (value,) = value.values()
    return value[0] if isinstance(value, list) else value


@pytest.mark.parametrize("values", EVENTS, ids=UPLOAD_EVENTS)
def test_the_function_that_answers_is_as_it_is_without(values):
    alone, beside = template(ANSWERING), template(values)
    for part in ("Parameters", "Conditions", "Resources", "Outputs"):
        assert {name: beside[part][name] for name in alone[part]} == alone[part]


@pytest.mark.parametrize("values", EVENTS, ids=UPLOAD_EVENTS)
def test_the_queue_keeps_a_message_out_of_sight_for_six_time_limits(values):
    made = resources(values)
    queue, function = made["UploadQueue"]["Properties"], made["BatchFunction"]["Properties"]
    assert queue["VisibilityTimeout"] == 6 * function["Timeout"] == 600
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"!GetAtt": "DeadLetters.Arn"}
    mapping = function["Events"]["Upload"]["Properties"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 7}
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_one_bucket_of_this_account_may_send_to_the_queue():
    allowed, denied = resources()["UploadQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert allowed["Principal"] == {"Service": "s3.amazonaws.com"}
    assert allowed["Condition"]["StringEquals"] == {"aws:SourceAccount": {"!Ref": "AWS::AccountId"}}
    source, bucket = allowed["Condition"]["ArnEquals"]["aws:SourceArn"]["!Sub"]
    assert source == "arn:${AWS::Partition}:s3:::${Bucket}"
    assert bucket["Bucket"]["!If"][1] == resources()["Uploads"]["Properties"]["BucketName"]
    assert denied["Effect"] == "Deny"


def test_one_rule_may_send_to_the_queue_and_what_it_cannot_send_is_kept():
    made = resources(EVENTS[1])
    for policy in ("UploadQueuePolicy", "DeadLettersPolicy"):
        allowed, _ = made[policy]["Properties"]["PolicyDocument"]["Statement"]
        assert allowed["Condition"]["ArnEquals"] == {"aws:SourceArn": {"!GetAtt": "UploadRule.Arn"}}
    (target,) = made["UploadRule"]["Properties"]["Targets"]
    assert target["DeadLetterConfig"] == {"Arn": {"!GetAtt": "DeadLetters.Arn"}}
    assert made["UploadRule"]["Properties"]["EventPattern"]["detail"]["object"] == {"key": [{"prefix": "in/"}]}


def test_the_function_reads_below_one_prefix_and_writes_below_the_other():
    reach = {}
    for statement in statements(resources()["BatchRole"]):
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        for action in actions:
            reach.setdefault(literal(statement["Resource"]), set()).add(action)
    bucket = "arn:${AWS::Partition}:s3:::${Bucket}"
    assert reach.pop(f"{bucket}/in/*") == {"s3:GetObject"}
    writing = {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"}
    assert reach.pop(f"{bucket}/out/*") == writing
    assert reach.pop(bucket) == {"s3:ListBucket", "s3:ListBucketMultipartUploads"}
    assert set(reach) == {"BatchLog.Arn", "UploadQueue.Arn", "DeadLetters.Arn", "SeenEvents.Arn"}


def test_nothing_is_allowed_everywhere_but_what_has_no_resource():
    for values in (SCORING, dataclasses.replace(SCORING, tracing=True)):
        for name in ("BatchRole", "ScoringRole"):
            wide = [statement for statement in statements(resources(values)[name]) if statement["Resource"] == "*"]
            assert {action.partition(":")[0] for statement in wide for action in statement["Action"]} <= {
                "logs",
                "xray",
            }


def test_the_bucket_is_private_and_outlives_the_stack():
    bucket = resources()["Uploads"]
    assert bucket["Condition"] == "OwnBucket"
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    (policy,) = resources()["UploadsPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (policy["Effect"], policy["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_all_alarms_tell_the_topic():
    before = resources(ANSWERING)
    alarms = [
        made["Properties"]
        for name, made in resources().items()
        if made["Type"] == "AWS::CloudWatch::Alarm" and name not in before
    ]
    assert len(alarms) == 5
    for alarm in alarms:
        assert alarm["AlarmActions"] == {"!If": ["AlarmsTell", [{"!Ref": "AlarmTopic"}], {"!Ref": "AWS::NoValue"}]}


@pytest.mark.parametrize("name", ["digits", 'a "name"', "${AWS::Region}", "ü\\"])
def test_the_dashboard_is_json_whatever_the_model_is_called(name):
    body, words = resources(dataclasses.replace(SCORING, name=name))["BatchDashboard"]["Properties"]["DashboardBody"][
        "!Sub"
    ]
    filled = re.sub(r"\$\{(\w[\w:.]*)\}", lambda hole: words.get(hole[1], "x"), body)
    metrics = [metric for widget in json.loads(filled)["widgets"] for metric in widget["properties"]["metrics"]]
    assert {metric[-1] for metric in metrics if metric[0] == "coldpress"} == {name}


def test_every_state_leads_somewhere_and_tries_again():
    machine = resources()["Scoring"]["Properties"]["Definition"]

    def walk(states):
        for state in states.values():
            choices = state.get("Choices", []) + state.get("Catch", [])
            following = [state.get("Next"), state.get("Default"), *(choice["Next"] for choice in choices)]
            assert {name for name in following if name} <= set(states)
            if state["Type"] == "Task":
                assert [retrier["ErrorEquals"] for retrier in state["Retry"]][-1] == ["States.ALL"]
                assert any(retrier.get("JitterStrategy") == "FULL" for retrier in state["Retry"])
            if state["Type"] == "Map":
                assert state["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
                assert state["MaxConcurrency"] == 7
                walk(state["ItemProcessor"]["States"])

    walk(machine["States"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"memory_mb": 64}, "batch.memory_mb is 64; expected 128 to 10240"),
        ({"timeout_s": 901}, "batch.timeout_s is 901; expected 60 to 900"),
        ({"concurrency": 1}, "batch.concurrency is 1; expected 2 to 1000"),
        ({"input": "in*/"}, "batch.input is 'in*/', which a filter or a policy would read otherwise"),
        ({"output": "${x}/"}, "batch.output is '${x}/'"),
    ],
)
def test_what_a_deployment_would_refuse_or_misread_is_refused_at_once(wrong, said):
    with pytest.raises(TemplateError, match=re.escape(said)):
        dataclasses.replace(SCORING, batch=BatchConfig(**wrong))


def test_events_come_from_the_bucket_or_from_eventbridge():
    with pytest.raises(TemplateError, match="upload_events is 'sns'; expected one of s3, eventbridge"):
        dataclasses.replace(SCORING, upload_events="sns")


def test_the_readme_says_what_to_add_to_a_bucket_of_ones_own():
    said = [render_aws(values)["README.md"] for values in EVENTS]
    assert "add a notification of `s3:ObjectCreated:*` to the queue" in said[0]
    assert "add `EventBridgeConfiguration` to them" in said[1]
