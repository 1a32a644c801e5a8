"""What most people write: the wheels as they come, a default session at import, numpy in between."""

import os

import onnxruntime
from spec import MODEL
from wire import handle

session = onnxruntime.InferenceSession(os.path.join(os.environ["LAMBDA_TASK_ROOT"], MODEL))


def handler(event, context):
    """Answer an HTTP API event."""
    return handle(event, lambda arrays: session.run(None, arrays))
