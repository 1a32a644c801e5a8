"""``templates/alibaba``: what is rendered, that it stays the same, and that Alibaba's own models and tools take it."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from coldpress.config import load_config
from coldpress.errors import TemplateError
from coldpress.render.alibaba import AlibabaValues, alibaba_values, render_alibaba
from coldpress.render.alibaba_values import AUTHS, REGIONS
from coldpress.render.template import write_files
from tests.support.golden import ALIBABA_CASES, TREES, differences
from tests.support.local_aws import tool
from tests.support.local_oss import CREDENTIALS, sdk

_SUPPORT = Path(__file__).resolve().parents[2] / "support"
_DEVS = _SUPPORT.parents[1] / ".tools" / "serverless-devs"
_KEY = {"kty": "RSA", "alg": "RS256", "use": "sig", "e": "AQAB", "n": "gy1y805vi"}
_JWKS = json.dumps({"keys": [_KEY]})


def props(values):
    return yaml.safe_load(render_alibaba(values)["s.yaml"])["resources"]["function"]["props"]


@pytest.mark.parametrize("case", ALIBABA_CASES)
def test_the_rendered_tree_is_the_kept_one(case):
    found = differences(TREES / "alibaba" / case, render_alibaba(ALIBABA_CASES[case]))
    assert not found, "\n".join([*found, "if you meant this change: `make golden`, and look at the difference"])


def test_every_kept_tree_has_its_case():
    assert {path.name for path in (TREES / "alibaba").iterdir()} == set(ALIBABA_CASES)


@given(name=st.text(min_size=1).filter(lambda text: "${" not in text and "<%" not in text))
def test_any_name_renders_into_what_function_compute_takes(name):
    found = props(AlibabaValues(name=name, uploads_bucket="data"))
    assert found["description"] == f"{name} 1, packed by coldpress"[:256]
    assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}", found["functionName"])
    assert re.fullmatch(
        r"[a-z0-9-]{1,64}", found["triggers"][1]["invocationRole"]
    )  # fc3 makes names of roles lower case
    assert re.fullmatch(r"[\w\s.:/=+\-@]{0,128}", found["tags"][0]["value"])


@pytest.mark.parametrize("name", ["on", "null", "1.0", "a: b", "- x", "#", "*x", "&x", "%x", "@x", "'", "`", "\n"])
def test_a_name_that_means_something_in_yaml_stays_a_name(name):
    assert props(AlibabaValues(name=name))["description"] == f"{name} 1, packed by coldpress"


@pytest.mark.parametrize("text", ["${env('HOME')}", "a ${vars.x}", "<%= 1 + 1 %>", "<% process.exit() %>"])
@pytest.mark.parametrize("field", ["name", "description", "environment"])
def test_what_serverless_devs_would_evaluate_is_refused(text, field):
    values = {"name": "m"} | {field: {"A": text} if field == "environment" else text}
    with pytest.raises(TemplateError, match="which Serverless Devs evaluates: leave it out"):
        render_alibaba(AlibabaValues(**values))


def test_callers_must_sign_unless_told_otherwise():
    (trigger,) = props(AlibabaValues(name="m"))["triggers"]
    assert trigger["triggerConfig"]["authType"] == "function"
    assert "call.py" in render_alibaba(AlibabaValues(name="m"))


@pytest.mark.parametrize("auth", AUTHS)
def test_each_kind_of_access_has_its_trigger_and_its_call(auth):
    values = AlibabaValues(name="m", auth=auth, jwks=_JWKS if auth == "jwt" else "")
    (trigger,) = props(values)["triggers"]
    assert trigger["triggerConfig"]["authType"] == auth
    assert ("authConfig" in trigger["triggerConfig"]) == (auth == "jwt")
    files = render_alibaba(values)
    assert ("call.py" in files) == (auth == "function")
    assert "request.json" in files["README.md"]


def test_only_public_fields_of_a_key_are_deployed():
    extra = {"x5c": ["..."], "kid": "one"}
    (trigger,) = props(AlibabaValues(name="m", auth="jwt", jwks=json.dumps({"keys": [_KEY | extra]})))["triggers"]
    assert trigger["triggerConfig"]["authConfig"]["jwks"]["keys"] == [_KEY | {"kid": "one"}]


def test_a_function_that_watches_no_bucket_has_no_role_and_no_way_out():
    found = props(AlibabaValues(name="m"))
    assert "role" not in found
    assert found["internetAccess"] is False
    assert set(render_alibaba(AlibabaValues(name="m"))) == {"s.yaml", "deploy.sh", "README.md", "call.py"}


def test_a_function_that_watches_a_bucket_reads_uploads_and_writes_scores_and_nothing_else():
    values = AlibabaValues(name="m", uploads_bucket="data", region="eu-west-1")
    files = render_alibaba(values)
    assert [
        (each["Action"], each["Resource"]) for each in json.loads(files["ram/function-policy.json"])["Statement"]
    ] == [("oss:GetObject", "acs:oss:*:*:data/uploads/*"), ("oss:PutObject", "acs:oss:*:*:data/scores/*")]
    (invoke,) = json.loads(files["ram/oss-policy.json"])["Statement"]
    assert invoke["Action"] == "fc:InvokeFunction"
    assert invoke["Resource"] == [f"acs:fc:eu-west-1:*:functions/coldpress-m{end}" for end in ("", "/*")]
    for who in ("function", "oss"):
        (trust,) = json.loads(files[f"ram/{who}-trust.json"])["Statement"]
        assert trust["Principal"] == {"Service": [f"{'fc' if who == 'function' else 'oss'}.aliyuncs.com"]}
    trigger = props(values)["triggers"][1]
    assert trigger["sourceArn"] == 'acs:oss:eu-west-1:${config("AccountID")}:data'
    assert trigger["triggerConfig"]["filter"]["key"] == {"prefix": "uploads/", "suffix": ""}


def test_triggers_call_the_alias_that_releases_move():
    found = props(ALIBABA_CASES["everything"])
    assert [trigger["qualifier"] for trigger in found["triggers"]] == ["live", "live"]


@pytest.mark.parametrize(
    ("memory_mb", "vcpus"), [(128, 0.1), (512, 0.5), (1024, 1.0), (2048, 1.0), (4096, 1.0), (8192, 2.0), (32768, 8.0)]
)
def test_a_model_gets_one_vcpu_where_its_memory_allows(memory_mb, vcpus):
    assert AlibabaValues(name="m", memory_mb=memory_mb).vcpus == pytest.approx(vcpus)


@given(memory_mb=st.integers(2, 512).map(lambda step: step * 64))
def test_every_memory_size_has_a_ratio_of_cpu_that_function_compute_takes(memory_mb):
    values = AlibabaValues(name="m", memory_mb=memory_mb)
    assert 0.05 <= values.vcpus <= 16
    assert memory_mb / 1024 / 4 - 1e-9 <= values.vcpus <= memory_mb / 1024 + 1e-9
    assert round(values.vcpus / 0.05) == pytest.approx(values.vcpus / 0.05)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"auth": "iam"}, "auth is 'iam'; expected one of function, jwt, anonymous"),
        ({"auth": "jwt"}, "expected one RSA key with alg, e, kty, n, use"),
        ({"auth": "jwt", "jwks": "{"}, "expected one RSA key"),
        ({"auth": "jwt", "jwks": '{"keys": []}'}, "expected one RSA key"),
        ({"auth": "jwt", "jwks": "[" * 100_000}, "expected one RSA key"),
        ({"auth": "jwt", "jwks": json.dumps({"keys": [_KEY, _KEY]})}, "expected one RSA key"),
        ({"auth": "jwt", "jwks": json.dumps({"keys": [_KEY | {"kty": "EC"}]})}, "expected one RSA key"),
        ({"auth": "jwt", "jwks": json.dumps({"keys": [_KEY | {"d": "x"}]})}, "keep the public part alone"),
        ({"jwks": _JWKS}, "set auth to 'jwt'"),
        ({"region": "cn-shangai"}, "did you mean cn-shanghai?"),
        ({"region": "ap-southeast-1"}, "where Function Compute has no Python 3.12"),
        ({"region": "mars"}, "expected one of cn-hangzhou, "),
        ({"python": "3.13"}, "Function Compute's newest is 3.12: set that"),
        ({"memory_mb": 64}, "memory_mb is 64; expected 128 to 32768"),
        ({"memory_mb": 1000}, "sells steps of 64 MB: round it"),
        ({"memory_mb": 1024, "cpu": 0.2}, "1024 MB of memory go with 0.25 to 1 vCPUs, in steps of 0.05"),
        ({"memory_mb": 1024, "cpu": 0.33}, "in steps of 0.05"),
        ({"memory_mb": 32768, "cpu": 17.0}, "32768 MB of memory go with 8 to 16 vCPUs"),
        ({"disk_mb": 1024}, "disk_mb is 1024; expected one of 512, 10240"),
        ({"timeout_s": 0}, "timeout_s is 0; expected 1 to 86400"),
        ({"canary_percent": 100}, "canary_percent is 100; expected 0 to 99"),
        ({"minimum_instances": -1}, "minimum_instances is -1"),
        ({"reserved_concurrency": 0}, "reserved_concurrency is 0"),
        ({"uploads_bucket": "My_Bucket"}, "expected 3 to 63 lower-case letters"),
        ({"environment": {"1A": "x"}}, "'1A' cannot name a variable"),
        ({"environment": {"FC_REGION": "x"}}, "'FC_REGION' cannot name a variable"),
        ({"environment": {"COLDPRESS_INPUT_PREFIX": "scores/in/"}}, "answers go below 'scores/'"),
        ({"environment": {"securityToken": "x"}}, "securityToken is a variable that Function Compute keeps for itself"),
        ({"environment": {"A": "x" * 5000}}, "environment has 5001 bytes; Function Compute takes 4096"),
    ],
)
def test_what_a_deployment_would_refuse_is_refused_at_once(wrong, said):
    with pytest.raises(TemplateError, match=re.escape(said)):
        AlibabaValues(name="m", **wrong)


def test_settings_become_values(tmp_path):
    (tmp_path / "keys.json").write_text(_JWKS)
    (tmp_path / "coldpress.toml").write_text(
        '[function]\nmemory_mb = 2048\n[targets.alibaba]\nregion = "us-east-1"\nauth = "jwt"\njwks = "keys.json"\n'
        'cpu = 2\ncanary_percent = 0\nuploads_bucket = "data"\n'
    )
    values = alibaba_values(load_config(tmp_path / "coldpress.toml"), "m")
    assert (values.region, values.python, values.cpu, values.memory_mb) == ("us-east-1", "3.12", 2.0, 2048)
    assert values.key == _KEY
    (tmp_path / "keys.json").unlink()
    with pytest.raises(TemplateError, match=r"keys\.json cannot be read"):
        alibaba_values(load_config(tmp_path / "coldpress.toml"), "m")


def _models(questions):
    done = subprocess.run(
        [sdk(), _SUPPORT / "alibaba_models.py"],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


needs_sdk = pytest.mark.skipif(not sdk().exists(), reason="`make tools` has not made .tools/alibaba")


@needs_sdk
@pytest.mark.parametrize("case", ALIBABA_CASES)
def test_alibabas_own_models_know_every_name(case):
    found = props(ALIBABA_CASES[case])
    # What is fc3's own, and the tags, whose names it spells in lower case.
    function = {key: value for key, value in found.items() if key not in {"region", "code", "triggers", "logConfig"}}
    function["tags"] = [{name.capitalize(): text for name, text in tag.items()} for tag in function["tags"]]
    questions = [["CreateFunctionInput", function]]
    for trigger in found["triggers"]:
        config = dict(trigger["triggerConfig"])
        config.pop("authConfig", None)  # fc3 makes it a text, which the model takes as one
        model = {"http": "HTTPTriggerConfig", "oss": "OSSTriggerConfig"}[trigger["triggerType"]]
        questions.append([model, config])
        questions.append(["CreateTriggerInput", trigger | {"triggerConfig": json.dumps(trigger["triggerConfig"])}])
    assert [answer["lost"] for answer in _models(questions)] == [[]] * len(questions)


@needs_sdk
def test_the_models_say_no_where_a_name_is_wrong():
    questions = [["CreateFunctionInput", {"memory": 1, "tags": [{"name": "x"}]}], ["HTTPTriggerConfig", {"auth": "x"}]]
    assert [answer["lost"] for answer in _models(questions)] == [["memory", "tags.0.name"], ["auth"]]


@needs_sdk
def test_enumerations_and_ranges_are_those_that_the_models_state():
    function, http = _models([["CreateFunctionInput", {}], ["HTTPTriggerConfig", {}]])
    said = " ".join(function["says"].split())
    for each in (
        "python3.12",
        "Valid values: 512 and 10240",
        "must be a multiple of 64 MB. The minimum value is 128 MB and the maximum value is 32 GB",
        "must be a multiple of 0.05 vCPU. The minimum value is 0.05 and the maximum value is 16",
        "must be between 1:1 and 1:4",
        "The minimum value is 1, the maximum value is 86400",
        "cannot start with a digit or hyphen (-). The name must be 1 to 64 characters",
    ):
        assert each in said
    assert "python3.13" not in said  # when it comes, offer it
    assert "**function**" in http["says"]
    assert "**anonymous**" in http["says"]


@needs_sdk
@pytest.mark.parametrize(
    "url", ["https://x.cn-shanghai.fcapp.run/predict", "https://x.fcapp.run/a?b=1&a=ä%20&c=/", "https://x.fcapp.run"]
)
@pytest.mark.parametrize("token", ["", CREDENTIALS["ALIBABA_CLOUD_SECURITY_TOKEN"]])
def test_a_request_is_signed_as_alibabas_own_sdk_signs_it(tmp_path, url, token):
    (tmp_path / "call.py").write_text(render_alibaba(AlibabaValues(name="m"))["call.py"])
    check = """
