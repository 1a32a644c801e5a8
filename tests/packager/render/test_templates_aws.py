"""``templates/aws``: what is rendered, that it stays the same, and that the linters of the trade find nothing."""

import json
import os
import re
import subprocess
import tomllib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from coldpress.errors import TemplateError
from coldpress.render.aws import AUTHS, AwsValues, render_aws
from coldpress.render.template import write_files
from coldpress_runtime.http import Request, Response
from coldpress_runtime.telemetry import Telemetry
from tests.support.golden import AWS_CASES, GOLDEN, SAM, differences, sam_files
from tests.support.local_aws import tool


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: ``!Ref x`` becomes ``{"!Ref": "x"}``."""


def _short_form(loader, tag, node):
    build = {yaml.ScalarNode: loader.construct_scalar, yaml.SequenceNode: loader.construct_sequence}
    deep = {} if isinstance(node, yaml.ScalarNode) else {"deep": True}
    return {f"!{tag}": build[type(node)](node, **deep)}


_Loader.add_multi_constructor("!", _short_form)


def template(values, **options):
    return yaml.load(render_aws(values, **options)["template.yaml"], _Loader)


def function(values, **options):
    return template(values, **options)["Resources"]["Function"]["Properties"]


@pytest.mark.parametrize("case", AWS_CASES)
def test_the_rendered_tree_is_the_kept_one(case):
    found = differences(GOLDEN / case, render_aws(AWS_CASES[case]))
    assert not found, "\n".join([*found, "if you meant this change: `make golden`, and look at the difference"])


def test_every_kept_tree_has_its_case():
    assert {path.name for path in GOLDEN.iterdir()} == set(AWS_CASES)


def test_sam_is_the_template_for_the_digits_example():
    rendered = sam_files()
    found = differences(SAM, rendered, among=tuple(rendered))
    assert not found, "\n".join([*found, "if you meant this change: `make golden`, and look at the difference"])


def test_a_missing_an_extra_and_a_different_file_are_each_reported(tmp_path):
    write_files({"same": "a\n", "gone": "b\n", "other": "c\nd\n"}, tmp_path)
    found = differences(tmp_path, {"same": "a\n", "new": "e\n", "other": "c\nx\n"})
    assert [line.split()[0:2] for line in found] == [["missing:", "gone"], ["extra:", "new"], ["different:", "other,"]]
    assert "line 2: expected 'd', rendered 'x'" in found[2]


def test_sam_builds_what_pack_would_upload():
    packed, built = function(AwsValues(name="digits")), function(AwsValues(name="digits"), source="makefile")
    assert packed.pop("CodeUri") == "function.zip"
    assert built.pop("CodeUri") == "."
    assert packed == built
    metadata = template(AwsValues(name="digits"), source="makefile")["Resources"]["Function"]["Metadata"]
    assert metadata["BuildMethod"] == "makefile"


@given(name=st.text(min_size=1).filter(lambda text: "{{resolve:" not in text))
def test_any_name_renders_into_what_aws_takes(name):
    files = render_aws(AwsValues(name=name))
    parsed = yaml.load(files["template.yaml"], _Loader)
    assert parsed["Description"] == f"{name} 1, packed by coldpress"[:256]
    tags = parsed["Resources"]["Function"]["Properties"]["Tags"]
    assert re.fullmatch(r"[\w\s.:/=+\-@]*", tags["coldpress:model"])
    stack = tomllib.loads(files["samconfig.toml"])["default"]["global"]["parameters"]["stack_name"]
    assert re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9]{0,127}", stack)
    assert all(re.fullmatch(r"[A-Za-z0-9]+", logical) for logical in parsed["Resources"])


@pytest.mark.parametrize("name", ["on", "null", "1.0", "a: b", "- x", "#", "*x", "&x", "%x", "@x", "'", "`", "\n"])
def test_a_name_that_means_something_in_yaml_stays_a_name(name):
    parsed = template(AwsValues(name=name))
    assert parsed["Description"] == f"{name} 1, packed by coldpress"


def test_no_value_of_the_user_is_substituted_by_cloudformation():
    text = render_aws(AwsValues(name="${AWS::AccountId}", environment={"AB": "${HttpApi}"}))["template.yaml"]
    for line in text.splitlines():
        if "${AWS::AccountId}" in line or ("${HttpApi}" in line and "execute-api" not in line):
            assert "!Sub" not in line


def test_callers_must_sign_unless_told_otherwise():
    assert template(AwsValues(name="m"))["Resources"]["HttpApi"]["Properties"]["Auth"] == {
        "EnableIamAuthorizer": True,
        "DefaultAuthorizer": "AWS_IAM",
    }


def test_each_kind_of_access_has_its_api_and_its_call():
    kinds = {}
    for auth in AUTHS:
        jwt = {"jwt_issuer": "https://issuer.example", "jwt_audience": ("web",)} if auth == "jwt" else {}
        parsed = template(AwsValues(name="m", auth=auth, **jwt))
        (api,) = (found for found in parsed["Resources"].values() if found["Type"].endswith("Api"))
        kinds[auth] = (api["Type"], sorted(api["Properties"].get("Auth", ())))
        assert parsed["Outputs"]["Call"]["Value"]["!Sub"].startswith("curl ")
    assert kinds == {
        "iam": ("AWS::Serverless::HttpApi", ["DefaultAuthorizer", "EnableIamAuthorizer"]),
        "jwt": ("AWS::Serverless::HttpApi", ["Authorizers", "DefaultAuthorizer"]),
        "key": ("AWS::Serverless::Api", ["ApiKeyRequired", "UsagePlan"]),
        "none": ("AWS::Serverless::HttpApi", []),
    }


def test_the_function_may_write_its_own_log_and_nothing_else():
    (log,) = template(AwsValues(name="m"))["Resources"]["FunctionRole"]["Properties"]["Policies"]
    assert log["PolicyDocument"]["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": {"!GetAtt": "FunctionLog.Arn"},
        }
    ]


def test_the_function_may_write_traces_when_it_traces():
    parsed = template(AwsValues(name="m", tracing=True))["Resources"]
    policies = parsed["FunctionRole"]["Properties"]["Policies"]
    assert [policy["PolicyName"] for policy in policies] == ["write-own-log", "write-traces"]
    assert policies[1]["PolicyDocument"]["Statement"][0]["Action"] == [
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
    ]
    assert parsed["Function"]["Properties"]["Tracing"] == "Active"


def test_settings_are_literal_because_a_stack_keeps_its_old_parameters():
    quiet, loud = function(AwsValues(name="m")), function(AWS_CASES["everything"])
    assert "ReservedConcurrentExecutions" not in quiet
    assert "Environment" not in quiet
    settings = ("ReservedConcurrentExecutions", "Tracing", "SnapStart", "MemorySize", "Timeout", "Runtime")
    assert [loud[key] for key in settings] == [20, "Active", {"ApplyOn": "PublishedVersions"}, 3538, 60, "python3.12"]
    assert loud["Environment"]["Variables"] == {"GREETING": 'yes: "no"\n', "LEVEL": "1.0"}
    assert set(template(AWS_CASES["everything"])["Parameters"]) == {"AccessLog", "ThrottleBurst", "ThrottleRate"}


def test_a_release_is_judged_by_the_new_versions_own_alarms():
    resources = template(AwsValues(name="m", timeout_s=10))["Resources"]
    alarms = [alarm["!Ref"] for alarm in resources["Function"]["Properties"]["DeploymentPreference"]["Alarms"]]
    assert alarms == [name for name, resource in resources.items() if resource["Type"] == "AWS::CloudWatch::Alarm"]
    for name in ("NewVersionErrors", "NewVersionLatency"):
        dimensions = {d["Name"]: d["Value"] for d in resources[name]["Properties"]["Dimensions"]}
        assert dimensions["ExecutedVersion"] == {"!GetAtt": "Function.Version.Version"}
    assert resources["NewVersionFailures"]["Properties"]["MetricName"]["!Sub"].endswith("${Function.Version.Version}")
    assert resources["NewVersionLatency"]["Properties"]["Threshold"] == 5000


def _matches(pattern, line):
    """Whether CloudWatch Logs would count ``line``: its JSON patterns, as far as the template uses them.

    A number is compared with numbers and a quoted string with strings; a field that is missing matches nothing.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
    """
    event = json.loads(line)
    terms = re.fullmatch(r"{ (.+) }", pattern)[1].split(" && ")
    for term in terms:
        field, operator, wanted = re.fullmatch(r"""\(\$\.(\w+) (>=|=) (\d+|"[^"]*")\)""", term).groups()
        found, wanted = event.get(field), json.loads(wanted)
        if type(found) is not type(wanted):
            return False
        if not (found >= wanted if operator == ">=" else found == wanted):
            return False
    return True


