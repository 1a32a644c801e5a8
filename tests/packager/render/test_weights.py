"""Where a model lies that is not in the package: what the templates make of it, and what they refuse."""

import json

import pytest
import yaml

from coldpress.errors import TemplateError
from coldpress.render.aws import AwsValues, render_aws
from coldpress.render.azure import AzureValues, render_azure
from coldpress.render.gcp import GcpValues, render_gcp
from coldpress.render.weights import weights_place

_FILE = "ab" * 32 + ".ort"


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's tags as what they stand before."""


def _plain(loader, _tag, node):
    return loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else loader.construct_sequence(node)


_Loader.add_multi_constructor("!", _plain)


def test_a_function_on_aws_may_read_the_folder_and_nothing_else():
    files = render_aws(AwsValues(name="digits", weights=f"s3://bucket/models/digits/{_FILE}"))
    template = yaml.load(files["template.yaml"], _Loader)
    (policy,) = (
        each for each in template["Resources"]["FunctionRole"]["Properties"]["Policies"]
        if each["PolicyName"] == "read-weights"
    )  # fmt: skip
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement == {
        "Effect": "Allow",
        "Action": "s3:GetObject",
        "Resource": "arn:${AWS::Partition}:s3:::${WeightsBucket}/models/digits/*.ort",
    }
    variables = template["Resources"]["Function"]["Properties"]["Environment"]["Variables"]
    assert variables == {"COLDPRESS_WEIGHTS": f"s3://${{WeightsBucket}}/models/digits/{_FILE}"}
    assert template["Parameters"]["WeightsBucket"]["Default"] == "bucket"
    assert f"KEY=models/digits/{_FILE}" in files["weights.sh"]


def test_who_names_another_place_is_left_alone():
    values = AwsValues(name="digits", weights="s3://bucket/", environment={"COLDPRESS_WEIGHTS": "/mnt/efs/big.ort"})
    assert render_aws(values)["template.yaml"].count("COLDPRESS_WEIGHTS") == 1


def test_a_function_on_google_cloud_may_read_the_folder_and_nothing_else():
    files = render_gcp(GcpValues(name="digits", weights=f"gs://bucket/models/{_FILE}"))
    for name in ("deploy.sh", "main.tf"):
        assert "projects/_/buckets/bucket/objects/models/" in files[name]
        assert "roles/storage.objectViewer" in files[name]
    assert "./weights.sh\n" in files["deploy.sh"]
    assert f'"gs://bucket/models/{_FILE}"' in files["weights.sh"]


def test_a_function_on_azure_may_read_the_container():
    files = render_azure(AzureValues(name="digits", weights=f"az://account/models/digits/{_FILE}"))
    assert "scope: weights\n" in files["main.bicep"]
    assert "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1" in files["main.bicep"]
    assert "'AZURE_CLIENT_ID', value: identity.properties.clientId" in files["main.bicep"]
    assert files["deploy.sh"].index("./weights.sh") < files["deploy.sh"].index("az deployment group create")
    assert f"--account-name account --container-name models --name digits/{_FILE}" in files["weights.sh"]


@pytest.mark.parametrize(
    ("render", "values"), [(render_aws, AwsValues), (render_gcp, GcpValues), (render_azure, AzureValues)]
)
def test_a_path_is_for_the_user_to_mount(render, values):
    files = render(values(name="digits", weights=f"/mnt/models/{_FILE}"))
    assert "weights.sh" not in files
    assert f"`/mnt/models/{_FILE}`" in files["README.md"]
    assert files.keys() == render(values(name="digits")).keys()


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("aws", "gs://bucket/"),
        ("aws", "s3://bucket"),
        ("aws", "s3:///folder/"),
        ("aws", "s3://bucket/a b/"),
        ("aws", "s3://bucket/${x}/"),
        ("aws", "s3://bucket/../other/"),
        ("aws", "https://bucket.s3.amazonaws.com/"),
        ("aws", "mnt/models/"),
        ("aws", "/"),
        ("gcp", "s3://bucket/"),
        ("gcp", 'gs://bucket/a"b/'),
        ("azure", "az://account/"),
        ("azure", "az://Account/container/"),
        ("azure", "gs://bucket/"),
    ],
)
def test_what_is_no_place(target, value):
    with pytest.raises(TemplateError, match=rf"targets\.{target}\.weights is .*; expected"):
        weights_place(target, value)


def test_no_place():
    assert weights_place("aws", "") is None
    assert json.dumps(weights_place("aws", "s3://b/")) == '["", "b", "", ""]'
