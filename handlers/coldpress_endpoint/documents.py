"""What is served by FastAPI, because it is asked rarely: the documents and the figures."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST

from coldpress_endpoint.model import Model
from coldpress_endpoint.repository import Repository
from coldpress_runtime import __version__
from coldpress_runtime.openapi import describe_api

__all__ = ["PATHS", "make_documents"]

#: The paths that FastAPI has.
PATHS = frozenset({"/docs", "/docs/oauth2-redirect", "/openapi.json", "/metrics"})


def make_documents(models: Repository) -> FastAPI:
    """Return the application for ``PATHS``."""
    app = FastAPI(title="coldpress endpoint", version=__version__, redoc_url=None)

    @app.get("/metrics", response_class=Response, tags=["server"], summary="The figures, for Prometheus")
    def metrics() -> Response:
        return Response(models.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    own = app.openapi

    def openapi() -> dict[str, Any]:
        app.openapi_schema = None  # models come and go
        document = own()
        for name in models.names():
            _add(document, models.get(name), bare=len(models.names()) == 1 or name == models.settings.model)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _add(document: dict[str, Any], model: Model, *, bare: bool) -> None:
    """Add a model's paths, as a function describes its own; ``bare``: those that do not name it as well."""
    session = SimpleNamespace(
        inputs=[each.info for each in model.inputs], outputs=[each.info for each in model.outputs]
    )
    manifest = SimpleNamespace(name=model.name, version=model.version)
    found = describe_api(cast("Any", manifest), cast("Any", session), None)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    prefix = f"{model.name}." if model.name.replace("-", "").replace("_", "").isalnum() else f"{len(schemas)}."
    renamed = _rename(found, prefix)
    for path, operations in renamed["paths"].items():
        if path == "/openapi.json" or (path == "/predict" and not bare):
            continue
        for operation in operations.values():
            if "/models/" in path:
                operation["operationId"] = f"{prefix}{operation['operationId']}"
        document["paths"].setdefault(path, operations)
    schemas.update({prefix + name: schema for name, schema in renamed["components"]["schemas"].items()})


def _rename(value: Any, prefix: str) -> Any:
    """The same document, its references to schemas led to names that begin with ``prefix``."""
    if isinstance(value, dict):
        return {
            key: item.replace("#/components/schemas/", f"#/components/schemas/{prefix}")
            if key == "$ref" and isinstance(item, str)
            else _rename(item, prefix)
            for key, item in value.items()
        }
    return [_rename(item, prefix) for item in value] if isinstance(value, list) else value
