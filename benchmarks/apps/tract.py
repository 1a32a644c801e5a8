"""The tract engine (Rust) through its Python package."""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import tract
from spec import FACTS, MODEL, ORDER
from wire import handle

model = tract.onnx().load(os.path.join(os.environ["LAMBDA_TASK_ROOT"], MODEL))
for place, fact in enumerate(FACTS):
    model.set_input_fact(place, fact)  # fixed shapes let it optimise most
runnable = model.into_model().into_runnable()


def run(arrays):
    """Arrays by input name -> arrays in the model's order."""
    return [each.to_numpy() for each in runnable.run([np.ascontiguousarray(arrays[name]) for name in ORDER])]


def handler(event, context):
    """Answer an HTTP API event."""
    return handle(event, run)
