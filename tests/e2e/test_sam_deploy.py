"""The real SAM CLI builds and deploys to a local AWS, and what it put there answers.

``LocalAws`` keeps the code object that the deployed function points to; the tests take it from there, so that nothing
but what went through ``sam deploy`` is run.
"""

import base64
import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from coldpress.emulate.aws import LambdaFunction
from coldpress.emulate.process import unpack
from coldpress.render.aws import AUTHS, AwsValues, render_aws
from coldpress.render.template import write_files
from tests.support.golden import AWS_CASES
from tests.support.local_aws import ROOT, LocalAws
from tests.support.local_aws.emulator import InterfaceEmulator

pytestmark = [pytest.mark.cloud, pytest.mark.xdist_group("local-aws")]

EVENTS = Path(__file__).parents[1] / "events" / "aws"
STACK = "coldpress-digits"


@pytest.fixture(scope="module")
def aws():
    with LocalAws() as running:
        yield running


@pytest.fixture(scope="module")
def deployed(aws, digits_bundle, tmp_path_factory):
    """The packed digits model, deployed from a copy of its folder by nothing but ``sam deploy``."""
    folder = tmp_path_factory.mktemp("deploy") / "aws"
    shutil.copytree(digits_bundle[0], folder)
    aws.sam("deploy", "--no-confirm-changeset", folder=folder)
    outputs = aws.outputs(STACK)
    return outputs, aws.function(outputs["FunctionArn"], "live")


@pytest.fixture(scope="module")
def code(deployed, tmp_path_factory):
    """The deployed code object, as a zip on disk."""
    path = tmp_path_factory.mktemp("code") / "function.zip"
    path.write_bytes(deployed[1].code)
    return path


def event(name, request_body):
    """An event of AWS's own shape, carrying ``request_body`` as its body."""
    shape = json.loads((EVENTS / f"{name}.json").read_text())
    if "requestContext" not in shape:
        return json.loads(request_body)
    shape |= {"body": request_body, "isBase64Encoded": False}
    return shape


def label(reply):
    """The predicted digit in a handler's reply to ``POST /predict``."""
    if "statusCode" in reply:
        assert reply["statusCode"] == 200, reply
        body = reply["body"]
        reply = json.loads(base64.b64decode(body) if reply.get("isBase64Encoded") else body)
    return reply["outputs"]["label"][0] if "outputs" in reply else reply["predictions"][0]["label"]


def test_what_is_deployed_is_what_was_verified(deployed, digits_bundle):
    _, function = deployed
    assert function.code_sha256 == digits_bundle[1]["artifact"]["code_sha256"]
    assert function.configuration["CodeSha256"] == function.code_sha256


def test_the_alias_points_to_a_published_version_with_the_packed_settings(deployed, aws):
    outputs, function = deployed
    name = function.configuration["FunctionName"]
    assert aws.alias(name, "live")["FunctionVersion"] == "1"
    assert outputs["AliasArn"] == aws.alias(name, "live")["AliasArn"]
    assert re.fullmatch(r"https://\w+\.execute-api\.us-east-1\.amazonaws\.com", outputs["Url"])
    assert f"{outputs['Url']}/predict" in outputs["Call"]
    settings = ("Handler", "Runtime", "Architectures", "MemorySize", "Timeout", "Version")
    assert [function.configuration[key] for key in settings] == ["app.handler", "python3.13", ["x86_64"], 1024, 30, "1"]


def test_the_deployed_code_answers_every_kind_of_event_under_the_runtime_client(code, digits):
    body = (digits / "request.json").read_text()
    expected = json.loads((digits / "expected.json").read_text())["label"]
    with LambdaFunction(code) as function:
        for name in ("http_api", "http_api_stage", "rest_api", "function_url", "alb", "alb_multi_value", "direct"):
            answer = function.invoke(event(name, body))
            assert answer.error is None, name
            assert label(answer.json()) == expected, name


def test_the_deployed_code_answers_under_the_runtime_interface_emulator(code, digits, tmp_path):
    unpack(code, tmp_path / "task")
    with LambdaFunction(code) as function:  # it knows which interpreter the bundle was compiled for
        python = function.python
    with InterfaceEmulator(tmp_path / "task", python, tmp_path) as emulator:
        sent = event("http_api", (digits / "request.json").read_text())
        reply = json.loads(emulator.invoke(json.dumps(sent).encode()))
    assert label(reply) == json.loads((digits / "expected.json").read_text())["label"], emulator.log()


