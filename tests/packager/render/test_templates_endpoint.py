"""``templates/endpoint``: what is rendered, that it stays the same, and that the tools of the trade find nothing."""

import json
import os
import re
import subprocess

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from coldpress._resources import template_root
from coldpress.config import load_config
from coldpress.errors import TemplateError
from coldpress.fallback_config import ENDPOINTS
from coldpress.render.endpoint import EndpointValues, endpoint_name, endpoint_values, render_endpoint
from coldpress.render.endpoint.costs import cost_sentences
from coldpress.render.endpoint.values import TARGETS_OF
from coldpress.render.template import write_files
from tests.support import kserve
from tests.support.golden import AWS_CASES, ENDPOINT_CASES, TREES, differences, endpoint_files
from tests.support.local_aws import ROOT, tool

KINDS = ENDPOINTS[1:]
_REGIONS = {"gcp": "europe-west1", "azure": "westeurope"}


def values(kind, **changes):
    target = TARGETS_OF[kind][0]
    return EndpointValues(
        **{"name": "digits", "kind": kind, "target": target, "region": _REGIONS.get(target, "")} | changes
    )


def rendered(kind, **changes):
    return render_endpoint(values(kind, **changes))


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: ``!Ref x`` becomes ``{"!Ref": "x"}``."""


def _short_form(loader, tag, node):
    build = {yaml.ScalarNode: loader.construct_scalar, yaml.SequenceNode: loader.construct_sequence}
    deep = {} if isinstance(node, yaml.ScalarNode) else {"deep": True}
    return {f"!{tag}": build[type(node)](node, **deep)}


_Loader.add_multi_constructor("!", _short_form)


def stack(kind, **changes):
    return yaml.load(rendered(kind, **changes)["template.yaml"], _Loader)["Resources"]


def statements(role):
    return [each for policy in role["Properties"]["Policies"] for each in policy["PolicyDocument"]["Statement"]]


@pytest.mark.parametrize("case", ENDPOINT_CASES)
def test_the_rendered_tree_is_the_kept_one(case):
    found = differences(TREES / "endpoint" / case, endpoint_files(ENDPOINT_CASES[case]))
    assert not found, "\n".join([*found, "if you meant this change: `make golden`, and look at the difference"])


def test_every_kept_tree_has_its_case_and_every_kind_a_tree():
    assert {path.name for path in (TREES / "endpoint").iterdir()} == set(ENDPOINT_CASES)
    assert {each.kind for each in ENDPOINT_CASES.values()} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_an_image_its_locks_and_a_readme_that_says_what_it_costs(kind):
    files = rendered(kind)
    assert {"Dockerfile", "Dockerfile.cpu", ".dockerignore", "requirements.lock", "README.md"} <= set(files)
    assert all(sentence in files["README.md"] for sentence in cost_sentences(values(kind)))
    assert not [name for name, text in files.items() if "@{" in text]


def test_what_the_images_install_is_pinned_and_hashed():
    for name, engine in (("requirements.lock", "onnxruntime-gpu=="), ("requirements-cpu.lock", "onnxruntime==")):
        text = rendered("kserve")[name]
        pins = re.findall(r"(?m)^[a-z0-9_.-]+==\S+ \\$", text)
        assert any(pin.startswith(engine) for pin in pins)
        assert text.count("--hash=sha256:") >= len(pins) > 10
        assert len([line for line in text.splitlines() if "==" in line and not line.startswith("#")]) == len(pins)


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.cpu"])
def test_the_image_runs_as_nobody_without_a_shell_and_by_hash(name):
    text = rendered("kserve")[name]
    assert "\nUSER 65532:65532\n" in text
    assert json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[1])[-2:] == ["-m", "coldpress_endpoint"]
    assert re.search(r"^ +CMD \[", text, re.MULTILINE)  # the health check's
    assert "--require-hashes" in text
    assert "COLDPRESS_MODELS=/models" in text


@given(name=st.text(min_size=1), other=st.text(min_size=1))
def test_any_name_makes_one_that_every_provider_takes(name, other):
    made = endpoint_name(name)
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,30}[a-z0-9])", made)
    assert "--" not in made
    long = "a" * 40
    assert (endpoint_name(long + name) == endpoint_name(long + other)) == (
        endpoint_name(long + name).split("-")[:3] == endpoint_name(long + other).split("-")[:3]
    )


@settings(max_examples=20)
@given(name=st.text(min_size=1), version=st.text(min_size=1))
def test_any_name_renders(name, version):
    for kind in KINDS:
        files = rendered(kind, name=name, version=version)
        for path, text in files.items():
            if path.endswith(".yaml"):
                list(yaml.load_all(text, _Loader))
            if path.endswith(".json"):
                json.loads(text)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["aws", "gcp", "azure", "alibaba", "container"])
def test_a_function_that_an_endpoint_cannot_let_in_is_told_which_it_can(kind, target):
    if target in TARGETS_OF[kind]:
        return
    with pytest.raises(TemplateError, match=f"the target is {target}; expected one of http"):
        values(kind, target=target)


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("cloud-run-gpu", {"region": "europe-north1"}, "where Cloud Run has no L4; expected one of asia-southeast1"),
        ("sagemaker", {"instance": "g5.xlarge"}, "takes such as 'ml.g4dn.xlarge'"),
        ("vertex", {"instance": "a2-highgpu-1g"}, "takes such as 'g2-standard-4'"),
        ("azure-ml", {"instance": "NC4"}, "takes such as 'Standard_NC4as_T4_v3'"),
        ("lambda-gpu-experimental", {"instance": "7"}, "takes such as '24'"),
        ("kserve", {"instance": "ml.g5.xlarge"}, "kserve takes such as"),
        ("kserve", {"image": "Big:1"}, "fallback.image is 'Big:1'"),
        ("kserve", {"max_instances": 0}, "fallback.max_instances is 0"),
        ("kserve", {"min_instances": 2}, "fallback.min_instances is 2"),
    ],
)
def test_what_a_provider_would_refuse_is_refused_with_a_sentence(kind, changes, said):
    with pytest.raises(TemplateError) as error:
        values(kind, **changes)
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_settings_become_values(tmp_path):
    file = tmp_path / "coldpress.toml"
    file.write_text(
        '[fallback]\nendpoint = "cloud-run-gpu"\nregion = "us-east4"\nmax_instances = 3\ndeadline_s = 12.4\n'
        '[targets.gcp]\nproject = "my-project"\n'
    )
    made = endpoint_values(load_config(file), "digits", "gcp")
    assert (made.region, made.max_instances, made.timeout_s, made.project) == ("us-east4", 3, 12, "my-project")
    file.write_text('[fallback]\nurl = "https://gpu.example"\n')
    assert endpoint_values(load_config(file), "digits", "gcp") is None


def test_there_is_no_template_without_a_hole_that_is_filled_and_no_value_without_a_hole():
    from coldpress.render.endpoint.render import _holes

    text = "".join(path.read_text() for path in (template_root() / "endpoint").rglob("*") if path.is_file())
    assert set(_holes(values("kserve"))) <= set(re.findall(r"@\{(\w+)\}", text))


# What it costs.


def test_a_price_has_its_source_and_its_date_and_a_missing_one_is_said_to_be_missing():
    assert "0.736 USD an hour" in cost_sentences(values("sagemaker"))[0]
    assert "2026" in cost_sentences(values("sagemaker"))[0]
    for kind in ("vertex", "azure-ml", "container-apps-gpu", "lambda-gpu-experimental"):
        assert "was not found" in cost_sentences(values(kind))[0]
    assert "was not found" in cost_sentences(values("sagemaker", instance="ml.p4d.24xlarge"))[0]


def test_what_never_goes_to_zero_says_so():
    for kind in ("sagemaker", "azure-ml", "kubernetes"):
        assert "which this kind cannot do without" in cost_sentences(values(kind))[1]
    for kind in ("sagemaker-async", "cloud-run-gpu", "vertex", "container-apps-gpu", "kserve"):
        assert "always there" not in cost_sentences(values(kind))[1]
        assert "always there" in cost_sentences(values(kind, min_instances=1))[1]


# SageMaker.


def test_an_asynchronous_endpoint_sleeps_and_wakes_when_something_waits():
    resources = stack("sagemaker-async", max_instances=3)
    scale = resources["Scale"]["Properties"]
    assert (scale["MinCapacity"], scale["MaxCapacity"]) == (0, 3)
    assert scale["ScalableDimension"] == "sagemaker:variant:DesiredInstanceCount"
    alarm = resources["WakeAlarm"]["Properties"]
    assert (alarm["MetricName"], alarm["Threshold"]) == ("HasBacklogWithoutCapacity", 1)
    assert alarm["AlarmActions"] == [{"!Ref": "Wake"}]
    assert resources["Wake"]["Properties"]["PolicyType"] == "StepScaling"
    track = resources["Track"]["Properties"]["TargetTrackingScalingPolicyConfiguration"]
    assert track["CustomizedMetricSpecification"]["MetricName"] == "ApproximateBacklogSizePerInstance"


def test_answers_that_wait_are_encrypted_private_and_gone_after_a_day():
    resources = stack("sagemaker-async")
    bucket = resources["Bucket"]["Properties"]
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", 1)
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    output = resources["Config"]["Properties"]["AsyncInferenceConfig"]["OutputConfig"]
    assert output["KmsKeyId"] == {"!GetAtt": "Key.Arn"}
    assert set(output["NotificationConfig"]) == {"SuccessTopic", "ErrorTopic"}


def test_the_function_looks_for_answers_where_the_endpoint_leaves_them():
    output = stack("sagemaker-async")["Config"]["Properties"]["AsyncInferenceConfig"]["OutputConfig"]
    assert output["S3OutputPath"] == {"!Sub": "s3://${Bucket}/jobs/"}
    assert output["S3FailurePath"] == {"!Sub": "s3://${Bucket}/jobs/failures/"}
    text = (TREES / "aws" / "sagemaker-async" / "template.yaml").read_text()
    function = yaml.load(text, _Loader)["Resources"]["Function"]["Properties"]["Environment"]["Variables"]
    bucket = stack("sagemaker-async")["Bucket"]["Properties"]["BucketName"]["!Sub"]
    told = bucket.replace("EndpointName", "FallbackEndpoint")
    assert function["COLDPRESS_FALLBACK_OUTPUT"] == {"!Sub": f"s3://{told}/jobs/"}
    parameters = yaml.load(text, _Loader)["Parameters"]
    name = yaml.load(rendered("sagemaker-async")["template.yaml"], _Loader)["Parameters"]["EndpointName"]
    assert parameters["FallbackEndpoint"]["Default"] == name["Default"] == "coldpress-digits-endpoint"


def test_a_real_time_endpoint_keeps_one_machine_and_says_so():
    assert stack("sagemaker")["Scale"]["Properties"]["MinCapacity"] == 1
    assert "keeps one machine at least" in rendered("sagemaker")["README.md"]


@pytest.mark.parametrize("kind", ["sagemaker", "sagemaker-async", "lambda-gpu-experimental"])
def test_a_function_on_aws_may_ask_the_one_endpoint_and_nothing_else(kind):
    (case,) = [name for name, each in AWS_CASES.items() if each.asked and each.asked.kind == kind]
    text = (TREES / "aws" / case / "template.yaml").read_text()
    log, *asking = statements(yaml.load(text, _Loader)["Resources"]["FunctionRole"])
    assert log["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    for statement in asking:
        for resource in statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]:
            assert "${FallbackEndpoint}" in resource["!Sub"] or "kms:ResourceAliases" in str(statement["Condition"])
            assert resource["!Sub"] != "*"


@pytest.mark.parametrize("kind", ["sagemaker", "sagemaker-async"])
def test_the_endpoint_itself_may_do_little(kind):
    actions = set()
    for statement in statements(stack(kind)["Role"]):
        names = statement["Action"]
        actions |= {names} if isinstance(names, str) else set(names)
        assert statement["Resource"] != "*" or names in ("ecr:GetAuthorizationToken", "cloudwatch:PutMetricData")
    assert not [action for action in actions if action.endswith("*") or action.startswith(("iam:", "sts:"))]
    assert ("s3:PutObject" in actions) == (kind == "sagemaker-async")


def test_names_and_values_are_those_of_sagemakers_own_api():
    import botocore.session

    api = botocore.session.get_session().get_service_model("sagemaker")
    config = stack("sagemaker-async")["Config"]["Properties"]
    shape = api.shape_for("AsyncInferenceConfig").members
    assert config["AsyncInferenceConfig"].keys() <= shape.keys()
    assert config["AsyncInferenceConfig"]["OutputConfig"].keys() <= shape["OutputConfig"].members.keys()
    (variant,) = config["ProductionVariants"]
    known = api.shape_for("ProductionVariant").members
    assert variant.keys() <= known.keys()
    for instance in ("ml.g4dn.xlarge", ENDPOINT_CASES["sagemaker-everything"].instance):
        assert instance in known["InstanceType"].enum
    aws_lambda = botocore.session.get_session().get_service_model("lambda")
    accelerator = stack("lambda-gpu-experimental")["Endpoint"]["Properties"]["AcceleratorConfig"]
    assert accelerator.keys() == aws_lambda.shape_for("AcceleratorConfig").members.keys()


def test_lambdas_own_gpu_says_everywhere_that_it_is_experimental():
    files = rendered("lambda-gpu-experimental")
    assert files["template.yaml"].startswith("# EXPERIMENTAL.")
    assert "**Experimental.**" in files["README.md"]
    assert "AWS_IAM" in files["template.yaml"]


def _run(*command, folder):
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "AWS_DEFAULT_REGION": "eu-central-1"}
    return subprocess.run(
        command, cwd=folder, env=environment | {"LANG": "C.UTF-8"}, capture_output=True, text=True, timeout=240,
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Every case written out, with what a Dockerfile copies."""
    root = tmp_path_factory.mktemp("endpoints")
    for case, each in ENDPOINT_CASES.items():
        write_files(render_endpoint(each), root / case)
    return root


