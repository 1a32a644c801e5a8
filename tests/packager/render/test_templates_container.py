"""``templates/container``: what is rendered, that it stays the same, and that the tools of the trade find nothing."""

import json
import re
import subprocess
from itertools import pairwise

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from coldpress.config import load_config
from coldpress.errors import ConfigError, TemplateError
from coldpress.render.container import COMMAND, ContainerValues, container_values, render_container
from coldpress.render.template import write_files
from tests.support import kserve
from tests.support.golden import CONTAINER_CASES, TREES, differences
from tests.support.local_aws import ROOT, tool

needs_tools = pytest.mark.skipif(
    not tool("container", "hadolint").exists(), reason="`make tools` has not made .tools/container"
)
_OLDEST, _NEWEST = "1.30", "1.37"  # of Kubernetes: 1.30 is the first that waits in a preStop hook by itself
_DNS_LABEL = r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"
# What Knative takes at the top of a pod, unless a cluster's config-features allows more (its runtime contract).
_KNATIVE_POD = {
    *("containers", "containerConcurrency", "timeoutSeconds", "volumes", "serviceAccountName", "imagePullSecrets"),
    *("enableServiceLinks", "automountServiceAccountToken"),
}


def rendered(**changes):
    return render_container(ContainerValues(**{"name": "digits"} | changes))


def manifests(**changes):
    return {each["kind"]: each for each in yaml.safe_load_all(rendered(**changes)["kubernetes/deployment.yaml"])}


def knative(**changes):
    return yaml.safe_load(rendered(**changes)["kubernetes/knative.yaml"])


def inference_service(**changes):
    return yaml.safe_load(rendered(**changes)["kubernetes/kserve.yaml"])


def specs(**changes):
    """The pod of each of the three ways into a cluster."""
    return [
        manifests(**changes)["Deployment"]["spec"]["template"]["spec"],
        knative(**changes)["spec"]["template"]["spec"],
        inference_service(**changes)["spec"]["predictor"],
    ]


@pytest.mark.parametrize("case", CONTAINER_CASES)
def test_the_rendered_tree_is_the_kept_one(case):
    found = differences(TREES / "container" / case, render_container(CONTAINER_CASES[case]))
    assert not found, "\n".join([*found, "if you meant this change: `make golden`, and look at the difference"])


def test_every_kept_tree_has_its_case():
    assert {path.name for path in (TREES / "container").iterdir()} == set(CONTAINER_CASES)


@given(name=st.text(min_size=1), version=st.text(min_size=1), description=st.text())
def test_any_name_renders_into_what_docker_and_kubernetes_take(name, version, description):
    texts = {"name": name, "version": version, "description": description}
    for object_ in [*manifests(**texts).values(), knative(**texts), inference_service(**texts)]:
        assert re.fullmatch(_DNS_LABEL, object_["metadata"]["name"])
        for label in object_["metadata"]["labels"].values():
            assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", label)
    image = manifests(**texts)["Deployment"]["spec"]["template"]["spec"]["containers"][0]["image"]
    assert ContainerValues(name="x", image=image).image == image
    lines = rendered(**texts)["Dockerfile"].splitlines()
    instructions = [line for line in lines if line and not line.startswith(("#", " "))]
    assert [line.split()[0] for line in instructions] == [
        *("FROM", "LABEL", "ENV", "WORKDIR", "COPY", "USER", "EXPOSE", "HEALTHCHECK", "CMD")
    ]


@pytest.mark.parametrize("name", ["on", "null", "1.0", "1", "a: b", "- x", "#", "*x", "&x", "@x", "'", "`", "\n", "Ü"])
def test_a_name_that_means_something_elsewhere_stays_a_name(name):
    assert re.fullmatch(_DNS_LABEL, knative(name=name)["metadata"]["name"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "riscv64"}, "architecture is 'riscv64'"),
        ({"python": "three"}, "python is 'three'"),
        ({"port": 80}, "port is 80; expected 1024 to 65535"),
        ({"cpu": 0.01}, "cpu is 0.01"),
        ({"memory_mb": 63}, "memory_mb is 63"),
        ({"timeout_s": 601}, "timeout_s is 601; expected 1 to 600"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"min_replicas": 3, "max_replicas": 2}, "min_replicas is 3 and max_replicas only 2"),
        ({"max_replicas": 0}, "max_replicas is 0"),
        ({"image": "Digits"}, "image is 'Digits'"),
        ({"image": "digits:1 "}, "image is 'digits:1 '"),
        ({"image": "https://registry.example/digits"}, "image is 'https"),
        ({"image": "digits@sha256:1"}, "image is 'digits@sha256:1'"),
        ({"base": "python:3.13\nRUN x"}, "base is 'python:3.13"),
        ({"environment": {"A B": "1"}}, "'A B' cannot name"),
        ({"environment": {"UVICORN_PORT": "1"}}, "UVICORN_PORT is set by coldpress"),
        ({"environment": {"A": "1\nRUN x"}}, "A holds a line break"),
    ],
)
def test_a_value_that_a_build_or_a_cluster_would_refuse_is_refused_with_a_sentence(changes, message):
    with pytest.raises(TemplateError, match=re.escape(message)):
        rendered(**changes)


