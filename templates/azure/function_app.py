"""What the Functions host's Python worker indexes: loads the model while the instance starts."""

from coldpress_runtime.azure_functions import make_app

app = make_app()
