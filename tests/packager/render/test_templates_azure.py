"""``templates/azure``: what is rendered, that it stays the same, and that the tools of the trade find nothing."""

import json
import os
import re
import shutil
import subprocess

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from coldpress._resources import template_root
from coldpress.config import BatchConfig, load_config
from coldpress.errors import ConfigError, TemplateError
from coldpress.render.azure import AUTHS, LOCATIONS, AzureValues, azure_values, render_azure
from coldpress.render.template import write_files
from coldpress_runtime.batch.event_grid import QUEUE
from tests.support.golden import AZURE_CASES, TREES, differences
from tests.support.local_aws import ROOT, tool

_GUID = "00000000-1111-2222-3333-444444444444"


def bicep(**changes):
    return render_azure(AzureValues(**{"name": "digits"} | changes))["main.bicep"]


def settings(text):
    """The app's settings, by name, as they stand in the Bicep."""
    return dict(re.findall(r"^\s*\{ name: '(\w+)', value: (.+) \}$", text, re.MULTILINE))


@pytest.mark.parametrize("case", AZURE_CASES)
def test_the_rendered_tree_is_the_kept_one(case):
    found = differences(TREES / "azure" / case, render_azure(AZURE_CASES[case]))
    assert not found, "\n".join([*found, "if you meant this change: `make golden`, and look at the difference"])


def test_every_kept_tree_has_its_case():
    assert {path.name for path in (TREES / "azure").iterdir()} == set(AZURE_CASES)


@given(name=st.text(min_size=1))
def test_any_name_renders_into_what_azure_takes(name):
    files = render_azure(AzureValues(name=name))
    made = re.search(r"^var appName = '(.*)-\$\{token\}'$", files["main.bicep"], re.MULTILINE)[1]
    assert re.fullmatch(r"[a-z0-9](-?[a-z0-9])*", made)
    assert len(made) + 14 <= 60  # what the name of an app may have; the token is 13 characters
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", yaml.safe_load(files["azure.yaml"])["name"])


@pytest.mark.parametrize("case", AZURE_CASES)
def test_outputs_keep_their_names_in_a_deployment_which_begins_each_with_small_letters(case):
    files = render_azure(AZURE_CASES[case])
    outputs = set(re.findall(r"^output (\w+) ", files["main.bicep"], re.MULTILINE))
    assert all(name[0].islower() for name in outputs)  # Azure would keep APP_NAME as apP_NAME
    assert set(re.findall(r"properties\.outputs\.(\w+)\.", "".join(files.values()))) <= outputs
    assert set(re.findall(r"\$\(output (\w+)\)", files["deploy.sh"])) <= outputs
    assert set(re.findall(r"\$([a-z]\w+)", files["azure.yaml"])) <= outputs | {"schema"}


@given(text=st.text())
def test_no_text_of_the_user_ends_its_string_or_is_interpolated(text):
    (line,) = (line for line in bicep(environment={"NOTE": text}).splitlines() if "name: 'NOTE'" in line)
    inner = re.fullmatch(r"\s*\{ name: 'NOTE', value: '(.*)' \}", line)[1]
    assert re.fullmatch(r"(?:[^'\\$]|\\u\{[0-9a-f]+\}|\\\\|\\'|\\\$\{|\$(?!\{))*", inner)
    assert inner.isprintable()


def test_a_text_is_spelled_as_bicep_reads_it():
    assert settings(bicep(environment={"NOTE": "it's ${x}\\\n"}))["NOTE"] == r"'it\'s \${x}\\\u{a}'"


def test_callers_must_know_a_key_unless_told_otherwise():
    assert settings(bicep())["COLDPRESS_AUTH_LEVEL"] == "'FUNCTION'"
    assert settings(bicep(auth="anonymous"))["COLDPRESS_AUTH_LEVEL"] == "'ANONYMOUS'"


def test_with_entra_nobody_without_a_token_gets_through():
    text = bicep(auth="entra", entra_client_id=_GUID)
    assert settings(text)["COLDPRESS_AUTH_LEVEL"] == "'ANONYMOUS'"
    assert "requireAuthentication: true" in text
    assert "unauthenticatedClientAction: 'Return401'" in text


def test_with_entra_the_host_is_still_reached_by_those_who_know_its_own_keys():
    cli = "excludedPaths: ['/admin/host/status'"  # `az functionapp deployment` looks there, or it fails
    assert f"{cli}]" in bicep(auth="entra", entra_client_id=_GUID)
    assert f"{cli}, '/runtime/webhooks/blobs']" in bicep(auth="entra", entra_client_id=_GUID, uploads_container="data")