import json, sys
from urllib.parse import parse_qs, urlparse
import call
from alibabacloud_tea_openapi.utils import Utils
from darabonba.request import DaraRequest
url = sys.argv[1]
headers = call.signed("POST", url)
parts = urlparse(url)
request = DaraRequest()
request.method, request.pathname = "POST", parts.path
request.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
request.headers = {name: value for name, value in headers.items() if name != "authorization"}
import os
expected = Utils.get_authorization(request, "ACS3-HMAC-SHA256", "", os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"],
                                   os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"])
print(json.dumps([headers["authorization"], expected]))
"""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)} | CREDENTIALS
    environment["ALIBABA_CLOUD_SECURITY_TOKEN"] = token
    done = subprocess.run(
        [sdk(), "-c", check, url], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    ours, theirs = json.loads(done.stdout)
    assert ours == theirs


@pytest.mark.skipif(not (_DEVS / ".done").exists(), reason="npm has not brought Serverless Devs into .tools")
@pytest.mark.parametrize("case", ALIBABA_CASES)
def test_serverless_devs_reads_the_file_as_it_is_meant(case, tmp_path):
    write_files(files := render_alibaba(ALIBABA_CASES[case]), tmp_path)
    account = {"AccountID": "123456789012345", "AccessKeyID": "xmpl", "AccessKeySecret": "xmpl"}
    script = """
const ParseSpec = require('@serverless-devs/parse-spec').default;
const logger = {debug() {}, info() {}, warn() {}, error() {}, write() {}};
new ParseSpec(process.argv[1], {argv: ['deploy'], logger, isPreview: false}).start()
  .then(spec => { console.log(JSON.stringify(spec)); process.exit(0) })
  .catch(error => { console.error(error); process.exit(1) });
"""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NODE_PATH": str(_DEVS / "node_modules")}
    done = subprocess.run(
        ["node", "-e", script, str(tmp_path / "s.yaml")],
        cwd=_DEVS,
        env=environment | account | {"COLDPRESS_FALLBACK_TOKEN": "secret"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    spec = json.loads(done.stdout)
    assert spec["yaml"]["use3x"] is True
    (step,) = spec["steps"]
    assert (step["projectName"], step["component"]) == ("function", "fc3")
    text = files["s.yaml"].replace('${config("AccountID")}', account["AccountID"])
    text = text.replace("${env('COLDPRESS_FALLBACK_TOKEN')}", "secret")  # of whoever deploys
    assert step["props"] == yaml.safe_load(text)["resources"]["function"]["props"]


shellcheck = tool("gcp", "shellcheck")


@pytest.mark.skipif(not shellcheck.exists(), reason="`make tools` has not made .tools/gcp, which has shellcheck")
def test_shellcheck_finds_nothing():
    done = subprocess.run(
        [shellcheck, *sorted((TREES / "alibaba").glob("*/*.sh"))], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


_STAND_IN = """#!{python}
'''Serverless Devs as far as deploy.sh calls it: versions and an alias, kept in a file.'''
import json, sys
from pathlib import Path
state_file, log = Path({home!r}, "state"), Path({home!r}, "log")
state = json.loads(state_file.read_text()) if state_file.exists() else {{"versions": 0, "alias": None}}
words = sys.argv[1:]
with log.open("a") as file:
    file.write(" ".join(words) + chr(10))
option = dict(zip(words, words[1:]))
if words[:2] == ["version", "publish"]:
    if problem := state.pop("problem", ""):
        print("Error Message:", problem)
        state_file.write_text(json.dumps(state))
        sys.exit(101)
    state["versions"] += 1
    print(json.dumps({{"versionId": str(state["versions"])}}))
elif words[:2] == ["version", "list"]:
    print(json.dumps([{{"versionId": str(version)}} for version in range(state["versions"], 0, -1)]))
elif words[:2] == ["alias", "list"]:
    print(json.dumps([state["alias"]] if state["alias"] else []))
elif words[:2] == ["alias", "publish"]:
    weights = json.loads(option["--vw"])
    if option["--version-id"] in weights:
        sys.exit("InvalidArgument")
    state["alias"] = {{"aliasName": option["--alias-name"], "versionId": option["--version-id"],
                      "additionalVersionWeight": weights}}
elif words[0] == "deploy" and "--trigger" in words and not state["alias"]:
    sys.exit("AliasNotFound")
elif words[:2] in (["provision", "remove"], ["concurrency", "remove"]):
    sys.exit("there is none")
state_file.write_text(json.dumps(state))
"""


@pytest.fixture
def released(tmp_path):
    """Deploy with a stand-in for Serverless Devs on the path; return what was called and how the alias stands."""
    stand_in = tmp_path / "bin" / "s"
    stand_in.parent.mkdir()
    stand_in.write_text(_STAND_IN.format(python=sys.executable, home=str(tmp_path)))
    stand_in.chmod(stand_in.stat().st_mode | stat.S_IEXEC)

    def run(values, *words, problem=""):
        write_files(render_alibaba(values), tmp_path / "build")
        if problem:
            state = json.loads((tmp_path / "state").read_text())
            (tmp_path / "state").write_text(json.dumps(state | {"problem": problem}))
        environment = {"PATH": f"{stand_in.parent}:{Path(sys.executable).parent}:/usr/bin:/bin"}
        done = subprocess.run(
            ["sh", tmp_path / "build" / "deploy.sh", *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        alias = json.loads((tmp_path / "state").read_text())["alias"] or {}
        calls = (tmp_path / "log").read_text().splitlines()
        return SimpleNamespace(
            status=done.returncode, said=done.stderr, calls=calls,
            main=alias.get("versionId"), tried=alias.get("additionalVersionWeight"),
        )  # fmt: skip

    return run


def test_the_first_version_is_for_everybody_and_the_next_for_a_share_of_the_callers(released):
    values = AlibabaValues(name="m", canary_percent=25)
    first = released(values)
    assert (first.status, first.main, first.tried) == (0, "1", {}), first.said
    assert [call.split(" -")[0] for call in first.calls] == [
        *("deploy", "version publish", "alias list", "alias publish", "deploy"),
        *("provision remove", "concurrency remove", "info"),
    ]
    second = released(values)
    assert (second.main, second.tried) == ("1", {"2": 0.25})
    promoted = released(values, "promote")
    assert (promoted.main, promoted.tried) == ("2", {})
    assert released(values, "promote").status == 1
    third = released(values)
    assert (third.main, third.tried) == ("2", {"3": 0.25})
    back = released(values, "rollback")
    assert (back.main, back.tried) == ("2", {})


def test_without_a_canary_a_version_is_for_everybody_at_once(released):
    values = AlibabaValues(name="m", canary_percent=0)
    released(values)
    second = released(values)
    assert (second.main, second.tried) == ("2", {})


_UNCHANGED = "can not publish version for function 'm', detail: 'No changes were made since last publish'"


def test_a_deployment_that_stopped_half_way_goes_on_with_the_version_it_has_made(released):
    values = AlibabaValues(name="m", canary_percent=25)
    for _ in range(11):
        released(values)
        released(values, "promote")
    again = released(values, problem=_UNCHANGED)
    assert (again.status, again.main, again.tried) == (0, "11", {}), again.said
    assert again.calls[-1] == "info"
    trying = released(values)
    assert (trying.main, trying.tried) == ("11", {"12": 0.25})
    again = released(values, problem=_UNCHANGED)
    assert (again.status, again.main, again.tried) == (0, "11", {"12": 0.25}), again.said


def test_a_version_that_cannot_be_made_for_another_reason_stops_the_deployment(released):
    released(AlibabaValues(name="m"))
    refused = released(AlibabaValues(name="m"), problem="AccessDenied: fc:PublishFunctionVersion")
    assert refused.status == 1
    assert "AccessDenied" in refused.said
    assert refused.calls[-1].startswith("version publish")


def test_the_address_is_read_where_fc3_tells_it(tmp_path):
    """Its `info` has a `url` for triggers of LATEST alone, and output of one resource goes without its name."""
    readme = render_alibaba(AlibabaValues(name="m"))["README.md"]
    stand_in = tmp_path / "s"
    said = {"functionName": "m", "triggers": [{"triggerType": "http", "httpTrigger": {"urlInternet": "https://x/"}}]}
    stand_in.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(said)}\nEND\n")
    stand_in.chmod(0o755)
    (line,) = re.findall(r"^URL=.*$", readme, re.MULTILINE)
    environment = {"PATH": f"{tmp_path}:{Path(sys.executable).parent}:/usr/bin:/bin"}
    found = subprocess.check_output(["sh", "-c", f"{line}; echo $URL"], env=environment, text=True)
    assert found == "https://x/\n"


@pytest.mark.parametrize(
    ("words", "key", "said"),
    [
        ([], True, "usage: python3 call.py URL FILE"),
        (["http://127.0.0.1:1/predict", "-"], False, "ALIBABA_CLOUD_ACCESS_KEY_ID is not set"),
        (["http://127.0.0.1:1/predict", "nowhere.json"], True, "cannot send nowhere.json"),
        (["http://127.0.0.1:1/predict", "-"], True, "Connection refused"),
        (["/predict", "-"], True, "cannot send - to '/predict'"),
    ],
    ids=["no words", "no key", "no file", "nobody there", "no address"],
)
def test_a_call_that_cannot_be_made_is_told_in_a_sentence(tmp_path, words, key, said):
    (tmp_path / "call.py").write_text(render_alibaba(AlibabaValues(name="m"))["call.py"])
    done = subprocess.run(
        [sys.executable, tmp_path / "call.py", *words],
        cwd=tmp_path,
        env=CREDENTIALS if key else {},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_instances_that_stay_started_and_a_bound_are_set_and_taken_back(released):
    released(AlibabaValues(name="m", minimum_instances=2, reserved_concurrency=5))
    calls = released(AlibabaValues(name="m")).calls
    assert "provision put --qualifier live --target 2" in calls
    assert "concurrency put --reserved-concurrency 5" in calls
    assert calls[-3:] == ["provision remove --qualifier live -y", "concurrency remove -y", "info"]


def test_what_to_do_is_said_where_the_word_is_wrong_or_there_is_nothing_to_promote(released):
    released(AlibabaValues(name="m"))
    wrong = released(AlibabaValues(name="m"), "undo")
    assert (wrong.status, wrong.said) == (2, "usage: ./deploy.sh [promote | rollback]\n")
    nothing = released(AlibabaValues(name="m"), "rollback")
    assert nothing.status == 1
    assert "version 1 alone; there is nothing to rollback" in nothing.said


def test_python_3_12_is_offered_where_alibaba_lists_it():
    assert len(set(REGIONS)) == len(REGIONS) == 16
