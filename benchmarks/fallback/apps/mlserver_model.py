"""The same model behind MLServer, as its documentation has a runtime of one's own; no parallel workers."""

import os

import numpy as np
import onnxruntime as ort
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Model(MLModel):
    async def load(self) -> bool:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
        self.outputs_ = [each.name for each in self.session.get_outputs()]
        return True

    async def predict(self, payload):
        feeds = {each.name: NumpyCodec.decode_input(each) for each in payload.inputs}
        values = self.session.run(self.outputs_, feeds)
        outputs = [
            NumpyCodec.encode_output(name, np.asarray(value)) for name, value in zip(self.outputs_, values, strict=True)
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