def test_with_entra_the_readme_says_which_tokens_are_taken():
    readme = render_azure(AzureValues(name="m", auth="entra", entra_client_id=_GUID))["README.md"]
    assert f"az ad app update --id {_GUID} --set api.requestedAccessTokenVersion=2" in readme


@pytest.mark.parametrize("auth", AUTHS)
def test_the_readme_says_how_callers_of_each_kind_call(auth):
    values = AzureValues(name="m", auth=auth, entra_client_id=_GUID if auth == "entra" else "")
    wanted = {"function": "x-functions-key", "entra": "authorization: Bearer", "anonymous": "Anybody"}
    assert wanted[auth] in render_azure(values)["README.md"]


@pytest.mark.parametrize("case", AZURE_CASES)
def test_there_is_no_key_and_no_connection_string_but_the_one_that_opens_nothing(case):
    text = render_azure(AZURE_CASES[case])["main.bicep"]
    assert "listKeys" not in text
    assert "AccountKey" not in text
    made = re.findall(r"'Microsoft\.Storage/storageAccounts@[\d-]+' = {", text)
    assert text.count("allowSharedKeyAccess: false") == len(made) == 1 + bool(AZURE_CASES[case].uploads_container)
    assert "DisableLocalAuth: true" in text  # the one of Application Insights names an address and lets nobody in
    assert set(re.findall(r"'(\w*ConnectionString\w*)'", text)) == set()


def test_the_app_may_use_its_own_storage_and_write_metrics_and_nothing_else():
    granted = re.findall(r"scope: (\w+)\n.*?roles\.(\w+)\)", bicep(), re.DOTALL)
    assert granted == [("insights", "monitoringMetricsPublisher"), ("storage", "storageBlobDataOwner")]


def test_with_uploads_the_app_may_use_their_account_and_the_two_queues():
    text = bicep(uploads_container="data")
    granted = re.findall(r"scope: (\w+)\n.*?roles\.(\w+)\)", text, re.DOTALL)
    assert granted[2:] == [
        ("uploads", "storageBlobDataOwner"),
        ("uploads", "storageQueueDataContributor"),
        ("storage", "storageQueueDataContributor"),
    ]
    found = settings(text)
    assert found["COLDPRESS_UPLOADS"] == "'data'"
    assert {"UPLOADS__blobServiceUri", "UPLOADS__queueServiceUri", "UPLOADS__credential"} <= found.keys()


def test_uploads_below_the_prefix_are_told_of_and_answers_are_not():
    events = render_azure(AzureValues(name="m", uploads_container="data"))["events.bicep"]
    assert "subjectBeginsWith: '/blobServices/default/containers/data/blobs/uploads/'" in events
    values = AzureValues(name="m", uploads_container="data", environment={"COLDPRESS_INPUT_PREFIX": "in/"})
    assert "/data/blobs/in/'" in render_azure(values)["events.bicep"]


def test_the_whole_container_may_be_watched():
    values = AzureValues(name="m", uploads_container="data", environment={"COLDPRESS_INPUT_PREFIX": ""})
    assert "uploaded to `data/` is" in render_azure(values)["README.md"]


def test_without_uploads_there_is_nothing_of_them():
    files = render_azure(AzureValues(name="m"))
    assert "events.bicep" not in files
    assert not [name for name, text in files.items() if "UPLOADS" in text or "events.bicep" in text]


def rows(**changes):
    """The files of an app that scores blobs row by row."""
    return render_azure(AzureValues(**{"name": "m", "uploads_container": "data", "batch": BatchConfig()} | changes))


def test_for_rows_events_go_into_the_queue_that_the_function_listens_to():
    text = rows()["main.bicep"]
    assert re.findall(r"^  name: '(coldpress-uploads.*)'$", text, re.MULTILINE) == [QUEUE, f"{QUEUE}-poison"]
    assert "endpointType: 'StorageQueue'" in text
    assert "subjectBeginsWith: '/blobServices/default/containers/data/blobs/uploads/'" in text


def test_for_rows_nothing_waits_for_a_key_of_the_host():
    files = rows()
    assert {"events.bicep", "events.sh"}.isdisjoint(files)
    assert "events" not in files["deploy.sh"] + files["azure.yaml"]
    assert "listKeys" not in "".join(files.values())
    entra = rows(auth="entra", entra_client_id=_GUID)["main.bicep"]
    assert "excludedPaths: ['/admin/host/status']" in entra


