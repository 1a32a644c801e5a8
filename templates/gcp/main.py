"""The entry point: the same in every function, whatever the model."""

from coldpress_runtime.cloud_functions import make_functions

predict, score_upload = make_functions()
