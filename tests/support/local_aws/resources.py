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
from moto.awslambda.models import lambda_backends
from moto.cloudwatch.models import cloudwatch_backends
from moto.codedeploy.models import codedeploy_backends
from moto.logs.models import logs_backends
from moto.sqs.models import sqs_backends

__all__ = ["TYPES", "Made", "Wanted"]


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


def metric_filter(wanted: Wanted) -> Made:
    name = wanted.before or wanted.name
    transformations = [_lower(transformation) for transformation in wanted.get("MetricTransformations")]
    backend, group = wanted.backend(logs_backends), wanted.get("LogGroupName")
    if wanted.before:
        backend.delete_metric_filter(name, group)  # AWS replaces a filter of the same name; moto keeps both
    backend.put_metric_filter(name, wanted.get("FilterPattern"), group, transformations)
    return Made(name)


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


def queue_policy(wanted: Wanted) -> Made:
    policy = json.dumps(wanted.get("PolicyDocument"))
    for url in wanted.get("Queues"):
        wanted.backend(sqs_backends).set_queue_attributes(url.rpartition("/")[2], {"Policy": policy})
    return Made(wanted.name)


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
    "AWS::Logs::MetricFilter": ("FilterName", metric_filter),
    "AWS::S3::BucketPolicy": ("", bucket_policy),
    "AWS::SQS::QueuePolicy": ("", queue_policy),
}


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