def test_for_rows_the_app_may_read_the_one_prefix_write_the_other_and_use_the_queues():
    text = rows(batch=BatchConfig(input="in/", output="out/"))["main.bicep"]
    granted = re.findall(r"scope: (\w+)\n.*?principalId: (\w+).*?roles\.(\w+)\)", text, re.DOTALL)
    assert granted[2:] == [
        ("uploadsContainer", "identity", "storageBlobDataReader"),
        ("uploadsContainer", "identity", "storageBlobDataContributor"),
        ("uploads", "identity", "storageQueueDataContributor"),
        ("uploadsQueue", "topic", "storageQueueDataMessageSender"),
    ]
    reads, writes = re.findall(r"condition: '(.*)'$", text, re.MULTILINE)
    assert reads.endswith(r"blobs:path] StringStartsWith \'in/\'))")
    assert writes.endswith(r"blobs:path] StringStartsWith \'out/\'))")
    assert set(re.findall(r"blobs/([a-z/]+)\\'", writes)) == {"read", "write", "add/action", "delete", "move/action"}
    for condition in (reads, writes):
        assert condition.count("(") == condition.count(")")


def test_for_rows_an_instance_has_one_job_and_time_for_it():
    found = settings(rows(timeout_s=30, batch=BatchConfig(timeout_s=5400))["main.bicep"])
    assert found["AzureFunctionsJobHost__functionTimeout"] == "'01:30:00'"
    assert found["AzureFunctionsJobHost__extensions__queues__batchSize"] == "'1'"
    assert found["AzureFunctionsJobHost__extensions__queues__newBatchThreshold"] == "'0'"
    assert found["AZURE_CLIENT_ID"] == "identity.properties.clientId"
    assert "{ name: 'function:score_upload', instanceCount: 2 }" in rows(always_ready=2)["main.bicep"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"uploads_container": ""}, "[batch] is set and targets.azure.uploads_container is not"),
        ({"batch": BatchConfig(input="it's/")}, "cannot begin names of uploads"),
        ({"batch": BatchConfig(timeout_s=86_400)}, "batch.timeout_s is 86400; expected 60 to 86399"),
        ({"environment": {"COLDPRESS_OUTPUT_PREFIX": "x/"}}, "counts for nothing beside [batch]: set batch.output"),
    ],
)
def test_rows_that_cannot_be_scored_there_are_refused_at_once(wrong, said):
    with pytest.raises(TemplateError, match=re.escape(said)):
        rows(**wrong)


def test_an_environment_of_azd_may_have_as_long_a_name_as_azd_takes():
    assert "@maxLength(64)" in bicep().partition("param environmentName")[0].splitlines()[-1]


def test_instances_are_sized_and_kept_ready_as_asked():
    text = bicep(memory_mb=4096, maximum_instances=7, always_ready=2, http_concurrency=3, uploads_container="data")
    assert "instanceMemoryMB: 4096" in text
    assert "maximumInstanceCount: 7" in text
    assert "perInstanceConcurrency: 3" in text
    assert re.findall(r"\{ name: '(\w+)', instanceCount: 2 \}", text) == ["http", "blob"]
    assert "alwaysReady" not in bicep().partition("scaleAndConcurrency")[2]
    assert "perInstanceConcurrency" not in bicep()


def test_no_tool_builds_in_the_cloud():
    files = render_azure(AzureValues(name="m"))
    project = yaml.safe_load(files["azure.yaml"])
    assert project["services"]["api"]["remoteBuild"] is False
    assert project["requiredVersions"]["azd"] == ">= 1.23.5"  # the first that heeds it on Flex Consumption
    assert "--build-remote false" in files["deploy.sh"]  # for Python the Azure CLI builds unless told this


@pytest.mark.parametrize(("seconds", "text"), [(1, "00:00:01"), (60, "00:01:00"), (230, "00:03:50")])
def test_the_host_ends_what_takes_longer_than_the_timeout(seconds, text):
    assert settings(bicep(timeout_s=seconds))["AzureFunctionsJobHost__functionTimeout"] == f"'{text}'"


def test_paths_are_those_of_the_other_clouds():
    host = json.loads((template_root() / "azure" / "host.json").read_text())
    assert host["extensions"]["http"]["routePrefix"] == ""
    assert host["extensionBundle"] == {
        "id": "Microsoft.Azure.Functions.ExtensionBundle",
        "version": "[4.*, 5.0.0)",
    }


