"""CloudFormation resources that moto's services know and its CloudFormation does not. Runs in moto's environment.

Each entry hands the resource to moto's own service, so that what a template says can be asked back through that
service's API. A type that is in neither moto nor this table fails the deployment: nothing is skipped in silence.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from moto.apigateway.models import apigateway_backends
from moto.apigatewayv2.models import apigatewayv2_backends
from moto.awslambda.models import LambdaFunction, LambdaVersion, lambda_backends
from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudwatch.models import cloudwatch_backends
from moto.codedeploy.models import codedeploy_backends
from moto.core.common_models import CloudFormationModel

__all__ = ["install"]


@dataclass(frozen=True)
class Wanted:
    """What a template asks for: properties with every intrinsic resolved, and where."""

    name: str
    properties: dict[str, Any]
    account: str
    region: str
    before: str | None  # the physical id, when this is an update

    def backend(self, backends: Any) -> Any:
        return backends[self.account][self.region]

    def get(self, key: str, default: Any = None) -> Any:
        return self.properties.get(key, default)


@dataclass(frozen=True)
class Made:
    """A resource that is there: what ``Ref`` gives, and what ``Fn::GetAtt`` gives."""

    id: str
    attributes: dict[str, str] = field(default_factory=dict)


def alias(wanted: Wanted) -> Made:
    backend = wanted.backend(lambda_backends)
    put = backend.update_alias if wanted.before else backend.create_alias
    made = put(wanted.get("Name"), wanted.get("FunctionName"), str(wanted.get("FunctionVersion")), "", None)
    return Made(made.arn)


def http_api(wanted: Wanted) -> Made:
    backend = wanted.backend(apigatewayv2_backends)
    body = wanted.get("Body")
    if wanted.before:
        api = backend.get_api(wanted.before)
    else:
        api = backend.create_api(
            api_key_selection_expression=None,
            cors_configuration=None,
            description=None,
            disable_schema_validation=None,
            disable_execute_api_endpoint=None,
            name=body["info"]["title"],
            protocol_type="HTTP",
            route_selection_expression=None,
            tags={},
            version=body["info"]["version"],
        )
    backend.reimport_api(api.api_id, _any_method(body), fail_on_warnings=False)
    return Made(api.api_id, {"ApiEndpoint": api.api_endpoint})


def http_stage(wanted: Wanted) -> Made:
    config = {key[0].lower() + key[1:]: value for key, value in wanted.properties.items()}
    return Made(wanted.backend(apigatewayv2_backends).create_stage(wanted.get("ApiId"), config).name)


def alarm(wanted: Wanted) -> Made:
    wanted.backend(cloudwatch_backends).put_metric_alarm(
        name=wanted.name,
        namespace=wanted.get("Namespace"),
        metric_name=wanted.get("MetricName"),
        comparison_operator=wanted.get("ComparisonOperator"),
        evaluation_periods=wanted.get("EvaluationPeriods"),
        period=wanted.get("Period"),
        threshold=float(wanted.get("Threshold")),
        statistic=wanted.get("Statistic"),
        extended_statistic=wanted.get("ExtendedStatistic"),
        description=wanted.get("AlarmDescription"),
        dimensions=wanted.get("Dimensions", []),
        alarm_actions=wanted.get("AlarmActions", []),
        treat_missing_data=wanted.get("TreatMissingData"),
    )
    return Made(wanted.name)


def deploy_application(wanted: Wanted) -> Made:
    if not wanted.before:
        backend = wanted.backend(codedeploy_backends)
        backend.create_application(wanted.name, wanted.get("ComputePlatform"), wanted.get("Tags", []))
    return Made(wanted.before or wanted.name)


def deploy_group(wanted: Wanted) -> Made:
    if not wanted.before:
        alarms = wanted.get("AlarmConfiguration")
        wanted.backend(codedeploy_backends).create_deployment_group(
            application_name=wanted.get("ApplicationName"),
            deployment_group_name=wanted.name,
            deployment_config_name=wanted.get("DeploymentConfigName"),
            ec2_tag_filters=None,
            on_premises_instance_tag_filters=None,
            auto_scaling_groups=None,
            service_role_arn=wanted.get("ServiceRoleArn"),
            alarm_configuration=_lower(alarms) if alarms else None,
            auto_rollback_configuration=_lower(wanted.get("AutoRollbackConfiguration")),
            deployment_style=_lower(wanted.get("DeploymentStyle")),
        )
    return Made(wanted.before or wanted.name)


def rest_api(wanted: Wanted) -> Made:
    backend = wanted.backend(apigateway_backends)
    body = wanted.get("Body")
    if wanted.before:
        api = backend.get_rest_api(wanted.before)
    else:
        api = backend.create_rest_api(
            body["info"]["title"], "", endpoint_configuration=_lower(wanted.get("EndpointConfiguration"))
        )
    # moto imports OpenAPI 3 and refuses Swagger 2; where paths and integrations are concerned the two are the same.
    document = {"openapi": "3.0.1", "info": body["info"], "paths": body["paths"]}
    backend.put_rest_api(api.id, json.loads(_any_method(document)), fail_on_warnings=False, mode="overwrite")
    return Made(api.id, {"RootResourceId": api.default.id})


def rest_deployment(wanted: Wanted) -> Made:
    return Made(wanted.backend(apigateway_backends).create_deployment(wanted.get("RestApiId"), "").id)


def rest_stage(wanted: Wanted) -> Made:
    backend = wanted.backend(apigateway_backends)
    api = backend.get_rest_api(wanted.get("RestApiId"))
    if wanted.before is None and wanted.get("StageName") not in api.stages:
        backend.create_stage(wanted.get("RestApiId"), wanted.get("StageName"), wanted.get("DeploymentId"))
    return Made(wanted.get("StageName"))


def api_key(wanted: Wanted) -> Made:
    if wanted.before:
        return Made(wanted.before)
    key = wanted.backend(apigateway_backends).create_api_key({"name": wanted.name, "enabled": wanted.get("Enabled")})
    return Made(key.id, {"APIKeyId": key.id})


def usage_plan(wanted: Wanted) -> Made:
    if wanted.before:
        return Made(wanted.before)
    stages = [_lower(stage) for stage in wanted.get("ApiStages", [])]
    payload = {"name": wanted.name, "apiStages": stages, "throttle": _lower(wanted.get("Throttle"))}
    return Made(wanted.backend(apigateway_backends).create_usage_plan(payload).id)


def usage_plan_key(wanted: Wanted) -> Made:
    payload = {"keyId": wanted.get("KeyId"), "keyType": wanted.get("KeyType")}
    made = wanted.backend(apigateway_backends).create_usage_plan_key(wanted.get("UsagePlanId"), payload)
    return Made(made.id)


def bucket_policy(wanted: Wanted) -> Made:
    """Accept it and leave it off: that of the SAM CLI's bucket refuses plain HTTP, which a local server speaks."""
    return Made(wanted.get("Bucket"))