@pytest.mark.parametrize(
    ("version", "status", "counted"),
    [("7", 200, 0), ("7", 404, 0), ("7", 499, 0), ("7", 500, 1), ("7", 503, 1), ("6", 500, 0), ("77", 500, 0)],
)
def test_the_log_filter_counts_the_failures_of_the_new_version_alone(monkeypatch, version, status, counted):
    failures = template(AwsValues(name="m"))["Resources"]["NewVersionFailureCount"]["Properties"]
    pattern = failures["FilterPattern"]["!Sub"].replace("${Function.Version.Version}", "7")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_VERSION", version)
    written = []
    telemetry = Telemetry("m", {"total_ms": 1.0}, written.append)
    for _ in range(2):  # the first line of a process says more
        telemetry.record("id", Request("POST", "/predict"), Response(status, {}, b""), 1.0)
    lines = "".join(written).splitlines()
    assert len(lines) == 4
    assert sum(_matches(pattern, line) for line in lines) == 2 * counted


def test_the_failures_alarm_watches_what_the_log_filter_counts():
    resources = template(AwsValues(name="m"))["Resources"]
    count, alarm = resources["NewVersionFailureCount"]["Properties"], resources["NewVersionFailures"]
    (metric,) = count["MetricTransformations"]
    assert count["LogGroupName"] == resources["Function"]["Properties"]["LoggingConfig"]["LogGroup"]
    assert {key: alarm["Properties"][key] for key in ("Namespace", "MetricName")} == {
        "Namespace": metric["MetricNamespace"],
        "MetricName": metric["MetricName"],
    }
    assert alarm["DependsOn"] == "NewVersionFailureCount"


