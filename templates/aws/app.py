"""Lambda's entry point (``Handler: app.handler``): loads the model while the execution environment initialises."""

from coldpress_runtime.aws_lambda import make_handler

handler = make_handler()
