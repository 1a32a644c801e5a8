"""An upload to the local bucket is scored by the packed function, through the deployed stack.

``sam deploy`` puts the folder that ``pack`` wrote into a local AWS; what runs is the code object that lies there. The
test plays the part of Lambda that polls the queue, and so may deliver twice, out of order, and kill.
"""

import ast
import json
import shutil
import threading
import uuid
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from coldpress.config import BatchConfig
from coldpress.emulate.aws import LambdaFunction
from coldpress.emulate.http import HttpRequest
from coldpress.render.aws import AwsValues, render_aws
from coldpress.render.template import write_files
from tests.support.local_aws import LocalAws
from tests.support.local_aws.calls import Calls, allows, unused
from tests.support.local_aws.functions import Functions
from tests.support.local_aws.poller import Deployed, Poller, clients
from tests.support.packing import coldpress, shared

pytestmark = [pytest.mark.cloud, pytest.mark.xdist_group("local-aws-batch")]

BATCH = BatchConfig(timeout_s=60)
ROWS = 300


@pytest.fixture(scope="module")
def functions():
    with Functions() as running:
        yield running


@pytest.fixture(scope="module")
def aws(functions):
    with LocalAws(LOCAL_AWS_FUNCTIONS=functions.address) as running:
        yield running


@pytest.fixture(scope="session")
def bundle(tmp_path_factory, digits):
    """The digits model, packed with a function that scores uploads."""

    def make(folder):
        folder.mkdir()
        settings = folder / "coldpress.toml"
        settings.write_text(
            f'[model]\nsource = "{digits}/model.onnx"\nname = "digits"\n[samples]\n'
            f'evaluation = "{digits}/evaluation.npz"\n[batch]\ntimeout_s = {BATCH.timeout_s}\n'
        )
        run = coldpress("pack", "--config", settings, "--out", folder / "aws", "--json")
        assert run.returncode == 0, run.stderr
        (folder / "report.json").write_text(run.stdout)

    folder = shared(tmp_path_factory, "digits_batch_bundle", make)
    return folder / "aws", json.loads((folder / "report.json").read_text())


class Stack:
    """A deployed stack: its bucket, and the function that scores what is put there."""

    def __init__(self, aws, name, folder, scratch):
        settings = folder / "samconfig.toml"
        settings.write_text(settings.read_text().replace('stack_name = "coldpress-digits"', f'stack_name = "{name}"'))
        aws.sam("deploy", "--no-confirm-changeset", folder=folder)
        self.aws, self.scratch, self.folder = aws, scratch, folder
        self.outputs = aws.outputs(name)
        self.bucket = self.outputs["UploadsBucketName"]
        self.s3, lambdas = clients(aws, "s3", "lambda")
        names = [found["FunctionName"] for found in lambdas.list_functions()["Functions"]]
        (self.function,) = [found for found in names if found.startswith(f"{name}-BatchFunction-")]

    def deployed(self, **options):
        return Deployed(self.aws, self.function, self.scratch, **options)

    def poller(self, **options):
        return Poller(self.aws, self.function, self.deployed(**options))

    def put(self, key, body):
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def get(self, key):
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def keys(self, prefix):
        return [
            found["Key"] for found in self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", ())
        ]

    def results(self, name):
        """Return an upload's manifests; and what else lies there, by the end of its name."""
        keys = self.keys(f"scores/{name}/")
        manifests = [json.loads(self.get(key)) for key in keys if key.endswith("manifest.json")]
        return manifests, {key.rpartition("/")[2]: key for key in keys}

    def scores(self, name):
        """Return the one manifest of an upload, and the scores."""
        manifests, _ = self.results(name)
        (manifest,) = manifests
        return manifest, [json.loads(line) for line in self.get(manifest["outputs"]["scores"]).splitlines()]


