"""What moto's Step Functions lack of AWS's: batches of items, lists in JSON Lines, results, and a bound on failures.

A task's function is run by whoever listens at ``LOCAL_AWS_FUNCTIONS``, and not in a container. Runs in moto's
environment.
"""

import json
import os
import urllib.error
import urllib.request
from typing import Any

from moto.awslambda.models import LambdaBackend
from moto.core.config import default_user_config
from moto.s3.models import s3_backends
from moto.stepfunctions.models import StateMachine
from moto.stepfunctions.parser.api import ExecutionFailedEventDetails, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader import item_reader_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader.eval.resource_output_transformer.transformer import (  # noqa: E501
    ResourceOutputTransformer,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader.reader_config.input_type import InputType
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.distributed_iteration_component import (
    DistributedIterationComponent,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor.distributed_item_processor_worker import (  # noqa: E501
    DistributedItemProcessorWorker,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer.resource_eval.resource_eval_s3 import (
    ResourceEvalS3,
)
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

__all__ = ["install"]

_batchers: dict[str, dict[str, Any]] = {}  # by the Map's name, which templates keep
_results: dict[str, list[tuple[str, Any]]] = {}  # of a Map's run, by its ARN: the items' states and outputs


def install() -> None:
    """Have Step Functions run what a template says."""
    default_user_config["stepfunctions"]["execute_state_machine"] = True
    StateMachine.create_from_cloudformation_json = classmethod(_create)
    LambdaBackend.invoke = _invoke
    AmazonStateLanguageParser.parse = staticmethod(_parse)
    InputType.__init__ = _init_input_type
    item_reader_decl.resource_output_transformer_for = _transformer_for
    DistributedIterationComponent._map_run = _map_run
    DistributedItemProcessorWorker._eval_job = _eval_job
    ResourceEvalS3._handle_put_object = staticmethod(_write_results)


def _create(_cls: Any, name: str, document: Any, account: str, region: str, **_: Any) -> Any:
    properties = document["Properties"]
    definition = properties["DefinitionString"]
    for word, value in properties.get("DefinitionSubstitutions", {}).items():
        definition = definition.replace("${" + word + "}", value)
    return stepfunctions_parser_backends[account][region].create_state_machine(name, definition, properties["RoleArn"])


def _invoke(
    _self: Any, name: str, _qualifier: Any, body: Any, _headers: Any, response_headers: dict[str, str]
) -> bytes:
    function = name.rpartition(":")[2] if name.startswith("arn:") else name
    request = urllib.request.Request(
        f"{os.environ['LOCAL_AWS_FUNCTIONS']}/{function}", body if isinstance(body, bytes) else body.encode()
    )
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.read()
    except urllib.error.HTTPError as error:
        response_headers["x-amz-function-error"] = "Unhandled"
        return error.read()


_moto_parse = AmazonStateLanguageParser.parse


def _parse(definition: str) -> Any:
    """Parse a definition without what moto's grammar knows nothing of."""
    document = json.loads(definition)
    _take_batchers(document)
    return _moto_parse(json.dumps(document))


def _take_batchers(machine: dict[str, Any]) -> None:
    for name, state in machine.get("States", {}).items():
        if state["Type"] == "Map":
            if batcher := state.pop("ItemBatcher", None):
                _batchers[name] = batcher
            state["ToleratedFailurePercentage"] = float(state.get("ToleratedFailurePercentage", 0))  # or it reads none
            _take_batchers(state["ItemProcessor"])


_moto_input_type = InputType.__init__


def _init_input_type(self: InputType, input_type: str) -> None:
    if input_type == "JSONL":
        self.input_type_value = "JSONL"
    else:
        _moto_input_type(self, input_type)


_moto_transformer_for = item_reader_decl.resource_output_transformer_for


class _JsonLines(ResourceOutputTransformer):
    def _eval_body(self, env: Any) -> None:
        env.stack.pop()
        env.stack.append([json.loads(line) for line in env.stack.pop().splitlines()])


def _transformer_for(input_type: InputType) -> Any:
    return _JsonLines() if input_type.input_type_value == "JSONL" else _moto_transformer_for(input_type)


_moto_map_run = DistributedIterationComponent._map_run


def _map_run(self: Any, env: Any, eval_input: Any) -> None:
    """Run a Map over batches of its items, and fail when too many of them have failed."""
    items = env.stack.pop()
    state = env.states.get_input()
    if batcher := _batchers.get(eval_input.state_name):
        size = _resolved(batcher, "MaxItemsPerBatch", state)
        shared = {name.removesuffix(".$"): _value(name, value, state) for name, value in batcher["BatchInput"].items()}
        batches = [items[start : start + size] for start in range(0, len(items), size)]
        items = [{"BatchInput": shared, "Items": batch} for batch in batches]
    env.stack.append(items)
    run = eval_input.map_run_record
    _results[run.map_run_arn] = []
    _moto_map_run(self, env, eval_input)
    failed = sum(kind == "FAILED" for kind, _ in _results[run.map_run_arn])
    if items and 100 * failed / len(items) > eval_input.tolerated_failure_percentage:
        name = StatesErrorName(StatesErrorNameType.StatesExceedToleratedFailureThreshold)
        details = ExecutionFailedEventDetails(error=name.error_name, cause=f"{failed} of {len(items)} failed")
        event = FailureEvent(
            env, name, HistoryEventType.ExecutionFailed, EventDetails(executionFailedEventDetails=details)
        )
        raise FailureEventException(event)


def _resolved(table: dict[str, Any], name: str, state: Any) -> Any:
    return table[name] if name in table else _value(".$", table[f"{name}Path"], state)


def _value(name: str, value: Any, state: Any) -> Any:
    if not name.endswith(".$"):
        return value
    for part in value.removeprefix("$.").split("."):
        state = state[part]
    return state


_moto_eval_job = DistributedItemProcessorWorker._eval_job


def _eval_job(self: Any, env: Any, job: Any) -> None:
    """Keep what became of a batch, which moto forgets; it has no output when it failed."""
    _moto_eval_job(self, env, job)
    kind = "FAILED" if job.job_output is None else "SUCCEEDED"
    _results[self._map_run_record.map_run_arn].append((kind, job.job_output))


def _write_results(env: Any, resource_runtime_part: Any, state_credentials: Any) -> None:
    parameters = env.stack.pop()
    env.stack.pop()
    run = env.map_run_record_pool_manager.get_all().pop()
    folder = f"{parameters['Prefix'].rstrip('/')}/{run.map_run_arn.split(':')[-1]}/"
    (backend,) = {id(found): found for account in s3_backends.values() for found in account.values()}.values()
    files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    for kind in ("FAILED", "SUCCEEDED"):
        found = [{"Status": kind, "Output": output} for was, output in _results[run.map_run_arn] if was == kind]
        if found:
            key, body = f"{folder}{kind}_0.json", json.dumps(found).encode()
            backend.put_object(parameters["Bucket"], key, body)
            files[kind].append({"Key": key, "Size": len(body)})
    manifest = {"DestinationBucket": parameters["Bucket"], "MapRunArn": run.map_run_arn, "ResultFiles": files}
    key = f"{folder}manifest.json"
    backend.put_object(parameters["Bucket"], key, json.dumps(manifest).encode())
    env.stack.append(
        {"MapRunArn": run.map_run_arn, "ResultWriterDetails": {"Bucket": parameters["Bucket"], "Key": key}}
    )