def test_sam_builds_the_checkout_and_deploys_it(aws, tmp_path, digits):
    # A checkout that the build may write into: this one's folders, and a copy of its sam/.
    shutil.copytree(ROOT / "sam", tmp_path / "sam", ignore=shutil.ignore_patterns(".aws-sam"))
    for name in (".venv", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    # The build runs coldpress, which needs what a developer's shell has: a home for its cache, settings for pip.
    shell = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    aws.sam("build", folder=tmp_path / "sam", **shell)
    aws.sam("deploy", "--stack-name", "from-checkout", "--no-confirm-changeset", folder=tmp_path / "sam")
    function = aws.function(aws.outputs("from-checkout")["FunctionArn"], "live")
    (tmp_path / "function.zip").write_bytes(function.code)
    with LambdaFunction(tmp_path / "function.zip") as running:
        answer = running.invoke(event("http_api", (digits / "request.json").read_text()))
    assert label(answer.json()) == json.loads((digits / "expected.json").read_text())["label"]


def small_folder(folder, answer="1", **values):
    """A rendered folder around a function that is small enough to deploy many times."""
    write_files(render_aws(AwsValues(name="small", **values)), folder)
    with zipfile.ZipFile(folder / "function.zip", "w") as archive:
        archive.writestr("app.py", f"def handler(event, context):\n    return {answer!r}\n")
    return folder


def test_deploying_again_moves_the_alias_to_a_new_version_with_the_new_code(aws, tmp_path):
    def deploy(answer, **values):
        folder = small_folder(tmp_path / answer, answer, **values)
        aws.sam("deploy", "--stack-name", "again", "--no-confirm-changeset", folder=folder)
        name = aws.function(aws.outputs("again")["FunctionArn"]).configuration["FunctionName"]
        return (
            aws.alias(name, "live")["FunctionVersion"],
            aws.function(name, "live").code,
            (folder / "function.zip").read_bytes(),
        )

    first, second = deploy("old"), deploy("new")
    assert (first[0], second[0]) == ("1", "2")
    assert first[1] == first[2]
    assert second[1] == second[2] != first[1]
    # More memory alone is a release too: it gets a version, and so a canary.
    assert deploy("new", memory_mb=2048)[0] == "3"


def test_each_release_has_the_log_filter_count_its_own_failures(aws, tmp_path):
    def patterns(version):
        filters = aws.log_filters("coldpress", f"Failures of {name} {version}")
        return [found["filterPattern"] for found in filters]

    for version in ("1", "2"):
        folder = small_folder(tmp_path / version, version)
        aws.sam("deploy", "--stack-name", "filtered", "--no-confirm-changeset", folder=folder)
        name = aws.function(aws.outputs("filtered")["FunctionArn"], "live").configuration["FunctionName"]
        assert patterns(version) == [f'{{ ($.status >= 500) && ($.function_version = "{version}") }}']
    assert patterns("1") == []


@pytest.mark.parametrize("auth", AUTHS)
def test_guided_deployment_works_in_the_folder_as_it_stands(aws, tmp_path, auth):
    jwt = {"jwt_issuer": "https://issuer.example", "jwt_audience": ("web",)} if auth == "jwt" else {}
    folder = small_folder(tmp_path, auth=auth, tracing=True, snapstart=True, reserved_concurrency=2, **jwt)
    # A stack name, and then what is offered, by pressing return; a function without authorization wants a clear yes.
    parameters = ["", *[""] * 3]
    questions = ["y", "y", "n", *(["y"] if auth == "none" else []), "y", "", "", "y"]
    said = aws.sam("deploy", "--guided", folder=folder, answers=[f"guided-{auth}", *parameters, *questions])
    assert "Successfully created/updated stack" in said
    outputs = aws.outputs(f"guided-{auth}")
    assert set(outputs) == {"Url", "FunctionArn", "AliasArn", "Call"} | ({"ApiKeyId"} if auth == "key" else set())
    function = aws.function(outputs["FunctionArn"], "live")
    assert function.configuration["TracingConfig"] == {"Mode": "Active"}
    assert function.code == (folder / "function.zip").read_bytes()


def test_a_name_full_of_punctuation_deploys(aws, tmp_path):
    values = AWS_CASES["everything"]
    folder = tmp_path / "odd"
    write_files(render_aws(values), folder)
    with zipfile.ZipFile(folder / "function.zip", "w") as archive:
        archive.writestr("app.py", "def handler(event, context): ...\n")
    aws.sam("deploy", "--stack-name", "odd", "--no-confirm-changeset", folder=folder)
    settings = aws.function(aws.outputs("odd")["FunctionArn"], "live").configuration
    assert settings["Description"] == values.description
    assert settings["Environment"]["Variables"] == values.environment


def test_a_resource_that_the_local_aws_does_not_know_fails_the_deployment(aws, tmp_path):
    folder = small_folder(tmp_path)
    text = (folder / "template.yaml").read_text()
    (folder / "template.yaml").write_text(
        text.replace("\nResources:\n", "\nResources:\n  Other: {Type: 'AWS::Cassandra::Keyspace'}\n")
    )
    said = aws.sam("deploy", "--stack-name", "unknown", "--no-confirm-changeset", folder=folder, check=False)
    assert "the local AWS has no AWS::Cassandra::Keyspace" in said
