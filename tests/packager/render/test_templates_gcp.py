"""``templates/gcp``: what is rendered, that it stays the same, and that the tools of the trade find nothing."""

import json
import os
import re
import subprocess
from functools import cache

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from coldpress._resources import template_root
from coldpress.config import BatchConfig, load_config
from coldpress.errors import ConfigError, TemplateError
from coldpress.fit.tiers import tier
from coldpress.render.gcp import AUTHS, REGIONS, GcpValues, gcp_values, least_cpu, render_gcp
from coldpress.render.template import write_files
from tests.support.golden import GCP_CASES, TREES, differences
from tests.support.local_aws import ROOT, tool

needs_tools = pytest.mark.skipif(not tool("gcp", "hcl2tojson").exists(), reason="`make tools` has not made .tools/gcp")
# Terraform's names are the API's in another spelling, but for these.
_TERRAFORMS_OWN = {
    "count",
    "deletion_protection",
    "depends_on",
    "dynamic",
    "for_each",
    "location",
    "name",
    "__is_block__",
}
_RENAMED = {"matching_criteria": "eventFilters", "cloud_run_service": "cloudRun"}


def rendered(**changes):
    return render_gcp(GcpValues(**{"name": "digits"} | changes))


def service(**changes):
    return yaml.safe_load(rendered(**changes)["service.yaml"])


@cache
def discovery(api):
    (documents,) = (ROOT / ".tools" / "gcp").glob("lib/*/site-packages/googleapiclient/discovery_cache/documents")
    return json.loads((documents / f"{api}.json").read_text())


@pytest.mark.parametrize("case", GCP_CASES)
def test_the_rendered_tree_is_the_kept_one(case):
    found = differences(TREES / "gcp" / case, render_gcp(GCP_CASES[case]))
    assert not found, "\n".join([*found, "if you meant this change: `make golden`, and look at the difference"])


def test_every_kept_tree_has_its_case():
    assert {path.name for path in (TREES / "gcp").iterdir()} == set(GCP_CASES)


def test_what_is_deployed_is_started_with_the_framework_that_it_was_tried_under():
    lock = ROOT / "packager" / "coldpress" / "emulate" / "locks" / "gcp.txt"
    tried, deployed = (
        [line for line in path.read_text().splitlines() if not line.startswith("#")]
        for path in (lock, template_root() / "gcp" / "requirements.txt")
    )
    assert tried == deployed


@given(name=st.text(min_size=1))
def test_any_name_renders_into_what_google_takes(name):
    files = rendered(name=name)
    parsed = yaml.safe_load(files["service.yaml"])
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,47}[a-z0-9])?", parsed["metadata"]["name"] + "-uploads")
    assert all(re.fullmatch(r"[a-z0-9_-]{0,63}", label) for label in parsed["metadata"]["labels"].values())
    account = parsed["spec"]["template"]["spec"]["serviceAccountName"].partition("@")[0]
    assert re.fullmatch(r"[a-z]([-a-z0-9]{4,25}[a-z0-9])", account)
    assert re.fullmatch(r"[a-z]([-a-z0-9]{4,28}[a-z0-9])", account + "-up")


@pytest.mark.parametrize("common", ["sentiment-classifier-", "sentiment-classifier-for-short-messages-"])
def test_long_names_that_begin_alike_are_not_one_function_nor_one_account(common):
    one, other = (service(name=common + language) for language in ("en", "de"))
    assert one["metadata"]["name"] != other["metadata"]["name"]
    accounts = [each["spec"]["template"]["spec"]["serviceAccountName"] for each in (one, other)]
    assert accounts[0] != accounts[1]


def test_callers_need_a_role_unless_told_otherwise():
    annotation = "run.googleapis.com/invoker-iam-disabled"
    assert service()["metadata"]["annotations"][annotation] == "false"
    assert service(auth="none")["metadata"]["annotations"][annotation] == "true"
    assert " --invoker-iam-check " in rendered()["deploy.sh"]
    assert " --no-invoker-iam-check " in rendered(auth="none")["deploy.sh"]
    assert "Authorization: Bearer" in rendered()["README.md"]
    assert "Authorization: Bearer" not in rendered(auth="none")["README.md"]
    assert "allUsers" not in "".join("".join(rendered(auth=auth).values()) for auth in AUTHS)


