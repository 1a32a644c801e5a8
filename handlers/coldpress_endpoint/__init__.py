"""The server of a GPU endpoint: models from a folder, by name and version, to every protocol that clouds speak.

``python -m coldpress_endpoint`` starts it. It stands on coldpress_runtime's readers of requests and errors, and on
libraries that a function cannot afford to load: numpy, ONNX Runtime's own bindings, uvicorn, orjson.
"""