@pytest.fixture(scope="module")
def stack(aws, bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deploy") / "aws"
    shutil.copytree(bundle[0], folder)
    return Stack(aws, "scoring", folder, tmp_path_factory.mktemp("code"))


@pytest.fixture
def poller(stack):
    with stack.poller() as running:
        running.drain()  # what S3 sends to try whether it may
        yield running
        running.let_time_pass()
        running.drain()


@pytest.fixture(scope="module")
def pixels(digits):
    """Rows for the digits model, (ROWS, 64)."""
    return np.resize(np.load(digits / "evaluation.npz")["pixels"], (ROWS, 64))


@pytest.fixture(scope="module")
def expected(bundle, pixels):
    """What the function that answers says of these rows."""
    with LambdaFunction(bundle[0]) as function:
        body = json.dumps({"instances": pixels.tolist()}).encode()
        reply = function.call(HttpRequest("POST", "/predict", {"content-type": "application/json"}, body)).reply
    return json.loads(reply.body)["predictions"]


def lines(pixels):
    return b"".join(json.dumps({"pixels": row}).encode() + b"\n" for row in pixels.tolist())


def is_right(scores, expected):
    """Whether each row is there once, in order, with the answer that a request gets."""
    assert [score.pop("row") for score in scores] == list(range(len(expected)))
    assert [score["label"] for score in scores] == [answer["label"] for answer in expected]
    found, wanted = ([row["probabilities"] for row in rows] for rows in (scores, expected))
    np.testing.assert_allclose(found, wanted, atol=1e-5)  # rows run together round otherwise than alone
    return True


@pytest.mark.parametrize("name", ["a b+c%2B%ü☃.jsonl", "deep/er/rows.jsonl"])
def test_an_upload_is_scored_row_by_row(stack, poller, pixels, expected, name):
    stack.put(f"uploads/{name}", lines(pixels))
    assert poller.drain() == 1
    manifest, scores = stack.scores(name)
    assert is_right(scores, expected)
    assert manifest["status"] == "done"
    assert manifest["rows"] == {"read": ROWS, "scored": ROWS, "rejected": 0}
    assert manifest["input"]["url"] == f"s3://{stack.bucket}/uploads/{name}"
    assert poller.dead() == []


def test_what_is_deployed_is_what_was_packed(stack, bundle):
    deployed = stack.aws.function(stack.function)
    assert deployed.code_sha256 == bundle[1]["batch"]["code_sha256"]
    settings = ("Handler", "MemorySize", "Timeout")
    assert [deployed.configuration[key] for key in settings] == ["batch.handler", BATCH.memory_mb, BATCH.timeout_s]


def test_metrics_are_those_of_the_dashboard(stack, poller, pixels):
    stack.put("uploads/metrics.jsonl", lines(pixels[:20]) + b"no json\n")
    poller.drain()
    (line,) = [json.loads(line) for line in poller.function.logs().splitlines() if line.startswith('{"_aws"')]
    (declared,) = line["_aws"]["CloudWatchMetrics"]
    (dashboards,) = clients(stack.aws, "cloudwatch")
    (entry,) = dashboards.list_dashboards()["DashboardEntries"]
    body = json.loads(dashboards.get_dashboard(DashboardName=entry["DashboardName"])["DashboardBody"])
    shown = [metric for widget in body["widgets"] for metric in widget["properties"]["metrics"]]
    ours = [metric for metric in shown if metric[0] == declared["Namespace"]]
    rows = [metric for metric in ours if metric[1].startswith("Rows")]
    assert {metric[1]: line[metric[1]] for metric in rows} == {"RowsScored": [20], "RowsRejected": [1]}
    for metric in ours:
        names, values = metric[2::2], metric[3::2]
        assert names in declared["Dimensions"]
        assert [line[name] for name in names] == values


def test_time_runs_out_again_and_again_and_every_row_is_there_once(stack, pixels, expected):
    # Of 12 seconds, 10 are kept in reserve and the job keeps 2: each invocation scores one chunk and hands on the rest.
    with stack.poller(timeout_s=12) as poller:
        poller.drain()
        stack.put("uploads/slow.jsonl", lines(pixels[:60]))
        turns = poller.drain()
        manifest, scores = stack.scores("slow.jsonl")
        assert is_right(scores, expected[:60])
        assert manifest["runs"] == turns > 2
        assert poller.dead() == []
    assert [name for name in stack.results("slow.jsonl")[1] if name == "checkpoint"] == []


def test_the_same_event_twice_at_once_is_one_job(stack, poller, pixels, expected):
    stack.put("uploads/twice.jsonl", lines(pixels))
    messages = poller.receive()
    poller.send(messages[0]["Body"])  # SQS delivers at least once
    again = poller.receive()
    with poller.start() as second:
        other = threading.Thread(target=poller.deliver, args=(again, second))
        other.start()
        poller.deliver(messages)
        other.join()
    poller.let_time_pass()
    poller.drain()
    manifest, scores = stack.scores("twice.jsonl")
    assert is_right(scores, expected)
    assert manifest["runs"] == 1
    assert poller.dead() == []


def test_events_out_of_order_leave_the_last_upload_scored(stack, poller, pixels, expected):
    stack.put("uploads/order.jsonl", lines(pixels[:10]))
    first = poller.receive()
    stack.put("uploads/order.jsonl", lines(pixels[:40]))
    second = poller.receive()
    assert poller.deliver(second) == poller.deliver(first) == set()
    manifest, scores = stack.scores("order.jsonl")
    assert is_right(scores, expected[:40])
    assert manifest["runs"] == 1
    assert poller.dead() == []


def test_an_upload_that_is_deleted_first_leaves_nothing(stack, poller, pixels):
    stack.put("uploads/gone.jsonl", lines(pixels))
    stack.s3.delete_object(Bucket=stack.bucket, Key="uploads/gone.jsonl")
    assert poller.drain() == 1
    assert stack.keys("scores/gone.jsonl") == []
    assert poller.dead() == []


def test_a_killed_function_loses_no_row(stack, poller, pixels, expected):
    copies = 400
    stack.put("uploads/killed.jsonl", lines(pixels) * copies)
    messages = poller.receive()
    victim = poller.start()
    work = threading.Thread(target=poller.deliver, args=(messages, victim))
    work.start()
    while not any(key.endswith("checkpoint") for key in stack.keys("scores/killed.jsonl")):
        assert work.is_alive()
    victim.close()
    work.join()
    assert stack.results("killed.jsonl")[0] == []
    poller.let_time_pass()
    poller.drain()
    manifest, scores = stack.scores("killed.jsonl")
    assert is_right(scores, expected * copies)
    assert manifest["runs"] == 2
    assert poller.dead() == []


def test_what_nobody_can_score_is_a_dead_letter_with_the_reason(stack, poller):
    stack.put("uploads/poison.parquet", b"this is no Parquet file")
    assert poller.drain() == 1
    (letter,) = poller.dead()
    assert json.loads(letter["Body"])["coldpress"]["key"] == "uploads/poison.parquet"
    reason = letter["MessageAttributes"]["reason"]["StringValue"]
    (manifest,), _ = stack.results("poison.parquet")
    assert manifest["status"] == "failed"
    assert reason == manifest["reason"]
    # Sent back once the cause is mended, it is looked at again.
    poller.send(letter["Body"])
    poller.drain()
    assert [again["Body"] for again in poller.dead()] == [letter["Body"]]


def test_a_name_that_leaves_no_room_for_its_results_is_a_dead_letter(stack, poller):
    key = f"uploads/{'x' * 1000}"
    stack.put(key, b"1")
    poller.drain()
    (letter,) = poller.dead()
    assert "give the object a shorter name" in letter["MessageAttributes"]["reason"]["StringValue"]
    stack.s3.delete_object(Bucket=stack.bucket, Key=key)


def test_a_message_that_is_no_event_is_a_dead_letter(poller):
    poller.send("hello")
    poller.drain()
    (letter,) = poller.dead()
    assert letter["Body"] == "hello"
    assert "no event of S3" in letter["MessageAttributes"]["reason"]["StringValue"]


def test_a_bucket_that_denies_brings_the_message_back_until_it_is_a_dead_letter(stack, poller, pixels):
    objects = f"arn:aws:s3:::{stack.bucket}/uploads/denied*"
    denied = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": objects}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [denied]})
    stack.put("uploads/denied.jsonl", lines(pixels))
    stack.s3.put_bucket_policy(Bucket=stack.bucket, Policy=policy)
    try:
        for _ in range(5):
            messages = poller.receive()
            assert poller.deliver(messages) == {message["MessageId"] for message in messages} != set()
            assert poller.receive() == []  # not before some time has passed
            poller.let_time_pass()
        assert poller.receive() == []
    finally:
        stack.s3.delete_bucket_policy(Bucket=stack.bucket)
    (letter,) = poller.dead()
    assert letter["Body"] == messages[0]["Body"]
    assert "S3 denies s3:GetObject" in poller.function.logs()


@pytest.mark.parametrize("key", ["scores/x.jsonl", "elsewhere/x.jsonl", "uploads/folder/"])
def test_what_is_no_upload_is_passed_over(stack, poller, pixels, key):
    stack.put(key, b"" if key.endswith("/") else lines(pixels))
    assert len(poller.receive()) == key.startswith("uploads/")  # else the bucket does not even tell
    before = stack.keys("")
    poller.send(json.dumps({"coldpress": {"bucket": stack.bucket, "key": key, "version": "", "event": "1"}}))
    poller.drain()
    assert stack.keys("") == before
    assert poller.dead() == []


class Machine:
    """The state machine of a stack, whose functions run here."""

    def __init__(self, stack, functions, **options):
        self.stack = stack
        self.functions = functions
        self.events = []
        deployed = stack.deployed(**options)
        functions.serve(stack.function, deployed.start)
        functions.before = self.events.append
        (self.states,) = clients(stack.aws, "stepfunctions")

    def run(self, **asked):
        """Start an execution and wait for its end; return its status, and its output or the run's manifest."""
        arn = self.stack.outputs["ScoringArn"]
        started = self.states.start_execution(stateMachineArn=arn, name=uuid.uuid4().hex, input=json.dumps(asked))
        execution = started["executionArn"]
        while (told := self.states.describe_execution(executionArn=execution))["status"] == "RUNNING":
            pass
        self.folder = f"scores/.runs/{execution.rpartition(':')[2]}/"
        keys = self.stack.keys(f"{self.folder}manifest.json")
        return told["status"], json.loads(self.stack.get(keys[0])) if keys else told


@pytest.fixture
def machine(stack, functions):
    yield Machine(stack, functions)
    functions.before = lambda _event: None


def test_a_state_machine_scores_what_lies_below_a_prefix(stack, machine, pixels, expected):
    for number in range(3):
        stack.put(f"uploads/many/{number} ü.jsonl", lines(pixels[: 50 + number]))
    stack.put("uploads/many/bad.jsonl", b"no json\n")
    status, manifest = machine.run(source=f"s3://{stack.bucket}/uploads/many/")
    assert status == "FAILED"
    assert manifest["objects"] == {"done": 3, "already-done": 0, "failed": 1, "gone": 0}
    assert [failed["key"] for failed in manifest["failed"]] == ["uploads/many/bad.jsonl"]
    assert manifest["rows"] == {"read": 154, "scored": 153, "rejected": 1}
    for number in range(3):
        assert is_right(stack.scores(f"many/{number} ü.jsonl")[1], expected[: 50 + number])
    stack.s3.delete_object(Bucket=stack.bucket, Key="uploads/many/bad.jsonl")
    status, manifest = machine.run(source=f"s3://{stack.bucket}/uploads/many/")
    assert (status, manifest["status"]) == ("SUCCEEDED", "done")
    assert manifest["objects"]["already-done"] == 3


def table(pixels, quote=""):
    """The rows as CSV with a header."""
    names = ",".join(f"p{place}" for place in range(pixels.shape[1]))
    rows = [",".join(f"{quote}{value:g}{quote}" for value in row) for row in pixels]
    return "\n".join([names, *rows, ""]).encode()


@pytest.mark.parametrize(
    ("content", "ranges"),
    # A file with quotes is read through, and cut where that comes to the end of a chunk: here there is one.
    [(lines, 3), (table, 3), (partial(table, quote='"'), 1)],
    ids=["jsonl", "csv", "quoted"],
)
def test_a_state_machine_scores_one_large_object_in_ranges(stack, machine, pixels, expected, content, ranges):
    name = f"large-{uuid.uuid4().hex[:8]}"
    stack.put(f"uploads/{name}", content(pixels))
    status, manifest = machine.run(source=f"s3://{stack.bucket}/uploads/{name}", range_bytes=16384)
    assert (status, manifest["objects"]["done"]) == ("SUCCEEDED", 1)
    assert manifest["rows"] == {"read": ROWS, "scored": ROWS, "rejected": 0}
    kinds = [item["kind"] for event in machine.events if event["step"] == "work" for item in event["batch"]["Items"]]
    assert kinds.count("range") >= ranges
    assert kinds.count("gather") == 1
    assert is_right(stack.scores(name)[1], expected)
    # Nothing is left but what an upload would leave.
    assert sorted(stack.results(name)[1]) == ["manifest.json", "scores.jsonl"]


def test_a_state_machine_scores_what_a_manifest_lists(stack, machine, pixels, expected):
    for name in ("listed/1.jsonl", "listed/2 ü.jsonl", "listed/not.jsonl"):
        stack.put(f"uploads/{name}", lines(pixels[:20]))
    listed = ["uploads/listed/1.jsonl", {"key": "uploads/listed/2 ü.jsonl"}, "uploads/listed/missing.jsonl"]
    stack.put("uploads/list.of/keys", "\n".join(map(json.dumps, listed)).encode())
    status, manifest = machine.run(manifest=f"s3://{stack.bucket}/uploads/list.of/keys")
    assert (status, manifest["objects"]) == ("FAILED", {"done": 2, "already-done": 0, "failed": 0, "gone": 1})
    assert is_right(stack.scores("listed/2 ü.jsonl")[1], expected[:20])
    assert stack.keys("scores/listed/not.jsonl") == []


def test_a_state_machine_goes_on_where_time_ran_out_or_a_function_failed(stack, functions, pixels, expected):
    # Of 23 seconds, 20 are kept in reserve: ranges are scored in turns.
    machine = Machine(stack, functions, timeout_s=23)
    failed = []

    def fail_once(event):
        machine.events.append(event)
        if event["step"] == "work" and event["batch"]["Items"][0]["kind"] == "range" and not failed:
            failed.append(event)
            raise RuntimeError("the function broke off")

    functions.before = fail_once
    try:
        stack.put("uploads/turns.jsonl", lines(pixels))
        status, _ = machine.run(source=f"s3://{stack.bucket}/uploads/turns.jsonl", range_bytes=32768)
    finally:
        functions.before = lambda _event: None
    assert failed
    assert status == "SUCCEEDED"
    assert is_right(stack.scores("turns.jsonl")[1], expected)


def test_a_state_machine_that_finds_nothing_says_so(stack, machine):
    status, told = machine.run(source=f"s3://{stack.bucket}/uploads/nothing/")
    assert (status, told["error"]) == ("FAILED", "InputError")
    assert "There is nothing to score at s3://" in told["cause"]


@pytest.mark.usefixtures("machine")
def test_the_command_line_has_the_state_machine_score(stack, monkeypatch, pixels, expected):
    for name, value in stack.aws.environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    stack.put("uploads/typed/rows.jsonl", lines(pixels))
    bucket = f"s3://{stack.bucket}"
    words = ("score", "--engine", "step-functions", "--bundle", stack.folder, "--json")
    run = coldpress(*words, f"{bucket}/uploads/typed/", f"{bucket}/scores/")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["rows"] == {"read": ROWS, "scored": ROWS, "rejected": 0}
    assert is_right(stack.scores("typed/rows.jsonl")[1], expected)
    nothing = coldpress(*words, f"{bucket}/uploads/nothing/", f"{bucket}/scores/")
    assert nothing.returncode == 1
    assert f"ended with FAILED: There is nothing to score at {bucket}/uploads/nothing/" in nothing.stderr
    elsewhere = coldpress(*words, f"{bucket}/uploads/typed/", f"{bucket}/elsewhere/")
    assert elsewhere.returncode == 1
    assert f"is not where the stack scoring writes; give {bucket}/scores/" in elsewhere.stderr


def statements(aws, role):
    """What a role may do, as it is deployed."""
    (iam,) = clients(aws, "iam")
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    policies = [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
    # moto has those of templates as Python writes them.
    return [statement for policy in policies for statement in ast.literal_eval(policy)["Statement"]]


def test_the_role_allows_what_the_function_does_and_little_else(stack, functions, pixels):
    with Calls(stack.aws.endpoint) as calls:
        with stack.poller(timeout_s=12, endpoint=calls.endpoint) as poller:
            stack.put("uploads/calls/turns.jsonl", lines(pixels[:60]))
            poller.drain()
        with stack.poller(endpoint=calls.endpoint) as poller:
            # Enough rows for an upload in parts, which is given up since too many are no rows at the end.
            stack.put("uploads/calls/failed.jsonl", lines(pixels) * 200 + b"no json\n" * 20_000)
            stack.put("uploads/calls/enough.jsonl", lines(pixels) * 200)
            poller.drain()
            poller.send(json.dumps({"coldpress": {"bucket": "", "key": "uploads/x", "version": "", "event": "1"}}))
            poller.drain()
            poller.let_time_pass()
            assert any("uploads/calls/failed.jsonl" in letter["Body"] for letter in poller.dead())
        machine = Machine(stack, functions, endpoint=calls.endpoint)
        machine.run(source=f"s3://{stack.bucket}/uploads/calls/", range_bytes=1 << 22)
        functions.before = lambda _event: None
    granted = statements(stack.aws, stack.deployed().settings["Role"].rpartition("/")[2])
    assert {call for call in calls.made if not allows(granted, call)} == set()
    # What is left over: the function's log; what Lambda does in the function's name; what a race of two events needs.
    others = ("logs:", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "dynamodb:GetItem")
    assert [grant for grant in sorted(unused(granted, calls.made)) if not grant[0].startswith(others)] == []


def test_eventbridge_tells_of_uploads_as_well(aws, bundle, tmp_path, pixels, expected):
    folder = tmp_path / "aws"
    shutil.copytree(bundle[0], folder)
    values = AwsValues(name="digits", batch=BATCH)
    assert render_aws(values)["template.yaml"] == (folder / "template.yaml").read_text()
    write_files(render_aws(replace(values, upload_events="eventbridge")), folder)
    stack = Stack(aws, "bridged", folder, tmp_path)
    name = "a b+c%2B%ü.jsonl"
    stack.put(f"uploads/{name}", lines(pixels))
    with stack.poller() as poller:
        assert poller.drain() == 1
        assert is_right(stack.scores(name)[1], expected)


def test_a_bucket_that_is_there_already_is_used_and_left_alone(aws, bundle, tmp_path, pixels, expected):
    folder = tmp_path / "aws"
    shutil.copytree(bundle[0], folder)
    (s3,) = clients(aws, "s3")
    s3.create_bucket(Bucket="mine")
    (folder / "samconfig.toml").write_text(
        (folder / "samconfig.toml").read_text().rstrip() + '\nparameter_overrides = "UploadsBucket=mine"\n'
    )
    stack = Stack(aws, "guest", folder, tmp_path)
    assert stack.bucket == "mine"
    with stack.poller() as poller:
        assert s3.get_bucket_notification_configuration(Bucket="mine").keys() == {"ResponseMetadata"}
        queue = {"QueueArn": poller.mapping["EventSourceArn"], "Events": ["s3:ObjectCreated:*"]}
        s3.put_bucket_notification_configuration(
            Bucket="mine", NotificationConfiguration={"QueueConfigurations": [queue]}
        )
        stack.put("uploads/x.jsonl", lines(pixels))
        poller.drain()
        assert is_right(stack.scores("x.jsonl")[1], expected)
