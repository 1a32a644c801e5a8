"""gcp-storage-emulator, with three things of Cloud Storage that it does not know.

They are generations asked for, 412, and objects kept in gzip that come inflated to whoever does not take that.

Run in the environment ``.tools/gcp``; prints its address, and ends when its input does.
"""

import gzip
import sys
from http import HTTPStatus

from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import objects

_get, _upload, _download = objects.get, objects._multipart_upload, objects.download


def _generation(storage, bucket, name):
    """The live object's generation; "0" when there is none, as in a precondition."""
    try:
        return storage.get_file_obj(bucket, name)["generation"]
    except NotFound:
        return "0"


def get(request, response, storage, *args, **kwargs):
    """Answer 404 for a generation that has been replaced."""
    place = request.params["bucket_name"], request.params["object_id"]
    wanted = request.query.get("generation", [_generation(storage, *place)])
    if wanted != [_generation(storage, *place)]:
        response.status = HTTPStatus.NOT_FOUND
        return None
    return _get(request, response, storage, *args, **kwargs)


def download(request, response, storage, *args, **kwargs):
    """Inflate what is kept in gzip, unless gzip is what was asked for."""
    _download(request, response, storage, *args, **kwargs)
    if response.status != HTTPStatus.OK or "gzip" in (request.get_header("accept-encoding") or ""):
        return
    kept = storage.get_file_obj(request.params["bucket_name"], request.params["object_id"])
    if kept.get("contentEncoding") == "gzip":
        response._content = gzip.decompress(response._content)


def upload(request, response, storage):
    """Answer 412 when the object that is there is not the one that the caller has seen."""
    there = _generation(storage, request.params["bucket_name"], request.data["meta"]["name"])
    if request.query.get("ifGenerationMatch", [there]) != [there]:
        response.status = HTTPStatus.PRECONDITION_FAILED
        return None
    return _upload(request, response, storage)


objects.get, objects._multipart_upload, objects.download = get, upload, download

from gcp_storage_emulator.server import create_server  # noqa: E402 - its table of handlers takes the ones above

server = create_server("127.0.0.1", 0, in_memory=True)
server.start()
sys.stdout.write(f"127.0.0.1:{server._api._httpd.server_port}\n")
sys.stdout.flush()
sys.stdin.read()
server.stop()