def test_the_function_itself_gets_no_role():
    scripts = rendered(uploads_bucket="data")["deploy.sh"]
    for binding in re.findall(r"add-iam-policy-binding(?:[^\n]*\\\n)*[^\n]*", scripts):
        assert '"serviceAccount:$ACCOUNT"' not in binding


@pytest.mark.parametrize(("memory_mb", "generation"), [(128, "gen1"), (511, "gen1"), (512, None), (32_768, None)])
def test_little_memory_needs_the_first_generation(memory_mb, generation):
    annotations = service(memory_mb=memory_mb)["spec"]["template"]["metadata"]["annotations"]
    assert annotations.get("run.googleapis.com/execution-environment") == generation
    assert ("--execution-environment=gen1" in rendered(memory_mb=memory_mb)["deploy.sh"]) == (generation == "gen1")


@given(st.integers(128, 32_768))
def test_any_memory_gets_cpus_that_may_go_with_it(memory_mb):
    cpu = least_cpu(memory_mb)
    GcpValues(name="m", memory_mb=memory_mb, cpu=cpu)
    assert tier("gcp", memory_mb).vcpus == cpu


def test_variables_reach_the_function_by_every_road():
    files = render_gcp(GCP_CASES["everything"])
    wanted = GCP_CASES["everything"].environment | {"THREADS": "1000"}
    (container,) = yaml.safe_load(files["service.yaml"])["spec"]["template"]["spec"]["containers"]
    assert yaml.safe_load(files["environment.yaml"]) == wanted
    assert {each["name"]: each["value"] for each in container["env"]} == wanted


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"region": "europe-west99"}, r"no region of Cloud Run: did you mean europe-west9\?"),
        ({"region": "eu-central-1"}, r"region is 'eu-central-1', which is no region of Cloud Run"),
        ({"region": "Mars"}, r"`gcloud run regions list`"),
        ({"python": "2.7"}, r"python is '2.7'; expected one of 3.10, "),
        ({"memory_mb": 64}, r"memory_mb is 64; expected 128 to 32768"),
        ({"memory_mb": 65_536}, r"memory_mb is 65536"),
        ({"cpu": 3}, r"cpu is 3; expected one of 1, 2, 4, 6, 8"),
        ({"cpu": 1, "memory_mb": 8192}, r"cpu is 1 and memory_mb is 8192; expected 128 to 4096 MB with 1 vCPU"),
        ({"cpu": 8, "memory_mb": 2048}, r"expected 4096 to 32768 MB with 8 vCPU"),
        ({"timeout_s": 0}, r"timeout_s is 0; expected 1 to 3600"),
        ({"concurrency": 1001}, r"concurrency is 1001"),
        ({"min_instances": 11}, r"min_instances is 11; expected 0 to 10"),
        ({"canary_percent": 0}, r"canary_percent is 0; expected 1 to 100"),
        ({"auth": "key"}, r"auth is 'key'; expected one of iam, none"),
        ({"auth": "none", "invokers": ("user:a@b.c",)}, r"everybody may call: set auth to 'iam'"),
        ({"invokers": ("ann@example.com",)}, r"expected members such as 'user:ann@example.com'"),
        ({"project": "My Project"}, r"project is 'My Project'; expected an id"),
        ({"service_account": "me@example.com"}, r"expected an address that ends in .gserviceaccount.com"),
        ({"uploads_bucket": "gs://data"}, r"uploads_bucket is 'gs://data'; expected a bucket's name, without gs://"),
        ({"uploads_bucket": "a b; rm -rf /"}, r"expected a bucket's name"),
        ({"environment": {"K_SERVICE": "x"}}, r"'K_SERVICE' cannot name a variable of yours"),
        ({"environment": {"DEBUG": "1"}}, r"'DEBUG' cannot name a variable of yours"),
        ({"environment": {"HOST": "::"}}, r"'HOST' cannot name a variable of yours"),
        ({"environment": {"ENTRY_POINT": "x"}}, r"'ENTRY_POINT' cannot name a variable of yours"),
        (
            {"environment": {"COLDPRESS_INPUT_PREFIX": "scores/"}},
            r"answers go below 'scores/', and uploads at 'scores/'",
        ),
        (
            {"environment": {"COLDPRESS_INPUT_PREFIX": "a/b/", "COLDPRESS_OUTPUT_PREFIX": "a/"}},
            r"answers go below 'a/'",
        ),
        ({"environment": {"A-B": "x"}}, r"'A-B' cannot name a variable of yours"),
        ({"environment": {"COLDPRESS_INPUT_PREFIX": 'a"b'}}, r"COLDPRESS_INPUT_PREFIX is 'a\"b'; expected letters"),
    ],
)
def test_a_value_that_google_would_refuse_is_refused_while_packing(changes, said):
    with pytest.raises(TemplateError, match=said):
        GcpValues(**{"name": "digits"} | changes)


