"""What an endpoint behind a function adds to its OpenAPI document."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coldpress_runtime.fallback.settings import Fallback

__all__ = ["describe_endpoint"]

_REFUSALS = {
    "502": "The endpoint that the request was sent on to gave no answer of use.",
    "503": "The endpoint wakes, or has no room; Retry-After says when to try again.",
    "504": "The endpoint did not answer in time.",
}
_QUEUED = {
    "type": "object",
    "properties": {"status": {"const": "queued"}, "id": {"type": "string"}},
    "required": ["status", "id"],
}
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}


def describe_endpoint(document: dict[str, Any], settings: Fallback) -> dict[str, Any]:
    """Add who answered, how the endpoint can fail and, where requests are queued, the jobs to a document."""
    marks = {
        "Coldpress-Answered-By": {"schema": {"enum": ["function", "endpoint"]}},
        "Coldpress-Fallback": {"schema": {"type": "string"}, "description": "The rule that asked the endpoint."},
    }
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    refusals = {status: {"description": text, "content": error} for status, text in _REFUSALS.items()}
    queued = {
        "description": "The endpoint wakes: the answer will be at the Location.",
        "headers": {"Location": {"schema": {"type": "string"}}, "Retry-After": {"schema": {"type": "integer"}}},
        "content": {"application/json": {"schema": _QUEUED}},
    }
    for path in document["paths"].values():
        if "post" in path:
            responses = path["post"]["responses"]
            responses["200"]["headers"] = marks
            responses.update(refusals)
            if settings.waking == "queue":
                responses["202"] = queued
    if settings.waking == "queue":
        document["paths"]["/v2/jobs/{id}"] = {
            "parameters": [_ID],
            "get": {
                "operationId": "job",
                "summary": "The answer to a request that was queued while the endpoint woke",
                "responses": {
                    "200": {"description": "The answer.", "headers": marks, "content": {"*/*": {}}},
                    "202": queued,
                    "404": {"description": "There is no such job.", "content": error},
                    **refusals,
                },
            },
        }
    return document
