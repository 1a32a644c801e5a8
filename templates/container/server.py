"""The container's entry point (``uvicorn server:app``): loads the model before the port opens."""

from coldpress_runtime.asgi import make_app

app = make_app()