@pytest.mark.parametrize(
    "image",
    ["digits", "team/digits:1", "registry.example/digits", "localhost:5000/a/b_c:V1.0", f"a.b/c@sha256:{'f' * 64}"],
)
def test_names_of_images_are_taken_as_they_are(image):
    assert all(spec["containers"][0]["image"] == image for spec in specs(image=image))


def test_settings_become_values(tmp_path):
    settings = tmp_path / "coldpress.toml"
    settings.write_text('[targets.container]\nimage = "a/b:1"\ncpu = 2\nconcurrency = 4\npublic = true\n')
    values = container_values(load_config(settings), "digits")
    assert (values.image, values.cpu, values.concurrency, values.public) == ("a/b:1", 2.0, 4, True)
    settings.write_text("[targets.container]\nreplicas = 3\n")
    with pytest.raises(ConfigError, match="replicas"):
        load_config(settings)


def test_the_image_runs_as_nobody_and_without_a_shell():
    dockerfile = rendered()["Dockerfile"]
    assert "\nUSER 65532:65532\n" in dockerfile
    command = json.loads(re.search(r"^CMD (.*)$", dockerfile, re.MULTILINE)[1])
    assert tuple(command[: len(COMMAND)]) == COMMAND
    assert command[len(COMMAND) :] == ["--timeout-graceful-shutdown", "30"]
    assert re.search(r"^ +CMD \[", dockerfile, re.MULTILINE)  # the health check's


def test_only_what_runs_goes_to_the_builder():
    lines = rendered()[".dockerignore"].splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["*", "!function"]


def test_a_build_is_tagged_without_the_digest_that_deployments_name():
    files = rendered(image=f"a/b:1@sha256:{'0' * 64}")
    assert "--tag a/b:1 ." in files["Dockerfile"]
    assert yaml.safe_load(files["compose.yaml"])["services"]["digits"]["image"] == "a/b:1"