@pytest.mark.cloud
def test_cfn_lint_finds_nothing(folders):
    done = _run(tool("lint", "cfn-lint"), *sorted(folders.glob("*/template.yaml")), folder=folders)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.cloud
def test_cfn_lint_is_silenced_where_it_is_behind_and_nowhere_else(folders, tmp_path):
    (path,) = write_files(
        {"t.yaml": (folders / "lambda-gpu" / "template.yaml").read_text().replace("[E3002]", "[]")}, tmp_path
    )
    done = _run(tool("lint", "cfn-lint"), "--format", "parseable", path, folder=tmp_path)
    assert {line.split(":")[5] for line in done.stdout.splitlines() if line.strip()} == {"E3002"}
    assert "AcceleratorConfig" in done.stdout
    assert "".join(p.read_text() for p in folders.glob("*/template.yaml")).count("ignore_checks") == 1


@pytest.mark.cloud
def test_checkov_finds_nothing_and_every_exception_is_explained(folders):
    # A digest is there once the image has been pushed; the namespace is kubectl's; the base is an argument, by which
    # another one with TensorRT can be taken.
    excused = "CKV_K8S_21,CKV_K8S_43,CKV_DOCKER_7"
    frameworks = ("cloudformation", "dockerfile", "kubernetes", "bicep", "terraform")
    command = ("-d", ".", "--framework", *frameworks, "--skip-download", "--output", "json", "--skip-check", excused)
    done = _run(tool("lint", "checkov"), *command, folder=folders)
    reports = json.loads(done.stdout)
    for report in reports:
        failed = [
            (each["check_id"], each["file_path"], each["resource"]) for each in report["results"]["failed_checks"]
        ]
        assert not failed
        assert report["summary"]["parsing_errors"] == 0
    for path in folders.glob("*/template.yaml"):
        for resource in yaml.load(path.read_text(), _Loader)["Resources"].values():
            for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", ()):
                assert len(skip["comment"].split()) > 4, skip


