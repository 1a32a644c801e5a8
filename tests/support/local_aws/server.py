"""A local AWS for the SAM CLI: moto, with SAM's own translator in front of its CloudFormation.

Run by the interpreter of moto's environment. Prints its port as one line of JSON once it listens on the loopback
interface, and ends when its standard input does, so that it never outlives the test session that started it.
"""

import json
import os
import sys
from typing import Any

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

import resources
from moto.cloudformation import parsing, responses
from moto.cloudformation.models import ChangeSet, CloudFormationBackend
from moto.cloudformation.parsing import ResourceMap
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
    resources.install()

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
    ChangeSet.apply = _apply
    ResourceMap.__getitem__ = _up_to_date


def _apply(change_set: ChangeSet) -> None:
    """Apply a change set in the order of the references, as CloudFormation does.

    moto adds what is new before it changes what is there, so that a new version of a function is published with the
    old version's code; and it forgets to make a new stack's outputs.
    """
    stack, template = change_set.stack, change_set.template_dict
    resources = stack.resource_map
    names = resources.build_resource_diff(template, change_set.parameters)
    resources._template, resources.input_parameters = template, change_set.parameters
    resources.load_mapping()
    resources.load_parameters()
    resources.load_conditions()
    removed = {name: resources._resource_json_map[name] for name in names["Remove"]}
    resources._resource_json_map = template["Resources"]
    resources.outdated = set(names["Modify"])
    for name in names["Add"] + names["Modify"]:
        _ = resources[name]
    for name, declared in removed.items():
        if name in resources._parsed_resources and declared.get("DeletionPolicy") != "Retain":
            resources._delete_resource(resources._parsed_resources.pop(name), declared)
    stack.template_dict = template
    stack.output_map = stack._create_output_map()


_get_resource = ResourceMap.__getitem__


def _up_to_date(resources: ResourceMap, name: str) -> Any:
    """Look a resource up; one that a change set changes is changed first, and what it refers to before that."""
    outdated = getattr(resources, "outdated", set())
    if name in outdated:
        outdated.discard(name)
        changed = parsing.parse_and_update_resource(
            name, resources._resource_json_map[name], resources, resources._account_id, resources._region_name
        )
        if changed is not None:  # else moto cannot change one of this type, and it stays as it was
            resources._parsed_resources[name] = changed
    return _get_resource(resources, name)


def main() -> None:
    """Serve until standard input closes."""
    install()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    sys.stdout.write(json.dumps({"port": server.get_host_and_port()[1]}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()