def test_the_readme_says_plainly_that_there_are_no_weights_between_versions():
    readme = render_azure(AzureValues(name="m"))["README.md"]
    assert "no deployment slots and no weights" in readme
    assert "second app" in readme


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"auth": "key"}, "auth is 'key'; expected one of function, entra, anonymous"),
        ({"auth": "entra"}, "entra_client_id is ''; expected the application's GUID"),
        ({"entra_client_id": _GUID}, "set auth to 'entra'"),
        (
            {"location": "us-east-1"},
            "location is 'us-east-1', none of the regions that are known here: `az functionapp",
        ),
        ({"location": "West Europe"}, "did you mean westeurope?"),
        ({"location": "swedncentral"}, "did you mean swedencentral?"),
        ({"memory_mb": 1024}, "memory_mb is 1024; expected one of 512, 2048, 4096"),
        ({"python": "3.9"}, "python is '3.9'; expected one of 3.10, 3.11"),
        ({"timeout_s": 231}, "timeout_s is 231; expected 1 to 230"),
        ({"maximum_instances": 1001}, "maximum_instances is 1001; expected 1 to 1000"),
        ({"maximum_instances": 2, "always_ready": 3}, "always_ready is 3; expected 0 to 2"),
        ({"http_concurrency": 0}, "http_concurrency is 0"),
        ({"log_retention_days": 29}, "log_retention_days is 29; expected 30 to 730"),
        ({"uploads_container": "My_Data"}, "expected 3 to 63 lower-case letters"),
        ({"uploads_container": "ab"}, "expected 3 to 63 lower-case letters"),
        ({"environment": {"1A": "x"}}, "'1A' cannot name a setting of yours"),
        ({"environment": {"FUNCTIONS_WORKER_RUNTIME": "x"}}, "none of Azure's own names"),
        ({"environment": {"SCM_DO_BUILD_DURING_DEPLOYMENT": "1"}}, "none of Azure's own names"),
        ({"environment": {"COLDPRESS_INPUT_PREFIX": "it's"}}, "cannot begin names of uploads"),
        ({"environment": {"COLDPRESS_INPUT_PREFIX": "scores/in/"}}, "answers go below 'scores/'"),
    ],
)
def test_what_a_deployment_would_refuse_is_refused_at_once(wrong, said):
    with pytest.raises(TemplateError, match=re.escape(said)):
        AzureValues(name="m", **wrong)


@pytest.mark.parametrize("location", ["westus3", "denmarkeast", "switzerlandwest"])
def test_new_regions_and_those_for_recovery_are_regions(location):
    assert AzureValues(name="m", location=location).location in LOCATIONS
    assert all(len(name) >= len("eastus") for name in LOCATIONS)


def test_settings_come_from_the_file(tmp_path):
    file = tmp_path / "coldpress.toml"
    file.write_text(
        '[model]\nsource = "m.onnx"\n[function]\ntimeout_s = 5\n'
        '[targets.azure]\nlocation = "uksouth"\nmemory_mb = 512\nalways_ready = 1\n'
    )
    values = azure_values(load_config(file), "m")
    assert (values.location, values.memory_mb, values.always_ready, values.timeout_s) == ("uksouth", 512, 1, 5)


