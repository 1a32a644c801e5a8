"""Many objects, or one huge one, scored by the state machine of a stack that is deployed: started, waited for, told.

The work is done in AWS, by the function that is deployed there; this machine may go away meanwhile.
"""

import json
import time
import tomllib
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from coldpress.console import progress
from coldpress.emulate.process import unpacked
from coldpress.emulate.requests import manifest_of
from coldpress.errors import ConfigError
from coldpress_runtime.batch.settings import Batch

__all__ = ["score_on_step_functions"]

_LOOK_EVERY_S = 2.0
_S3 = "s3://"


class _Stack(NamedTuple):
    """What is deployed."""

    name: str
    bucket: str
    machine: str


def score_on_step_functions(
    source: str, destination: str, build: Path, look_every_s: float = _LOOK_EVERY_S
) -> Mapping[str, Any]:
    """Score what lies at ``source`` with the deployed stack of ``build``; who calls again meanwhile waits along.

    Args:
        source: an object or a prefix in the stack's bucket, below its input prefix; ``s3://...``.
        destination: the stack's output prefix, ``s3://BUCKET/scores/``: where an object's scores go is no choice of one
            run, since an upload's go there too.
        build: the folder that ``coldpress pack`` wrote and ``sam deploy`` deployed.
        look_every_s: so often the execution is looked at.

    Returns:
        The run's manifest: ``status`` (done or failed), ``objects`` by what became of them, ``rows``, ``failed``.

    Raises:
        ConfigError: nothing is deployed, or it scores nothing there; or the execution broke off.
    """
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    except ModuleNotFoundError:
        raise ConfigError("Step Functions need boto3, which is not here; `pip install 'coldpress[s3]'`.") from None
    batch = _batch(build)
    settings = _deployment(build)
    session = boto3.Session(region_name=settings.get("region"))
    try:
        stack = _stack(session.client("cloudformation"), settings["stack_name"])
        _check_places(stack, batch, source, destination)
        states = session.client("stepfunctions")
        execution = _running(states, stack.machine, source) or _started(states, stack.machine, source)
        with progress(f"score {source} on Step Functions"):
            while (told := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
                time.sleep(look_every_s)
        return _manifest(session.client("s3"), stack, batch, told)
    except (BotoCoreError, ClientError) as error:
        raise ConfigError(f"AWS refuses: {str(error).rstrip('.')}; look at your credentials and the region.") from error


def _batch(build: Path) -> Batch:
    archive = build / "batch.zip"
    if not archive.is_file():
        raise ConfigError(f"{build} holds no batch.zip; pack for aws with a table [batch], and deploy it.")
    with unpacked(archive) as folder:
        manifest = manifest_of(folder)
    if manifest is None or manifest.batch is None:
        raise ConfigError(f"{archive} is no function that scores uploads; pack it again.")
    return manifest.batch


def _deployment(build: Path) -> dict[str, Any]:
    """What SAM was told, or remembers, of where it deploys to."""
    try:
        settings = tomllib.loads((build / "samconfig.toml").read_text(encoding="utf-8"))["default"]
    except (OSError, ValueError, KeyError):
        raise ConfigError(f"{build} holds no samconfig.toml that says which stack it is; pack it again.") from None
    return {**settings.get("global", {}).get("parameters", {}), **settings.get("deploy", {}).get("parameters", {})}


def _stack(cloudformation: Any, name: str) -> _Stack:
    (described,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", ())}
    if "ScoringArn" not in outputs:
        raise ConfigError(f"The stack {name} has no state machine; pack with a table [batch], and deploy it again.")
    return _Stack(name, outputs["UploadsBucketName"], outputs["ScoringArn"])


def _check_places(stack: _Stack, batch: Batch, source: str, destination: str) -> None:
    inputs, outputs = (f"{_S3}{stack.bucket}/{prefix}" for prefix in (batch.input, batch.output))
    if not source.startswith(inputs):
        raise ConfigError(
            f"{source} is no object that the stack {stack.name} may read; expected one below {inputs}, or that prefix."
        )
    if destination != outputs:
        raise ConfigError(f"{destination} is not where the stack {stack.name} writes; give {outputs} as the place.")


def _running(states: Any, machine: str, source: str) -> str | None:
    """An execution for the same source that is under way: to run the command again is to wait for it again."""
    pages = states.get_paginator("list_executions").paginate(stateMachineArn=machine, statusFilter="RUNNING")
    for page in pages:
        for found in page["executions"]:
            arn = str(found["executionArn"])
            if json.loads(states.describe_execution(executionArn=arn)["input"]) == {"source": source}:
                return arn
    return None


def _started(states: Any, machine: str, source: str) -> str:
    asked = json.dumps({"source": source})
    started = states.start_execution(stateMachineArn=machine, name=uuid.uuid4().hex, input=asked)
    return str(started["executionArn"])


def _manifest(s3: Any, stack: _Stack, batch: Batch, told: dict[str, Any]) -> dict[str, Any]:
    if told["status"] != "SUCCEEDED" and told.get("error") != "SomeFailed":
        arn = told["executionArn"]
        raise ConfigError(
            f"The execution ended with {told['status']}: {_cause(told)} See "
            f"`aws stepfunctions get-execution-history --execution-arn {arn}`."
        )
    run = told["executionArn"].rpartition(":")[2]
    key = f"{batch.output}.runs/{run}/manifest.json"
    manifest: dict[str, Any] = json.loads(s3.get_object(Bucket=stack.bucket, Key=key)["Body"].read())
    return manifest


def _cause(told: dict[str, Any]) -> str:
    """Return what ended an execution: the function's own sentence, if it was the function."""
    cause = told.get("cause") or "it says no more."
    try:
        return str(json.loads(cause)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return str(cause)
