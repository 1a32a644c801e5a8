"""What somebody writes who has read the guides: one thread, no spinning, the model optimised beforehand, ORT format."""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when numpy is imported

import onnxruntime
from spec import MODEL
from wire import handle

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = onnxruntime.InferenceSession(
    os.path.join(os.environ["LAMBDA_TASK_ROOT"], MODEL), options, providers=["CPUExecutionProvider"]
)


def handler(event, context):
    """Answer an HTTP API event."""
    return handle(event, lambda arrays: session.run(None, arrays))
