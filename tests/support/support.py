"""The README's table of what each target does: every cell is computed, or names the tests that show it.

    make golden        (or: python -m benchmarks.readme)

writes it between the markers ``<!-- support -->``.
"""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

from benchmarks.targets.report import summary
from coldpress.config import FunctionConfig
from coldpress.fit.limits import provider
from coldpress.target_config import TargetsConfig
from coldpress.targets import TARGETS
from tests.e2e.contract.exceptions import EXCEPTIONS
from tests.e2e.contract.requests import REQUESTS, Ask
from tests.e2e.contract.ways import WAYS

__all__ = ["missing_tests", "table"]

_ROOT = Path(__file__).resolve().parents[2]
_EMULATE = _ROOT / "packager" / "coldpress" / "emulate"
_SERVER = _ROOT / "packager" / "coldpress" / "bundle" / "server.toml"
_RENDER = "tests/packager/render/test_templates_{}.py"
_BELOW = (
    "Where fewer answers are equal, the provider's own runtime has answered, or changed what it handed over:",
    "`tests/e2e/contract/exceptions.py` says where and why.",
)


@dataclass(frozen=True)
class _Row:
    """One feature: what each target does, the tests that show it (``path::name``), and how they do."""

    feature: str
    cells: Mapping[str, str]
    tests: Sequence[str]
    how: str


def table(document: Mapping[str, Any]) -> str:
    """Render the table, with the figures of ``benchmarks/targets/results.json`` in it and below."""
    rows = (*_rows(), _cold_start(document))
    lines = ["| | " + " | ".join(target.title for target in TARGETS.values()) + " | how it is checked |"]
    lines.append("|---" * (len(TARGETS) + 2) + "|")
    lines += [
        f"| {row.feature} | " + " | ".join(row.cells.get(name, "no") for name in TARGETS) + f" | {row.how} |"
        for row in rows
    ]
    return "\n".join((*lines, "", *_BELOW, "", summary(dict(document))))


def missing_tests() -> list[str]:
    """Return the tests that the table counts on and that are not there."""
    return [test for row in _rows() for test in row.tests if not _is_there(test)]


