"""What moto's CloudFormation does otherwise than AWS's, mended in place. Runs in moto's environment."""

from collections.abc import Callable
from typing import Any

from moto.awslambda.models import LambdaFunction, LambdaVersion, lambda_backends
from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import ChangeSet
from moto.cloudformation.parsing import ResourceMap
from moto.core.common_models import CloudFormationModel
from resources import TYPES, Made, Wanted

__all__ = ["install"]

# moto finds its models by asking their base class for its subclasses, which holds them by weak references.
_models: list[type] = []


def install() -> None:
    """Teach moto's CloudFormation more types, not to pass over what it does not know, and the order of an update."""
    _models.extend(_model(name, *entry) for name, entry in TYPES.items())
    original_class = parsing.resource_class_from_type

    def class_or_error(resource_type: str) -> Any:
        found = original_class(resource_type)
        if found is None and resource_type not in parsing.NULL_MODELS:
            raise ValidationError(message=f"the local AWS has no {resource_type}")
        return found

    parsing.resource_class_from_type = class_or_error
    parsing.get_model_list.cache_clear()

    # `!If [condition, item, !Ref AWS::NoValue]` in a list leaves no item behind; moto leaves a None.
    original_clean = parsing.clean_json

    def clean(resource_json: Any, resources_map: Any) -> Any:
        cleaned = original_clean(resource_json, resources_map)
        return [item for item in cleaned if item is not None] if isinstance(cleaned, list) else cleaned

    parsing.clean_json = clean

    LambdaVersion.has_cfn_attr = classmethod(lambda _cls, attr: attr == "Version")
    LambdaVersion.get_cfn_attribute = lambda self, _attr: str(self.version)
    LambdaFunction.create_from_cloudformation_json = classmethod(_create_function)
    LambdaFunction.update_from_cloudformation_json = classmethod(_update_function)
    LambdaFunction.get_code = _code
    ChangeSet.apply = _apply
    ResourceMap.__getitem__ = _up_to_date


def _create_function(_cls: Any, name: str, cloudformation_json: Any, account: str, region: str, **_: Any) -> Any:
    """Make a function with all that the template says of it; moto itself takes seven properties over."""
    properties = dict(cloudformation_json["Properties"])
    properties["Tags"] = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
    return lambda_backends[account][region].create_function({**properties, "FunctionName": name})


def _update_function(_cls: Any, original_resource: Any, cloudformation_json: Any, **_: Any) -> Any:
    properties = cloudformation_json["Properties"]
    original_resource.update_configuration(properties)
    original_resource.code = {}  # moto's published versions share it with $LATEST
    original_resource.update_function_code(properties["Code"])
    return original_resource


_moto_code = LambdaFunction.get_code


def _code(function: Any) -> dict[str, Any]:
    """Say where the code object is: its path in this server's S3, where moto makes an address up."""
    described = _moto_code(function)
    described["Code"]["Location"] = f"/{function.code['S3Bucket']}/{function.code['S3Key']}"
    return described


def _model(cloudformation_type: str, name_property: str, make: Callable[[Wanted], Made]) -> type:
    class Model(CloudFormationModel):
        __module__ = "local_aws.resources"  # moto keeps its models by the second part of this name

        def __init__(self, made: Made) -> None:
            self._made = made

        @property
        def physical_resource_id(self) -> str:
            return self._made.id

        def get_cfn_attribute(self, attribute: str) -> str:
            return self._made.attributes[attribute]

        @classmethod
        def has_cfn_attr(cls, _attr: str) -> bool:
            return True

        @staticmethod
        def cloudformation_name_type() -> str:
            return name_property

        @staticmethod
        def cloudformation_type() -> str:
            return cloudformation_type

        @classmethod
        def create_from_cloudformation_json(
            cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
        ) -> Any:
            return cls(make(Wanted(resource_name, cloudformation_json["Properties"], account_id, region_name, None)))

        @classmethod
        def update_from_cloudformation_json(
            cls,
            original_resource: Any,
            new_resource_name: str,
            cloudformation_json: Any,
            account_id: str,
            region_name: str,
        ) -> Any:
            before = original_resource.physical_resource_id
            properties = cloudformation_json["Properties"]
            return cls(make(Wanted(new_resource_name, properties, account_id, region_name, before)))

        @classmethod
        def delete_from_cloudformation_json(cls, *_: Any) -> None:
            """Forget it; the server's life is one test session."""

        def is_created(self) -> bool:
            return True

    Model.__name__ = cloudformation_type.replace("::", "")
    return Model


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
