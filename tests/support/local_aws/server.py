"""A local AWS for the SAM CLI: moto, with SAM's own translator in front of its CloudFormation.

Run by the interpreter of moto's environment. Prints its port as one line of JSON once it listens on the loopback
interface, and ends when its standard input does, so that it never outlives the test session that started it.
"""

import json
import os
import sys
from typing import Any

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

import cloudformation
import events
import sagemaker
import states
import storage
from moto.cloudformation import responses
from moto.cloudformation.models import CloudFormationBackend
from moto.server import ThreadedMotoServer
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

__all__: list[str] = []


class _NoManagedPolicies:
    """Stands for the loader of AWS's managed policies; the templates name none by its short name."""

    def load(self) -> dict[str, str]:
        return {}


def _transformed(template: str, parameters: dict[str, Any], region: str) -> str:
    parsed = yaml_parse(template)
    if "Transform" not in parsed:
        return template
    os.environ["AWS_DEFAULT_REGION"] = region
    defaults = {name: slot["Default"] for name, slot in parsed.get("Parameters", {}).items() if "Default" in slot}
    values = {**defaults, **parameters, "AWS::Region": region, "AWS::Partition": "aws"}
    # Through JSON and back: the translator hands out shared sub-objects, which YAML would write as aliases.
    return json.dumps(transform(parsed, values, _NoManagedPolicies()))


def install() -> None:
    """Close the gaps between what the SAM CLI asks of CloudFormation and what moto's does."""
    cloudformation.install()
    events.install()
    sagemaker.install()
    states.install()
    storage.install()

    fetch = responses.get_stack_from_s3_url

    def fetch_by_path(template_url: str, account_id: str, partition: str) -> str:
        # moto takes the bucket out of the path for this host name only.
        return fetch(template_url.replace("127.0.0.1", "localhost"), account_id, partition)

    responses.get_stack_from_s3_url = fetch_by_path

    create = CloudFormationBackend.create_change_set

    def create_transformed(self: CloudFormationBackend, **wanted: Any) -> Any:
        wanted["template"] = _transformed(wanted["template"], wanted["parameters"], self.region_name)
        return create(self, **wanted)

    CloudFormationBackend.create_change_set = create_transformed


def main() -> None:
    """Serve until standard input closes."""
    install()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    os.environ["MOTO_PORT"] = str(port)  # where Step Functions look for the other services
    sys.stdout.write(json.dumps({"port": port}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()