@pytest.mark.parametrize(
    ("line", "said"),
    [("memory_mb = 1024", "expected one of 512, 2048, 4096"), ('auth = "iam"', "expected one of 'function'")],
)
def test_a_wrong_setting_is_named(tmp_path, line, said):
    file = tmp_path / "coldpress.toml"
    file.write_text(f"[targets.azure]\n{line}\n")
    with pytest.raises(ConfigError, match=said):
        load_config(file)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Every kept case, rendered."""
    root = tmp_path_factory.mktemp("rendered")
    for case, values in AZURE_CASES.items():
        write_files(render_azure(values), root / case)
    return root


def _run(*command, folder):
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def _held_against_models(folder):
    script = ROOT / "tests" / "support" / "local_azure" / "models.py"
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.bicep"))
    done = _run(tool("azure", "python"), script, *files, folder=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.cloud
def test_every_property_and_constant_is_one_of_microsofts_models(folders):
    found = _held_against_models(folders)
    assert found["problems"] == []
    assert found["looked_at"] > 100 * len(AZURE_CASES)


@pytest.mark.cloud
@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("instanceMemoryMB", "instanceMemory", "FunctionsScaleAndConcurrency has no such property"),
        ("'blobContainer'", "'blobBox'", "'blobBox' is none of blobContainer"),
        ("'TLS1_2'", "'TLS9'", "'TLS9' is none of TLS1_0"),
        ("DisableLocalAuth", "DisableAuth", "has no such property"),
        ("'ServicePrincipal'", "'Robot'", "'Robot' is none of Device"),
        ("'EventGridSchema'", "'Mine'", "'Mine' is none of CloudEventSchemaV1_0"),
        ("endpointUrl", "url", "has no such property"),
    ],
)
def test_a_misspelt_property_or_constant_is_found(folders, tmp_path, right, wrong, said):
    for name in ("main.bicep", "events.bicep"):
        text = (folders / "everything" / name).read_text()
        (tmp_path / name).write_text(text.replace(right, wrong))
    assert any(said in problem for problem in _held_against_models(tmp_path)["problems"])


@pytest.mark.cloud
def test_checkov_finds_nothing_and_every_exception_is_needed_and_explained(folders):
    command = ("-d", ".", "--framework", "bicep", "--skip-download", "--output", "json")
    done = _run(tool("lint", "checkov"), *command, folder=folders)
    report = json.loads(done.stdout)
    assert report["summary"]["failed"] == 0, [
        (check["check_id"], check["file_path"], check["resource"]) for check in report["results"]["failed_checks"]
    ]
    assert report["summary"]["parsing_errors"] == 0
    skipped = {check["check_id"] for check in report["results"]["skipped_checks"]}
    excused = set()
    for path in folders.rglob("*.bicep"):
        for check, why in re.findall(r"// checkov:skip=(\w+): (.*)", path.read_text()):
            assert len(why.split()) > 5, why
            excused.add(check)
    assert excused == skipped


@pytest.mark.cloud
@pytest.mark.skipif(shutil.which("bicep") is None, reason="bicep is not on this machine")
@pytest.mark.parametrize("case", AZURE_CASES)
def test_bicep_compiles(folders, case):
    for path in sorted((folders / case).glob("*.bicep")):
        done = _run("bicep", "build", path, "--stdout", folder=folders)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("case", AZURE_CASES)
def test_the_scripts_are_shell(folders, case):
    for script in (folders / case).glob("*.sh"):
        done = _run("sh", "-n", script, folder=folders)
        assert (done.returncode, done.stderr) == (0, "")


_AZ = """#!/bin/sh
echo "$*" >> az.log
case "$*" in
*.outputs.appName.*) echo the-app ;;
*.outputs.topicName.*) echo the-topic ;;
*.outputs.url.*) echo https://the-app.example ;;
*blobs_extension*) test -e started && echo true || { touch started; echo false; } ;;
esac
"""


def _deploy(folder, **programs):
    """Run deploy.sh where ``az`` writes down what it is asked for; return what it said and that."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    for name, text in ({"az": _AZ, "sleep": "#!/bin/sh\n"} | programs).items():
        (bin_folder / name).write_text(text)
    for path in (*bin_folder.iterdir(), *folder.glob("*.sh")):
        path.chmod(0o755)
    environment = {"PATH": f"{bin_folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["./deploy.sh"], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return done, [line.split(" --")[0] for line in (folder / "az.log").read_text().splitlines()]


def test_the_script_makes_the_resources_then_uploads_the_code_then_says_where_it_is(tmp_path):
    write_files(render_azure(AzureValues(name="m")), tmp_path)
    done, asked = _deploy(tmp_path)
    assert (done.returncode, done.stdout) == (0, "https://the-app.example\n")
    assert [words for words in asked if "show" not in words] == [
        "group create",
        "deployment group create",
        "functionapp deployment source config-zip",
    ]


def test_the_script_asks_for_events_when_the_host_has_started_with_the_code(tmp_path):
    write_files(render_azure(AzureValues(name="m", uploads_container="data")), tmp_path)
    done, asked = _deploy(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [words for words in asked if "show" not in words][2:] == [
        "functionapp deployment source config-zip",
        "functionapp keys list",
        "functionapp keys list",
        "deployment group create",
    ]
    assert "appName=the-app topicName=the-topic" in (tmp_path / "az.log").read_text()


def test_a_host_that_does_not_start_is_said(tmp_path):
    write_files(render_azure(AzureValues(name="m", uploads_container="data")), tmp_path)
    done, _ = _deploy(tmp_path, az=_AZ.replace("echo true", "echo false"))
    assert done.returncode == 1
    assert "The function app the-app has not started" in done.stderr