def test_changing_the_kind_of_access_changes_no_resources_type():
    # CloudFormation refuses to update a resource whose type has changed under the same logical id.
    types = {}
    for auth in AUTHS:
        jwt = {"jwt_issuer": "https://issuer.example", "jwt_audience": ("web",)} if auth == "jwt" else {}
        for name, resource in template(AwsValues(name="m", auth=auth, **jwt))["Resources"].items():
            assert types.setdefault(name, resource["Type"]) == resource["Type"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"auth": "cookie"}, "auth is 'cookie'; expected one of iam, jwt, key, none"),
        ({"auth": "jwt"}, "jwt_issuer or jwt_audience is missing"),
        ({"jwt_issuer": "https://issuer.example"}, "set auth to 'jwt'"),
        ({"canary": "Canary10Percent7Minutes"}, "canary is 'Canary10Percent7Minutes'; expected one of AllAtOnce, "),
        ({"architecture": "riscv"}, "architecture is 'riscv'"),
        ({"memory_mb": 64}, "memory_mb is 64; expected 128 to 10240"),
        ({"timeout_s": 901}, "timeout_s is 901; expected 1 to 900"),
        ({"log_retention_days": 31}, "log_retention_days is 31"),
        ({"reserved_concurrency": -1}, "reserved_concurrency is -1"),
        ({"python": "3"}, "python is '3'"),
        ({"python": "3.11", "snapstart": True}, "SnapStart needs Python 3.12"),
        ({"environment": {"1A": "x"}}, "'1A' cannot name a variable"),
        ({"environment": {"AWS_REGION": "x"}}, "'AWS_REGION' is a variable that Lambda itself sets"),
        ({"environment": {"LAMBDA_TASK_ROOT": "x"}}, "'LAMBDA_TASK_ROOT' is a variable that Lambda itself sets"),
        ({"environment": {"AB": "x" * 4095}}, "environment has 4097 bytes; Lambda takes 4096"),
    ],
)
def test_what_a_deployment_would_refuse_is_refused_at_once(wrong, said):
    with pytest.raises(TemplateError, match=re.escape(said)):
        AwsValues(name="m", **wrong)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Every kept case and ``sam/``, each as a folder that the SAM CLI accepts."""
    root = tmp_path_factory.mktemp("rendered")
    for case, values in AWS_CASES.items():
        write_files(render_aws(values), root / case)
        (root / case / "function.zip").touch()
        (root / case / "batch.zip").touch()
    write_files(sam_files(), root / "sam")
    return root


def _run(*command, folder):
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "AWS_DEFAULT_REGION": "eu-central-1"}
    environment |= {"SAM_CLI_TELEMETRY": "0", "LANG": "C.UTF-8"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.cloud
@pytest.mark.parametrize("case", [*AWS_CASES, "sam"])
def test_sam_validate_finds_nothing(folders, case):
    done = _run(tool("sam", "sam"), "validate", "--lint", folder=folders / case)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is a valid SAM Template" in done.stdout


@pytest.mark.cloud
def test_cfn_lint_finds_nothing(folders):
    done = _run(tool("lint", "cfn-lint"), *sorted(folders.glob("*/template.yaml")), folder=folders)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.cloud
def test_checkov_finds_nothing_and_every_exception_is_needed_and_explained(folders):
    command = ("-d", ".", "--framework", "cloudformation", "--skip-download", "--output", "json")
    done = _run(tool("lint", "checkov"), *command, folder=folders)
    report = json.loads(done.stdout)
    assert report["summary"]["failed"] == 0, [
        (check["check_id"], check["file_path"], check["resource"]) for check in report["results"]["failed_checks"]
    ]
    assert report["summary"]["parsing_errors"] == 0
    skipped = {check["check_id"] for check in report["results"]["skipped_checks"]}
    excused = set()
    for path in folders.glob("*/template.yaml"):
        for resource in yaml.load(path.read_text(), _Loader)["Resources"].values():
            for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", ()):
                assert len(skip["comment"].split()) > 5, skip
                excused.add(skip["id"])
    assert excused == skipped