def _in(path: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{path}::{name}" for name in names)


def _is_there(test: str) -> bool:
    path, _, name = test.partition("::")
    return (_ROOT / path).is_file() and name in _tests_of(path)


@cache
def _tests_of(path: str) -> frozenset[str]:
    tree = ast.parse((_ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def _rows() -> Iterator[_Row]:
    contract = _in("tests/e2e/contract/test_contract.py", "test_every_target_answers_like_the_service_alone")
    packed = "test_pack_proves_the_bundle_under_the_providers_runtime_and_invoke_answers_the_digit"
    listed = (
        "test_an_adapter_loads_the_service_and_itself_and_no_other_module_of_the_runtime",
        "test_an_adapter_loads_no_package_and_little_of_the_standard_library",
    )
    for feature, chosen, how in (
        (
            "HTTP requests answered as by the service alone",
            lambda _: True,
            "one table, by every provider's own runtime",
        ),
        ("of them, with hooks", lambda ask: ask.hooked, "what hooks see, answer and fail with"),
        ("of them, in the protocol's binary form", _is_binary, "version 2, binary in and out"),
    ):
        yield _Row(feature, _equal(chosen), contract, how)
    tests = _in("tests/e2e/test_targets.py", packed)
    yield _Row("run here under", _runtimes(), tests, "`pack` starts the bundle, `invoke` asks it for a digit")
    yield _access()
    yield _uploads()
    yield _row_by_row()
    yield _canary()
    yield _templates()
    yield _Row("Python", {name: ", ".join(_pythons(name)) for name in TARGETS}, (), "limits, with their sources")
    yield _Row("architecture", {name: ", ".join(provider(name).architectures) for name in TARGETS}, (), "likewise")
    tests, how = (
        _in("tests/runtime/test_adapters_start.py", *listed),
        "a fresh process, less the provider's own modules",
    )
    yield _Row("modules loaded to start", dict.fromkeys(TARGETS, "on a list"), tests, how)


def _equal(chosen: Callable[[Ask], bool]) -> dict[str, str]:
    names = [ask.name for ask in REQUESTS.values() if chosen(ask)]
    cells = {}
    for target in TARGETS:
        ways = [str(way) for way in WAYS if way.target == target]
        equal = sum((way, name) not in EXCEPTIONS for way in ways for name in names)
        kinds = f", by {len(ways)} kinds of event" if len(ways) > 1 else ""
        cells[target] = f"{equal} of {len(ways) * len(names)}{kinds}"
    return cells


def _is_binary(ask: Ask) -> bool:
    return not ask.hooked and ask.joined().get("content-type") == "application/octet-stream"


def _runtimes() -> dict[str, str]:
    with _SERVER.open("rb") as file:
        server = tomllib.load(file)["versions"]["uvicorn"]
    pinned = {"aws": "awslambdaric", "gcp": "functions-framework", "azure": "azure-functions-runtime"}
    return {
        **{target: f"{name} {_locked(target, name)}" for target, name in pinned.items()},
        "alibaba": "its documented contract: the runtime is not published",
        "container": f"uvicorn {server}",
    }


def _locked(target: str, name: str) -> str:
    text = (_EMULATE / "locks" / f"{target}.in").read_text(encoding="utf-8")
    found = re.search(rf"^{name}==(\S+)$", text, re.MULTILINE)
    assert found is not None
    return found[1]


def _access() -> _Row:
    defaults = TargetsConfig()
    words = {
        ("aws", "iam"): "signed (IAM)",
        ("gcp", "iam"): "a role (IAM)",
        ("azure", "function"): "a key",
        ("alibaba", "function"): "signed",
        ("container", False): "inside the cluster",
    }
    settings = {name: getattr(defaults, name) for name in TARGETS}
    chosen = {name: getattr(each, "auth", None) or each.public for name, each in settings.items()}
    tests = {
        "aws": "test_callers_must_sign_unless_told_otherwise",
        "gcp": "test_callers_need_a_role_unless_told_otherwise",
        "azure": "test_callers_must_know_a_key_unless_told_otherwise",
        "alibaba": "test_callers_must_sign_unless_told_otherwise",
        "container": "test_nobody_from_outside_gets_in_unless_asked",
    }
    cells = {name: words[name, choice] for name, choice in chosen.items()}
    return _Row("callers, unless told otherwise", cells, _rendered(tests), "the rendered templates")


def _uploads() -> _Row:
    cells = {"gcp": "Cloud Storage, by Eventarc", "azure": "blobs, by Event Grid", "alibaba": "OSS triggers"}
    tests = (
        "tests/packager/emulate/test_gcp.py::test_an_upload_is_scored_beside_itself",
        "tests/packager/emulate/test_emulate_azure.py::test_what_is_uploaded_is_scored_beside_it",
        "tests/e2e/test_uploads_alibaba.py::test_an_upload_is_answered_like_a_request_and_twice_the_same",
    )
    return _Row(
        "uploads answered as requests", cells, tests, "gcp-storage-emulator; Azurite; a store that checks signatures"
    )


def _row_by_row() -> _Row:
    cells = {
        "aws": "S3, by a queue; Step Functions",
        "gcp": "Cloud Storage, by Eventarc",
        "azure": "blobs, by Event Grid and a queue",
    }
    tests = (
        "tests/e2e/test_batch_aws.py::test_an_upload_is_scored_row_by_row",
        "tests/e2e/test_batch_gcp.py::test_every_row_of_an_upload_is_scored_or_rejected_once",
        "tests/e2e/test_batch_azure.py::test_every_row_of_an_upload_is_scored_or_rejected_once_and_events_come_twice",
    )
    how = "the deployed function, on a local AWS; gcp-storage-emulator; Azurite"
    return _Row("uploads scored row by row, each row once", cells, tests, how)


def _canary() -> _Row:
    cells = {
        "aws": "weighted alias, goes back by itself",
        "gcp": "share of the traffic",
        "azure": "no: the plan has no weights",
        "alibaba": "weighted alias",
        "container": "what the cluster has",
    }
    tests = {
        "aws": "test_a_release_is_judged_by_the_new_versions_own_alarms",
        "gcp": "test_a_canary_grows_ends_and_is_taken_back",
        "azure": "test_the_readme_says_plainly_that_there_are_no_weights_between_versions",
        "alibaba": "test_the_first_version_is_for_everybody_and_the_next_for_a_share_of_the_callers",
    }
    return _Row("a new version for some callers first", cells, _rendered(tests), "a local AWS; the scripts, run")


def _templates() -> _Row:
    tests = {
        "aws": ("test_sam_validate_finds_nothing", "test_cfn_lint_finds_nothing",
                "test_checkov_finds_nothing_and_every_exception_is_needed_and_explained"),
        "gcp": ("test_the_service_is_one_that_the_run_api_describes",
                "test_terraform_parses_and_every_reference_leads_somewhere", "test_shellcheck_finds_nothing",
                "test_checkov_finds_nothing"),
        "azure": ("test_bicep_compiles", "test_every_property_and_constant_is_one_of_microsofts_models",
                  "test_checkov_finds_nothing_and_every_exception_is_needed_and_explained"),
        "alibaba": ("test_serverless_devs_reads_the_file_as_it_is_meant", "test_alibabas_own_models_know_every_name",
                    "test_shellcheck_finds_nothing"),
        "container": ("test_hadolint_finds_nothing", "test_kubernetes_own_schemas_know_every_property",
                      "test_kserves_own_sdk_knows_every_property", "test_knative_knows_every_property",
                      "test_checkov_finds_nothing"),
    }  # fmt: skip
    cells = {
        "aws": "SAM CLI, cfn-lint, checkov",
        "gcp": "the Run API's description, a parser of Terraform, shellcheck, checkov",
        "azure": "Bicep, Microsoft's SDK models, checkov",
        "alibaba": "Serverless Devs, Alibaba's SDK models, shellcheck",
        "container": "hadolint, Kubernetes' schemas, KServe's SDK, Knative's definitions, checkov",
    }
    shown = [test for name, several in tests.items() for each in several for test in _rendered({name: each})]
    return _Row("templates checked by", cells, shown, "every kept tree")


def _rendered(tests: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{_RENDER.format(target)}::{name}" for target, name in tests.items())


def _pythons(name: str) -> tuple[str, ...]:
    settings = type(getattr(TargetsConfig(), name)) if TARGETS[name].has_own("python") else FunctionConfig
    built = get_args(settings.__annotations__["python"])
    return tuple(minor for minor in provider(name).python if minor in built)


def _cold_start(document: Mapping[str, Any]) -> _Row:
    cells = {name: f"{found['cold_above_empty_ms']['median']:.0f} ms" for name, found in document["targets"].items()}
    return _Row("start and first answer above the provider's empty function", cells, (), "`make bench`")