def test_every_pod_keeps_to_the_restricted_profile_and_its_resources():
    for spec in specs():
        (container,) = spec["containers"]
        security = spec.get("securityContext", {}) | container["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] == 65532
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["readOnlyRootFilesystem"] is True
        assert (
            container["resources"]["limits"] == container["resources"]["requests"] == {"cpu": "1", "memory": "1024Mi"}
        )
        assert spec["automountServiceAccountToken"] is False


def test_every_pod_is_probed_at_the_protocols_own_paths():
    for spec in specs():
        (container,) = spec["containers"]
        assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
        assert container["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"


def test_a_model_may_take_two_minutes_to_load_before_its_pod_is_taken_for_dead():
    for spec in specs():
        (container,) = spec["containers"]
        startup, liveness = container.get("startupProbe"), container["livenessProbe"]
        if startup:
            assert startup["periodSeconds"] * startup["failureThreshold"] == 120
        else:
            assert liveness["initialDelaySeconds"] == 120


def test_nobody_from_outside_gets_in_unless_asked():
    (rule,) = manifests()["NetworkPolicy"]["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"digits-caller": "true"}}}]
    assert knative()["metadata"]["labels"]["networking.knative.dev/visibility"] == "cluster-local"
    assert inference_service()["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"
    (rule,) = manifests(public=True)["NetworkPolicy"]["spec"]["ingress"]
    assert rule["from"][0] == {"ipBlock": {"cidr": "0.0.0.0/0"}}
    for object_ in (knative(public=True), inference_service(public=True)):
        assert list(object_["metadata"]["labels"]) == ["app.kubernetes.io/name"]


def test_the_last_copy_stops_where_something_starts_it_again():
    annotations = knative()["spec"]["template"]["metadata"]["annotations"]
    assert annotations["autoscaling.knative.dev/min-scale"] == "0"
    assert inference_service()["spec"]["predictor"]["minReplicas"] == 0
    assert manifests()["HorizontalPodAutoscaler"]["spec"]["minReplicas"] == 1
    assert manifests(min_replicas=3)["HorizontalPodAutoscaler"]["spec"]["minReplicas"] == 3


def test_cloud_run_is_told_what_knative_is():
    (line,) = [line for line in rendered(min_replicas=2, timeout_s=45)["README.md"].splitlines() if "gcloud" in line]
    words = line.partition("`")[2].split()
    told = dict(pairwise(words))
    spec = knative(min_replicas=2, timeout_s=45)["spec"]["template"]
    assert told["--concurrency"] == str(spec["spec"]["containerConcurrency"])
    assert told["--timeout"] == str(spec["spec"]["timeoutSeconds"])
    for flag, name in (("--min-instances", "min-scale"), ("--max-instances", "max-scale")):
        assert told[flag] == spec["metadata"]["annotations"][f"autoscaling.knative.dev/{name}"]


def test_kserve_is_told_which_protocol_it_speaks():
    (container,) = inference_service()["spec"]["predictor"]["containers"]
    assert container["name"] == "kserve-container"  # the name by which KServe finds a predictor of one's own
    assert {"name": "PROTOCOL", "value": "v2"} in container["env"]


@pytest.mark.parametrize("case", CONTAINER_CASES)
def test_kserves_own_sdk_knows_every_property(case):
    service = yaml.safe_load(render_container(CONTAINER_CASES[case])["kubernetes/kserve.yaml"])
    assert service.keys() <= kserve.model("v1beta1_inference_service").keys()
    assert service["spec"].keys() <= kserve.model("v1beta1_inference_service_spec").keys()
    known = kserve.model("v1beta1_predictor_spec")
    kinds = {"int": int, "bool": bool, "str": str}
    for name, value in service["spec"]["predictor"].items():
        assert name in known
        assert isinstance(value, kinds.get(known[name], list)), name


@pytest.mark.parametrize("case", CONTAINER_CASES)
def test_knative_knows_every_property(case):
    """Against Knative Serving's API in Google's words: Cloud Run's first one is that API."""
    documents = list((ROOT / ".tools" / "gcp").glob("lib/*/site-packages/googleapiclient/discovery_cache/documents"))
    if not documents:
        pytest.skip("`make tools` has not made .tools/gcp")
    schemas = json.loads((documents[0] / "run.v1.json").read_text())["schemas"]
    service = yaml.safe_load(render_container(CONTAINER_CASES[case])["kubernetes/knative.yaml"])
    template = service["spec"]["template"]
    for record, name in (
        (service, "Service"),
        (service["spec"], "ServiceSpec"),
        (template, "RevisionTemplate"),
        (template["spec"], "RevisionSpec"),
        (service["spec"]["traffic"][0], "TrafficTarget"),
    ):
        extra = {"automountServiceAccountToken"} if name == "RevisionSpec" else set()  # Kubernetes' own, off Cloud Run
        assert record.keys() - extra <= schemas[name]["properties"].keys(), name
    assert template["spec"].keys() <= _KNATIVE_POD


def _pod(spec):
    """A pod of what Knative and KServe hand on to one, for Kubernetes' own schema."""
    own = {"containerConcurrency", "timeoutSeconds", "timeout", "minReplicas", "maxReplicas"}
    kept = {key: value for key, value in spec.items() if key not in own}
    for probe in ("readinessProbe", "livenessProbe"):
        spec["containers"][0][probe]["httpGet"].setdefault("port", 8080)  # Knative takes the container's only one
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": kept}


@needs_tools
@pytest.mark.parametrize("version", [_OLDEST, _NEWEST])
@pytest.mark.parametrize("case", CONTAINER_CASES)
def test_kubernetes_own_schemas_know_every_property(case, version, tmp_path):
    files = render_container(CONTAINER_CASES[case])
    knative_pod = _pod(yaml.safe_load(files["kubernetes/knative.yaml"])["spec"]["template"]["spec"])
    kserve_pod = _pod(yaml.safe_load(files["kubernetes/kserve.yaml"])["spec"]["predictor"])
    pods = {"knative.yaml": yaml.safe_dump(knative_pod), "kserve.yaml": yaml.safe_dump(kserve_pod)}
    paths = write_files({"deployment.yaml": files["kubernetes/deployment.yaml"], **pods}, tmp_path)
    command = [tool("container", "kubernetes-validate"), "--strict", "-k", version, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count("passed") + done.stdout.count("passed") == 8


@needs_tools
def test_kubernetes_own_schemas_are_asked(tmp_path):
    text = rendered()["kubernetes/deployment.yaml"].replace("revisionHistoryLimit", "revisionHistorylimit")
    (path,) = write_files({"deployment.yaml": text}, tmp_path)
    command = [tool("container", "kubernetes-validate"), "--strict", path]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


@needs_tools
@pytest.mark.parametrize("case", CONTAINER_CASES)
def test_hadolint_finds_nothing(case):
    path = TREES / "container" / case / "Dockerfile"
    done = subprocess.run([tool("container", "hadolint"), path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.cloud
@pytest.mark.skipif(not tool("lint", "checkov").exists(), reason="`make tools` has not made .tools/lint")
def test_checkov_finds_nothing():
    # Which namespace, `kubectl --namespace` says; a digest there is once the image has been pushed. An endpoint's token
    # is read from the environment, where every provider puts it.
    excused = "CKV_K8S_21,CKV_K8S_43,CKV_K8S_35"
    command = [tool("lint", "checkov"), "-d", TREES / "container", "--framework", "dockerfile", "kubernetes"]
    command += ["--skip-download", "--output", "json", "--skip-check", excused]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for report in json.loads(done.stdout):
        failed = [
            (each["check_id"], each["file_path"], each["resource"]) for each in report["results"]["failed_checks"]
        ]
        assert not failed
        assert report["summary"]["parsing_errors"] == 0
        assert report["summary"]["passed"] > 10