def test_settings_come_from_the_file(tmp_path):
    path = tmp_path / "coldpress.toml"
    path.write_text(
        '[function]\nmemory_mb = 8192\n[targets.gcp]\nproject = "my-project"\nregion = "us-central1"\ncpu = 4\n'
        'invokers = ["user:ann@example.com"]\nuploads_bucket = "data"\ncanary_percent = 25\n'
    )
    values = gcp_values(load_config(path), "digits")
    assert (values.memory_mb, values.project, values.region, values.cpu) == (8192, "my-project", "us-central1", 4)
    assert (values.invokers, values.uploads_bucket, values.canary_percent) == (("user:ann@example.com",), "data", 25)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('auth = "key"', r"`targets.gcp.auth` holds 'key'"),
        ("concurrency = 0", r"`targets.gcp.concurrency` holds 0; expected at least 1"),
        ('cpu = "two"', r"`targets.gcp.cpu` holds 'two'; expected a whole number"),
        ("zone = 1", r"`targets.gcp.zone` is not a setting"),
    ],
)
def test_a_misspelt_setting_stops(tmp_path, line, said):
    path = tmp_path / "coldpress.toml"
    path.write_text(f"[targets.gcp]\n{line}\n")
    with pytest.raises(ConfigError, match=said):
        load_config(path)


# What Google itself says: the discovery documents inside its API client.


@needs_tools
def test_the_regions_are_those_with_an_endpoint():
    assert set(REGIONS) == {endpoint["location"] for endpoint in discovery("run.v1")["endpoints"]}


@needs_tools
@pytest.mark.parametrize("case", GCP_CASES)
def test_the_service_is_one_that_the_run_api_describes(case):
    document = yaml.safe_load(render_gcp(GCP_CASES[case])["service.yaml"])
    check(document, "Service", discovery("run.v1")["schemas"])
    known = discovery("run.v1")["schemas"]["ObjectMeta"]["properties"]["annotations"]["description"]
    on_service = document["metadata"]["annotations"]
    on_revision = document["spec"]["template"]["metadata"]["annotations"]
    for place, annotations in (("Service", on_service), ("Revision", on_revision)):
        for name in annotations:
            assert place in re.search(rf"\* `{re.escape(name)}`: ([^.]*)\.", known)[1].split(", "), name


def check(value, schema, schemas):
    """Hold a document against a schema of a discovery document: names, types and enumerations."""
    if isinstance(schema, str):
        schema = schemas[schema]
    if "$ref" in schema:
        return check(value, schema["$ref"], schemas)
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "number": (int, float)}
    assert isinstance(value, kinds[schema["type"]]), (value, schema)
    if "enum" in schema:
        assert value in schema["enum"]
    if isinstance(value, dict):
        for name, inner in value.items():
            known = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            assert known, f"{schema.get('id')} has no {name}"
            check(inner, known, schemas)
    if isinstance(value, list):
        for item in value:
            check(item, schema["items"], schemas)
    return None


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Every case written out."""
    root = tmp_path_factory.mktemp("gcp")
    for case, values in GCP_CASES.items():
        write_files(render_gcp(values), root / case)
    return root


def parsed(path):
    """What Terraform's parser for Python reads; texts that are literal without their quotes."""
    done = subprocess.run([tool("gcp", "hcl2tojson"), path], capture_output=True, text=True, check=True)

    def plain(node):
        if isinstance(node, dict):
            return {plain(key): plain(value) for key, value in node.items()}
        if isinstance(node, list):
            return [plain(item) for item in node]
        return json.loads(node) if isinstance(node, str) and node.startswith('"') else node

    return plain(json.loads(done.stdout))


