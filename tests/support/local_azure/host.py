"""What the Functions host does around a blob trigger whose source is Event Grid, and around a queue of its events.

From Microsoft's documentation of the Event Grid schema for Blob Storage, and of the blob trigger's paths and metadata:
the event's subject names the blob, the trigger's path picks ``{name}`` out of it, the blob is read, the function is
run, and what it gave its output bindings is written where their paths say.
"""

import json
import re
import uuid
from collections import deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from coldpress.emulate.azure import AzureFunction
from coldpress.errors import EmulateError
from tests.support.local_azure.azurite import Azurite

__all__ = ["Queue", "blob_created", "deliver"]


def blob_created(store: Azurite, container: str, name: str) -> dict[str, Any]:
    """Return the event that Event Grid sends when a blob has been made."""
    headers, body = store.get(container, name)
    return {
        "topic": "/subscriptions/0/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/up",
        "subject": f"/blobServices/default/containers/{container}/blobs/{name}",
        "eventType": "Microsoft.Storage.BlobCreated",
        "id": str(uuid.uuid4()),
        "data": {
            "api": "PutBlob",
            "contentType": headers["content-type"],
            "contentLength": len(body),
            "eTag": headers["etag"],
            "blobType": "BlockBlob",
            "url": f"{store.url}/{container}/{quote(name)}",
        },
        "dataVersion": "",
        "metadataVersion": "1",
        "eventTime": "2026-11-21T12:00:00Z",
    }


def deliver(store: Azurite, app: AzureFunction, event: dict[str, Any], function: str = "score_upload") -> list[str]:
    """Hand an event to the app as its host would; return the names of the blobs that were written."""
    bindings = {binding["name"]: binding for binding in app.functions()[function]}
    trigger = next(binding for binding in bindings.values() if binding["type"] == "blobTrigger")
    place = event["subject"].removeprefix("/blobServices/default/containers/").replace("/blobs/", "/", 1)
    found = re.fullmatch(re.escape(trigger["path"]).replace(r"\{name\}", "(.+)"), place, re.DOTALL)
    container, _, name = place.partition("/")
    blob = store.get(container, name)
    if found is None or blob is None:
        return []
    headers, body = blob
    metadata = {
        "BlobTrigger": place,
        "Uri": f"{store.url}/{container}/{quote(name)}",
        "Properties": {
            "ContentType": headers["content-type"],
            "ContentLength": len(body),
            "ETag": headers["etag"],
            "BlobType": "Block",
            "LastModified": headers["last-modified"],
        },
        "Metadata": {},
        "name": found[1],
    }
    written = []
    for output, document in app.trigger(function, body, metadata).items():
        into, _, key = bindings[output]["path"].replace("{name}", found[1]).partition("/")
        store.put(into, key, document, "application/octet-stream")
        written.append(key)
    return written


class Queue:
    """The queue of a function, and the one of messages that have failed too often.

    Attributes:
        messages: those that wait: their bytes, and how often they have been taken.
        poison: those that failed too often.
        errors: why a message was not taken.
    """

    def __init__(self, most: int = 5) -> None:
        self.messages: deque[tuple[bytes, int]] = deque()
        self.poison: list[bytes] = []
        self.errors: list[str] = []
        self._most = most

    def put(self, message: Mapping[str, Any]) -> None:
        """Let Event Grid put an event there."""
        self.messages.append((json.dumps(message).encode(), 0))

    def run(self, app: AzureFunction, function: str = "score_upload") -> bool:
        """Hand the next message to the app as its host would; return whether the function took it."""
        bindings = {binding["name"]: binding for binding in app.functions()[function]}
        (trigger,) = (binding for binding in bindings.values() if binding["type"] == "queueTrigger")
        message, taken = self.messages.popleft()
        try:
            outputs = app.trigger(function, message, {"DequeueCount": str(taken + 1)})
        except EmulateError as error:
            self.errors.append(str(error))
            if taken + 1 < self._most:
                self.messages.append((message, taken + 1))
            else:
                self.poison.append(message)
            return False
        for name, document in outputs.items():
            assert (bindings[name]["type"], bindings[name]["queueName"]) == ("queue", trigger["queueName"])
            self.messages.append((document, 0))
        return True
