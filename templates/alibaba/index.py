"""Function Compute's entry point (``handler: index.handler``): loads the model while the instance starts."""

from coldpress_runtime.alibaba_fc import make_handler

handler = make_handler()