def blocks(document, kind):
    """The blocks with two labels, as pairs of the first label and the block."""
    return [
        (label, body)
        for block in document.get(kind, ())
        for label, named in block.items()
        for name, body in named.items()
        if name != "__is_block__"
    ]


@needs_tools
@pytest.mark.parametrize("case", GCP_CASES)
def test_terraform_parses_and_every_reference_leads_somewhere(folders, case):
    main, variables = parsed(folders / case / "main.tf"), parsed(folders / case / "variables.tf")
    declared = {name for block in variables["variable"] for name in block}
    text = (folders / case / "main.tf").read_text()
    assert set(re.findall(r"\bvar\.(\w+)", text)) == declared
    locals_ = {name for block in main["locals"] for name in block} - {"__is_block__"}
    assert set(re.findall(r"\blocal\.(\w+)", text)) == locals_
    made = {
        (kind, name) for block in main["resource"] for kind, named in block.items() for name in named
    }  # fmt: skip
    for kind, name in re.findall(r"(?<!data\.)\b(google_\w+)\.(\w+)", text):
        assert (kind, name) in made


@needs_tools
@pytest.mark.parametrize("case", GCP_CASES)
def test_terraforms_defaults_are_the_settings(folders, case):
    values = GCP_CASES[case]
    variables = parsed(folders / case / "variables.tf")["variable"]
    defaults = {name: body["default"] for block in variables for name, body in block.items() if "default" in body}
    assert "image" not in defaults
    assert ("project" in defaults) == bool(values.project)
    for name in ("region", "memory_mb", "timeout_s", "concurrency", "min_instances", "max_instances",
                 "service_account", "uploads_bucket", "input_prefix", "output_prefix", "canary_percent"):  # fmt: skip
        assert defaults[name] == getattr(values, name), name
    assert [each.replace("%%{", "%{") for each in defaults["invokers"]] == list(values.invokers)
    assert defaults["public"] == (values.auth == "none")
    (environment,) = (block["environment"] for block in parsed(folders / case / "main.tf")["locals"])
    assert ("COLDPRESS_FALLBACK_URL" in environment) == (values.asked is not None and values.asked.rendered)
    environment.pop("COLDPRESS_FALLBACK_URL", None)
    unescaped = {key: value.replace("$${", "${").replace("%%{", "%{") for key, value in environment.items()}
    assert unescaped == {"THREADS": "${tostring(var.concurrency)}", **values.environment}


@needs_tools
def test_the_revision_that_terraform_tells_is_one_that_it_takes(folders):
    """The API tells projects/P/locations/L/services/S/revisions/NAME, and takes NAME for a share of the callers."""
    outputs = {name: body for each in parsed(folders / "default" / "main.tf")["output"] for name, body in each.items()}
    assert outputs["revision"]["value"] == "${basename(google_cloud_run_v2_service.function.latest_ready_revision)}"


@needs_tools
def test_terraforms_blocks_have_the_apis_names_and_values(folders):
    main = parsed(folders / "uploads" / "main.tf")
    of = {
        "google_cloud_run_v2_service": ("run.v2", "GoogleCloudRunV2Service"),
        "google_eventarc_trigger": ("eventarc.v1", "Trigger"),
    }
    seen = set()
    for kind, body in blocks(main, "resource"):
        if kind in of:
            api, schema = of[kind]
            seen.add(kind)
            _check_block(body, schema, discovery(api)["schemas"])
    assert seen == set(of)


def _check_block(body, schema, schemas):
    properties = schemas[schema]["properties"]
    dynamic = [(name, inner["content"][0]) for each in body.get("dynamic", ()) for name, inner in each.items()]
    for name, value in [*body.items(), *dynamic]:
        if name in _TERRAFORMS_OWN:
            continue
        spelt = _RENAMED.get(name) or re.sub(r"_(\w)", lambda match: match[1].upper(), name)
        assert spelt in properties, f"{schema} has no {spelt}"
        known = properties[spelt]
        known = known.get("items", known)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict) and "$ref" in known:
                _check_block(item, known["$ref"], schemas)
            if "enum" in known:
                names = re.findall(r"[A-Z][A-Z0-9_]{5,}", str(item))
                assert names, (name, item)
                assert set(names) <= set(known["enum"])


