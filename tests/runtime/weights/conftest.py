"""The emulators of three stores, each with what it holds and the variables that lead a reader there."""

import hashlib
import uuid

import onnxruntime
import pytest

from tests.support.local_aws import LocalAws
from tests.support.local_azure.azurite import Azurite, why_not
from tests.support.local_gcp import LocalStorage, python
from tests.support.tiny import MODELS


@pytest.fixture(scope="session")
def ort_file(tmp_path_factory):
    """A small model in ORT format."""
    folder = tmp_path_factory.mktemp("ort")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(MODELS["mlp"]().SerializeToString(), options, providers=["CPUExecutionProvider"])
    return (folder / "model.ort").read_bytes()


@pytest.fixture(scope="session")
def local_aws():
    with LocalAws() as running:
        yield running


@pytest.fixture(scope="session")
def local_gcp():
    if not python().exists():
        pytest.skip("`make tools` has not made .tools/gcp")
    with LocalStorage() as running:
        yield running


@pytest.fixture(scope="session")
def azurite():
    if why := why_not():
        pytest.skip(f"no Azurite: {why}")
    with Azurite() as running:
        yield running


def _on_s3(running, key, content):
    import botocore.session

    variables = {name: value for name, value in running.environment().items() if name.startswith("AWS_")}
    client = botocore.session.Session().create_client(
        "s3",
        region_name=variables["AWS_DEFAULT_REGION"],
        endpoint_url=running.endpoint,
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key=key, Body=content)
    client.close()
    return f"s3://{bucket}/{key}", variables


def _on_gcs(running, key, content):
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    running.make_bucket(bucket)
    running.upload(bucket, key, content, "application/octet-stream")
    return f"gs://{bucket}/{key}", {"STORAGE_EMULATOR_HOST": f"http://{running.host}"}


def _on_blobs(running, key, content):
    container = f"container-{uuid.uuid4().hex[:12]}"
    running.make_container(container)
    running.put(container, key, content, "application/octet-stream")
    place = f"az://devstoreaccount1/{container}/{key}"
    return place, {"AZURE_STORAGE_CONNECTION_STRING": running.connection_string}


_STORES = {"s3": ("local_aws", _on_s3), "gcs": ("local_gcp", _on_gcs), "blob": ("azurite", _on_blobs)}


@pytest.fixture(params=sorted(_STORES))
def store(request):
    """Puts bytes under a key, and returns their URL and the variables that lead there."""
    fixture, put = _STORES[request.param]
    running = request.getfixturevalue(fixture)
    return lambda key, content: put(running, key, content)


@pytest.fixture
def weights_of():
    """The manifest's record of a file."""

    def record(url, content):
        digest = hashlib.sha256(content).hexdigest()
        source = "mount" if url.startswith("/") else "store"
        return {"source": source, "url": url, "bytes": len(content), "sha256": digest, "parts": 4}

    return record