# Resource type -> (the property that names it, what makes or updates it).
TYPES: dict[str, tuple[str, Callable[[Wanted], Made]]] = {
    "AWS::ApiGateway::ApiKey": ("Name", api_key),
    "AWS::ApiGateway::Deployment": ("", rest_deployment),
    "AWS::ApiGateway::RestApi": ("", rest_api),
    "AWS::ApiGateway::Stage": ("", rest_stage),
    "AWS::ApiGateway::UsagePlan": ("UsagePlanName", usage_plan),
    "AWS::ApiGateway::UsagePlanKey": ("", usage_plan_key),
    "AWS::ApiGatewayV2::Api": ("", http_api),
    "AWS::ApiGatewayV2::Stage": ("", http_stage),
    "AWS::CloudWatch::Alarm": ("AlarmName", alarm),
    "AWS::CodeDeploy::Application": ("ApplicationName", deploy_application),
    "AWS::CodeDeploy::DeploymentGroup": ("DeploymentGroupName", deploy_group),
    "AWS::Lambda::Alias": ("", alias),
    "AWS::S3::BucketPolicy": ("", bucket_policy),
}


def install() -> None:
    """Teach moto's CloudFormation the types above, and not to pass over what it does not know."""
    models = [_model(name, *entry) for name, entry in TYPES.items()]
    original_class = parsing.resource_class_from_type

    def class_or_error(resource_type: str) -> Any:
        found = original_class(resource_type)
        if found is None and resource_type not in parsing.NULL_MODELS:
            raise ValidationError(message=f"the local AWS has no {resource_type}")
        return found

    parsing.resource_class_from_type = class_or_error
    parsing.get_model_list.cache_clear()
    _keep_alive.extend(models)

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


_keep_alive: list[type] = []


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


def _any_method(document: dict[str, Any]) -> str:
    """Return an OpenAPI document as JSON, with API Gateway's name for "every method" as moto spells it."""
    return json.dumps(document).replace("x-amazon-apigateway-any-method", "any")


def _lower(value: Any) -> Any:
    """Return CloudFormation's ``PascalCase`` keys as the service API's ``camelCase``."""
    if isinstance(value, dict):
        return {key[0].lower() + key[1:]: _lower(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_lower(item) for item in value]
    return json.loads(json.dumps(value))