@needs_tools
def test_shellcheck_finds_nothing(folders):
    scripts = sorted(folders.glob("*/*.sh"))
    assert len(scripts) == 2 * len(GCP_CASES) + 1  # that one uploads weights
    done = subprocess.run([tool("gcp", "shellcheck"), *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.cloud
def test_checkov_finds_nothing(folders):
    command = [tool("lint", "checkov"), "-d", ".", "--framework", "terraform", "--skip-download", "--output", "json"]
    variables = {"PATH": os.environ["PATH"], "HOME": str(folders), "LOG_LEVEL": "ERROR"}
    done = subprocess.run(command, cwd=folders, env=variables, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert report["summary"]["failed"] == 0, [
        (check["check_id"], check["file_path"], check["resource"]) for check in report["results"]["failed_checks"]
    ]
    assert report["summary"]["passed"] > 0
    assert report["summary"]["parsing_errors"] == 0


# The scripts themselves, run with a `gcloud` that writes down what it is asked.

_GCLOUD = """#!/bin/sh
echo "$*" >> "$ASKED"
case "$*" in
  "config get-value project") echo from-gcloud ;;
  *" describe "*"value(location)"*) echo EUROPE-WEST1 ;;
  "run services describe "*"--format=json"*)
    echo '{"status": {"traffic": [{"tag": "canary", "url": "http://127.0.0.1:9"}]}}' ;;
  *" describe "*"value(transport.pubsub.subscription)"*) echo projects/p/subscriptions/s ;;
  "eventarc triggers describe "*"--format=json"*)
    [ "$MISSING" -eq 1 ] && exit 1
    echo '{"eventFilters": [{"attribute": "bucket", "value": "my-data"}]}' ;;
  "run services list "*) [ "$MISSING" -eq 1 ] || echo "$READY" ;;
  "run services describe "*"value(status.url)"*) echo https://function.example ;;
  "projects describe "*) echo 1234567890 ;;
  *" describe "*) exit "$MISSING" ;;
esac
"""


def deploy(folder, case, missing, script="./deploy.sh", arguments=(), curl=0, ready="digits-00001-abc", gcloud=_GCLOUD):
    """Run a script; return its outcome and what it asked of gcloud, a line a command."""
    tree, tools, asked = folder / case, folder / f"bin-{case}", folder / f"asked-{case}"
    write_files(render_gcp(GCP_CASES[case]), tree)
    tools.mkdir(exist_ok=True)
    asked.write_text("")
    for name, text in {"gcloud": gcloud, "curl": f"#!/bin/sh\nexit {curl}\n"}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    for each in tree.glob("*.sh"):
        each.chmod(0o755)
    variables = {"PATH": f"{tools}:{os.environ['PATH']}", "ASKED": str(asked), "MISSING": str(int(missing))}
    variables["READY"] = ready
    done = subprocess.run([script, *arguments], cwd=tree, env=variables, capture_output=True, text=True, check=False)
    return done, asked.read_text().splitlines()


def asked_for(lines, start):
    return [line for line in lines if line.startswith(start)]


def test_the_first_deployment_makes_an_account_and_gets_every_caller(tmp_path):
    done, lines = deploy(tmp_path, "default", missing=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "https://function.example"
    assert asked_for(lines, "iam service-accounts create coldpress-digits ")
    (run,) = asked_for(lines, "run deploy")
    assert "--no-traffic" not in run
    assert "--source=function --function=predict --base-image=python313" in run
    assert "--no-allow-unauthenticated" in run
    assert "--project=from-gcloud" in run
    assert "--cpu-boost" in run
    assert not asked_for(lines, "run services update-traffic")


def test_a_first_deployment_that_failed_is_done_again_as_a_first(tmp_path):
    """There is a service, and no revision of it that could go on answering."""
    done, lines = deploy(tmp_path, "default", missing=False, ready="")
    assert done.returncode == 0, done.stderr
    (run,) = asked_for(lines, "run deploy")
    assert "--no-traffic" not in run
    assert not asked_for(lines, "run services update-traffic")


def test_nothing_is_deployed_when_nobody_can_say_what_is_there(tmp_path):
    """Taken for a first deployment, a new revision would get every caller."""
    gcloud = _GCLOUD.replace('"run services list "*) ', '"run services list "*) exit 1;; "never ") ')
    done, lines = deploy(tmp_path, "default", missing=False, gcloud=gcloud)
    assert done.returncode != 0
    assert not asked_for(lines, "run deploy")


def test_a_later_deployment_gets_some_callers_once_it_is_healthy(tmp_path):
    done, lines = deploy(tmp_path, "default", missing=False, arguments=["other-project"])
    assert done.returncode == 0, done.stderr
    assert not asked_for(lines, "iam service-accounts create")
    (run,) = asked_for(lines, "run deploy")
    assert run.endswith("--no-traffic --tag=canary")
    (traffic,) = asked_for(lines, "run services update-traffic")
    assert traffic.endswith("--to-tags=canary=10")
    assert "--project=other-project" in traffic


def test_a_revision_that_does_not_answer_gets_no_caller(tmp_path):
    done, lines = deploy(tmp_path, "default", missing=False, curl=22)
    assert done.returncode != 0
    assert not asked_for(lines, "run services update-traffic")


@pytest.mark.parametrize(
    ("percent", "asked"), [("0", "--to-tags=canary=0"), ("40", "--to-tags=canary=40"), ("100", "--to-latest")]
)
def test_a_canary_grows_ends_and_is_taken_back(tmp_path, percent, asked):
    done, lines = deploy(tmp_path, "default", missing=False, script="./canary.sh", arguments=[percent])
    assert done.returncode == 0, done.stderr
    (traffic,) = asked_for(lines, "run services update-traffic")
    assert traffic.endswith(asked)


def test_a_canary_without_a_share_is_refused(tmp_path):
    done, lines = deploy(tmp_path, "default", missing=False, script="./canary.sh")
    assert done.returncode != 0
    assert "how many percent" in done.stderr
    assert not lines


def test_uploads_get_a_service_of_their_own_and_a_trigger_where_the_bucket_is(tmp_path):
    done, lines = deploy(tmp_path, "uploads", missing=True)
    assert done.returncode == 0, done.stderr
    predict, score = asked_for(lines, "run deploy")
    assert "coldpress-digits-uploads" in score
    assert "--function=score_upload" in score
    assert "--ingress=internal" in score
    assert "--service-account=coldpress-digits-up@my-project.iam.gserviceaccount.com" in score
    assert "--service-account=coldpress-digits@my-project.iam.gserviceaccount.com" in predict
    (trigger,) = asked_for(lines, "eventarc triggers create")
    assert "--location=europe-west1" in trigger
    assert "--event-filters=type=google.cloud.storage.object.v1.finalized --event-filters=bucket=my-data" in trigger
    reads, writes = asked_for(lines, "storage buckets add-iam-policy-binding")
    assert reads.endswith('resource.name.startsWith("projects/_/buckets/my-data/objects/uploads/")')
    assert "roles/storage.objectViewer" in reads
    assert writes.endswith('resource.name.startsWith("projects/_/buckets/my-data/objects/scores/")')
    assert "roles/storage.objectUser" in writes
    (waits,) = asked_for(lines, "pubsub subscriptions update ")
    assert waits.endswith("projects/p/subscriptions/s --project=my-project --ack-deadline=600")
    again, lines = deploy(tmp_path, "uploads", missing=False)
    assert again.returncode == 0, again.stderr
    assert not asked_for(lines, "eventarc triggers create")


def test_a_trigger_that_watches_another_bucket_is_not_passed_over(tmp_path):
    gcloud = _GCLOUD.replace('"value": "my-data"', '"value": "my-data-before"')
    done, _ = deploy(tmp_path, "uploads", missing=False, gcloud=gcloud)
    assert done.returncode != 0
    assert "coldpress-digits-uploads watches another bucket than my-data" in done.stderr
    assert "gcloud eventarc triggers delete coldpress-digits-uploads --project=my-project" in done.stderr


def test_rows_are_scored_by_instances_of_their_own_size_one_job_each(tmp_path):
    done, lines = deploy(tmp_path, "batch", missing=True)
    assert done.returncode == 0, done.stderr
    predict, score = asked_for(lines, "run deploy")
    assert "--memory=1024Mi --cpu=1 " in predict
    assert "--concurrency=8 --min-instances=0 --max-instances=10 --timeout=30s" in predict
    assert "--memory=8192Mi --cpu=2 " in score
    assert "--concurrency=1 --max-instances=20 --timeout=3600s" in score
    reads, writes = asked_for(lines, "storage buckets add-iam-policy-binding")
    assert reads.endswith('/objects/in/")')
    assert writes.endswith('/objects/out/")')


def test_events_of_rows_come_again_for_a_week_and_are_kept_when_that_was_in_vain(tmp_path):
    done, lines = deploy(tmp_path, "batch", missing=True)
    assert done.returncode == 0, done.stderr
    _, again = asked_for(lines, "pubsub subscriptions update ")
    assert "--min-retry-delay=10s --max-retry-delay=300s --message-retention-duration=7d" in again
    lost = "coldpress-digits-uploads-lost"
    assert again.endswith(f"--dead-letter-topic=projects/my-project/topics/{lost} --max-delivery-attempts=100")
    assert asked_for(lines, f"pubsub topics create {lost} ")
    assert asked_for(lines, f"pubsub subscriptions create {lost} --project=my-project --quiet --topic={lost} ")
    grants = [
        line.split("--role=")[1].split()[0] for line in lines if " add-iam-policy-binding" in line and "pubsub " in line
    ]
    assert grants == ["roles/pubsub.publisher", "roles/pubsub.subscriber"]
    (metric,) = asked_for(lines, "logging metrics create coldpress-digits-uploads-failed ")
    assert metric.endswith('jsonPayload.status="failed"')
    again, lines = deploy(tmp_path, "batch", missing=False)
    assert again.returncode == 0, again.stderr
    assert not [line for line in lines if " create " in line]


@needs_tools
def test_terraform_makes_for_rows_what_the_script_makes(folders):
    main = parsed(folders / "batch" / "main.tf")
    ((_, service),) = [(kind, body) for kind, body in blocks(main, "resource") if "score_upload" in str(body)]
    assert (service["template"][0]["timeout"], service["template"][0]["max_instance_request_concurrency"]) == (
        "3600s",
        1,
    )
    limits = service["template"][0]["containers"][0]["resources"][0]["limits"]
    assert (limits["cpu"], limits["memory"]) == ("2", "8192Mi")
    made = {kind for kind, _ in blocks(main, "resource")}
    assert {"google_pubsub_topic", "google_pubsub_subscription", "google_logging_metric"} <= made
    assert not {"google_pubsub_topic"} & {
        kind for kind, _ in blocks(parsed(folders / "uploads" / "main.tf"), "resource")
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"uploads_bucket": ""}, r"\[batch\] is set and targets.gcp.uploads_bucket is not"),
        ({"batch": BatchConfig(timeout_s=3601)}, r"batch.timeout_s is 3601; expected 60 to 3600"),
        ({"batch": BatchConfig(memory_mb=256)}, r"batch.memory_mb is 256; expected 512 to 32768"),
        ({"batch": BatchConfig(input='a"b/')}, r"batch.input is 'a\"b/'; expected letters"),
        ({"environment": {"COLDPRESS_INPUT_PREFIX": "in/"}}, r"counts for nothing beside \[batch\]: set batch.input"),
    ],
)
def test_rows_that_cannot_be_scored_there_are_refused_while_packing(changes, said):
    with pytest.raises(TemplateError, match=said):
        GcpValues(**{"name": "digits", "uploads_bucket": "data", "batch": BatchConfig()} | changes)


def test_members_may_call(tmp_path):
    _, lines = deploy(tmp_path, "everything", missing=True)
    invokers = asked_for(lines, "run services add-iam-policy-binding coldpress-on-weird-aws-region-name ")
    assert [line.split("--member=")[1].split()[0] for line in invokers] == [*GCP_CASES["everything"].invokers]
    assert not asked_for(lines, "iam service-accounts create coldpress-on-weird-aws-regi ")
