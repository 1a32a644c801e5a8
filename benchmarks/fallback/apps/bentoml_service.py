"""The same model behind BentoML, as its documentation has a service: one worker, no batching."""

import os

import bentoml
import numpy as np
import onnxruntime as ort

KINDS = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}


@bentoml.service(workers=1, logging={"access": {"enabled": False}}, metrics={"enabled": False})
class Model:
    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
        self.inputs = {each.name: KINDS[each.type] for each in self.session.get_inputs()}
        self.outputs = [each.name for each in self.session.get_outputs()]

    @bentoml.api
    def predict(self, inputs: dict) -> dict:
        feeds = {name: np.asarray(inputs[name], kind) for name, kind in self.inputs.items()}
        values = self.session.run(self.outputs, feeds)
        return {"outputs": {name: value.tolist() for name, value in zip(self.outputs, values, strict=True)}}