@pytest.mark.skipif(not tool("container", "hadolint").exists(), reason="`make tools` has not made .tools/container")
@pytest.mark.parametrize("case", ENDPOINT_CASES)
def test_hadolint_finds_nothing(folders, case):
    for name in ("Dockerfile", "Dockerfile.cpu"):
        done = subprocess.run(
            [tool("container", "hadolint"), folders / case / name], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(not tool("gcp", "shellcheck").exists(), reason="`make tools` has not made .tools/gcp")
def test_shellcheck_finds_nothing(folders):
    scripts = sorted(folders.glob("*/*.sh"))
    done = subprocess.run([tool("gcp", "shellcheck"), *scripts], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert len(scripts) > 8


# Kubernetes and KServe.


def objects(**changes):
    return {each["kind"]: each for each in yaml.safe_load_all(rendered("kubernetes", **changes)["endpoint.yaml"])}


def inference_service(**changes):
    return yaml.safe_load(rendered("kserve", **changes)["endpoint.yaml"])


def test_pods_ask_for_one_gpu_keep_to_the_restricted_profile_and_are_probed():
    for spec in (objects()["Deployment"]["spec"]["template"]["spec"], inference_service()["spec"]["predictor"]):
        (container,) = spec["containers"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
        security = spec.get("securityContext", {}) | container["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
        assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def test_without_a_gpu_none_is_asked_for():
    text = rendered("kubernetes", gpu=False)["endpoint.yaml"]
    assert "nvidia.com" not in text


def test_kserve_goes_to_zero_and_a_plain_cluster_keeps_one():
    assert inference_service()["spec"]["predictor"]["minReplicas"] == 0
    assert objects()["HorizontalPodAutoscaler"]["spec"]["minReplicas"] == 1


def test_the_functions_pods_get_in_and_nobody_else():
    policy = objects()["NetworkPolicy"]["spec"]
    (rule,) = policy["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "digits"}}}]
    assert policy["egress"] == []
    text = (TREES / "container" / "kubernetes" / "kubernetes" / "deployment.yaml").read_text()
    function = {each["kind"]: each for each in yaml.safe_load_all(text)}
    assert function["Deployment"]["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"] == "digits"
    out = function["NetworkPolicy"]["spec"]["egress"][0]["to"]
    assert out == [{"podSelector": {"matchLabels": policy["podSelector"]["matchLabels"]}}]


def test_kserves_own_sdk_knows_every_property():
    service = inference_service()
    known = kserve.model("v1beta1_predictor_spec")
    assert service["spec"]["predictor"].keys() <= known.keys()


@pytest.mark.skipif(not tool("container", "hadolint").exists(), reason="`make tools` has not made .tools/container")
@pytest.mark.parametrize("case", [case for case, each in ENDPOINT_CASES.items() if each.kind == "kubernetes"])
@pytest.mark.parametrize("version", ["1.30", "1.37"])
def test_kubernetes_own_schemas_know_every_property(folders, case, version):
    command = [tool("container", "kubernetes-validate"), "--strict", "-k", version, folders / case / "endpoint.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# Google Cloud.


def discovery(api):
    places = list((ROOT / ".tools" / "gcp").glob("lib/*/site-packages/googleapiclient/discovery_cache/documents"))
    if not places:
        pytest.skip("`make tools` has not made .tools/gcp")
    return json.loads((places[0] / f"{api}.json").read_text())["schemas"]


def check(value, schema, schemas, place="$"):
    """Hold a document against a schema of a discovery document: names, types and enumerations."""
    schema = schemas[schema["$ref"]] if "$ref" in schema else schema
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "number": (int, float)}
    assert isinstance(value, kinds[schema["type"]]), (place, value)
    assert value in schema.get("enum", [value]), (place, value)
    if isinstance(value, dict):
        for name, inner in value.items():
            known = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            assert known, f"{place} has no {name}"
            check(inner, known, schemas, f"{place}.{name}")
    if isinstance(value, list):
        for number, item in enumerate(value):
            check(item, schema["items"], schemas, f"{place}[{number}]")


@pytest.mark.parametrize("case", [case for case, each in ENDPOINT_CASES.items() if each.kind == "cloud-run-gpu"])
def test_the_service_is_one_that_the_run_api_describes(case):
    schemas = discovery("run.v1")
    service = yaml.safe_load(render_endpoint(ENDPOINT_CASES[case])["service.yaml"])
    check(service, schemas["Service"], schemas)
    known = schemas["ObjectMeta"]["properties"]["annotations"]["description"]
    annotations = service["metadata"]["annotations"] | service["spec"]["template"]["metadata"]["annotations"]
    assert not [name for name in annotations if f"`{name}`" not in known]
    spec = service["spec"]["template"]["spec"]
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert spec["nodeSelector"] == {"run.googleapis.com/accelerator": "nvidia-l4"}
    assert annotations["run.googleapis.com/invoker-iam-disabled"] == "false"


def test_cloud_run_lets_in_the_functions_account_alone():
    files = rendered("cloud-run-gpu")
    assert "--no-allow-unauthenticated" in files["deploy.sh"]
    assert "allUsers" not in "".join(files.values())
    script = (TREES / "gcp" / "cloud-run-gpu" / "deploy.sh").read_text()
    assert 'coldpress-digits-endpoint --project="$PROJECT" --region=europe-west1' in script
    assert '--role=roles/run.invoker --member="serviceAccount:$ACCOUNT"' in script


@pytest.mark.parametrize("case", [case for case, each in ENDPOINT_CASES.items() if each.kind == "vertex"])
def test_what_vertex_is_told_is_what_its_api_describes(case):
    schemas = discovery("aiplatform.v1beta1")
    files = render_endpoint(ENDPOINT_CASES[case])
    named = {"model": "UploadModelRequest", "endpoint": "Endpoint", "deployment": "DeployModelRequest"}
    for name, schema in named.items():
        check(json.loads(files[f"{name}.json"]), schemas[f"GoogleCloudAiplatformV1beta1{schema}"], schemas)
    resources = json.loads(files["deployment.json"])["deployedModel"]["dedicatedResources"]
    assert ("scaleToZeroSpec" in resources) == (resources["minReplicaCount"] == 0)
    accelerators = {"g2-standard-4": 1, "g2-standard-24": 2}
    machine = resources["machineSpec"]
    assert machine["acceleratorCount"] == accelerators[machine["machineType"]]


def test_a_function_may_predict_on_the_one_endpoint_of_vertex():
    script = (TREES / "gcp" / "vertex" / "deploy.sh").read_text()
    assert "--permissions=aiplatform.endpoints.predict --quiet" in script
    assert "endpoints/coldpress-digits-endpoint\n" in script
    assert ":setIamPolicy" in script
    assert "projects add-iam-policy-binding" not in script


# Azure.


def test_container_apps_lets_in_the_functions_identity_alone():
    text = rendered("container-apps-gpu")["main.bicep"]
    assert "unauthenticatedClientAction: 'Return401'" in text
    assert "identities: [function.properties.principalId]" in text
    assert "workloadProfileType: 'Consumption-GPU-NC8as-T4'" in text
    assert "minReplicas: 0" in text


def test_azure_ml_takes_tokens_and_no_keys_and_the_function_may_do_one_thing():
    text = rendered("azure-ml")["main.bicep"]
    assert "authMode: 'AADToken'" in text
    assert re.findall(r"'(Microsoft.MachineLearningServices/\S+/action)'", text) == [
        "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action"
    ]
    assert "scope: endpoint" in text


@pytest.mark.parametrize("kind", ["container-apps-gpu", "azure-ml"])
def test_both_deployments_know_the_same_identity(kind):
    def identity(text):
        token = re.search(r"(?m)^var token = .*$", text)[0]
        return token, re.search(r"userAssignedIdentities@\S+ = \{\n  name: ('id-\$\{token\}')", text)[1]

    function = (TREES / "azure" / kind / "main.bicep").read_text()
    assert identity(rendered(kind)["main.bicep"]) == identity(function)


@pytest.mark.cloud
def test_every_property_of_bicep_is_one_of_microsofts_models(folders):
    script = ROOT / "tests" / "support" / "local_azure" / "models.py"
    # Of Azure ML's endpoints Microsoft publishes no models on PyPI: that file is parsed by checkov's test alone.
    files = sorted(str(path.relative_to(folders)) for path in (folders / "container-apps-gpu").rglob("*.bicep"))
    done = _run(tool("azure", "python"), script, *files, folder=folders)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["problems"] == []
    assert found["looked_at"] > 50
