"""SageMaker's SDK in its local mode: ``Predictor`` with each of its serializers and deserializers."""

import json
import logging
import sys

import boto3
import numpy as np
from sagemaker import deserializers, serializers
from sagemaker.local import LocalSession
from sagemaker.predictor import Predictor

logging.disable(logging.WARNING)
_SERIALIZERS = {
    "json": serializers.JSONSerializer(),
    "jsonlines": serializers.JSONLinesSerializer(),
    "csv": serializers.CSVSerializer(),
    "numpy": serializers.NumpySerializer(),
    "numpy-float32": serializers.NumpySerializer(dtype="float32"),
    "bytes": serializers.IdentitySerializer(),
}
_DESERIALIZERS = {
    "json": deserializers.JSONDeserializer(),
    "jsonlines": deserializers.JSONLinesDeserializer(),
    "csv": deserializers.CSVDeserializer(),
    "numpy": deserializers.NumpyDeserializer(),
    "pandas": deserializers.PandasDeserializer("text/csv"),
    "text": deserializers.StringDeserializer(),
}


def _plain(value):
    if hasattr(value, "to_numpy"):  # pandas reads the first row as names
        return [[float(name) for name in value.columns], *value.to_numpy().tolist()]
    if isinstance(value, str):
        return json.loads(value)
    return np.asarray(value, float).tolist() if not isinstance(value, dict) else value


def main():
    job = json.load(sys.stdin)
    session = LocalSession(boto3.Session(region_name="us-east-1"), disable_local_code=True)
    session.config = {"local": {"serving_port": job["port"]}}
    session.sagemaker_runtime_client.config = session.config
    rows = job["rows"]
    found = {}
    for given, serializer in _SERIALIZERS.items():
        data = {
            "jsonlines": rows,
            "bytes": np.asarray(rows, np.float32).tobytes(),
            "csv": rows,
        }.get(given, np.asarray(rows))
        for taken, deserializer in _DESERIALIZERS.items():
            predictor = Predictor("local", session, serializer, deserializer)
            found[f"{given} {taken}"] = _plain(predictor.predict(data, custom_attributes="trace=1", inference_id="i-1"))
    predictor = Predictor("local", session, _SERIALIZERS["json"], _DESERIALIZERS["json"])
    found["instances"] = predictor.predict({"instances": rows})
    found["inputs"] = predictor.predict({"inputs": {"x": rows}})
    found["named"] = predictor.predict({"x": rows})
    found["target"] = predictor.predict(rows, target_model=job["target"])
    found["refused"] = predictor.predict([[1, 2], [3, 4]])
    sys.stdout.write(json.dumps(found) + "\n")


main()
