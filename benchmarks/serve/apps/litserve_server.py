"""The same model behind LitServe, as its documentation has it: one worker, no batching."""

import os
import sys

import litserve as ls
import numpy as np
import onnxruntime as ort

KINDS = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}


class Model(ls.LitAPI):
    def setup(self, device):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
        self.inputs = {each.name: KINDS[each.type] for each in self.session.get_inputs()}
        self.outputs = [each.name for each in self.session.get_outputs()]

    def decode_request(self, request):
        return {name: np.asarray(request["inputs"][name], kind) for name, kind in self.inputs.items()}

    def predict(self, feeds):
        return self.session.run(self.outputs, feeds)

    def encode_response(self, values):
        return {"outputs": {name: value.tolist() for name, value in zip(self.outputs, values, strict=True)}}


if __name__ == "__main__":
    server = ls.LitServer(Model(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
