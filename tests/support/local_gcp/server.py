"""gcp-storage-emulator, with what it does not know of Cloud Storage.

That are generations asked for, conditions on reads and writes (412), the most that one object is composed of (32), and
objects kept in gzip that come inflated to whoever does not take that.

Run in the environment ``.tools/gcp``; prints its address, and ends when its input does.
"""

import gzip
import sys
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import objects

_MOST_SOURCES = 32

_get, _upload, _download = objects.get, objects._multipart_upload, objects.download
_create_resumable, _upload_partial, _compose = objects._create_resumable_upload, objects.upload_partial, objects.compose
_conditions = {}  # of resumable uploads, by their ids: bucket, name and the generation that is to be replaced


def _generation(storage, bucket, name):
    """The live object's generation; "0" when there is none, as in a precondition."""
    try:
        return storage.get_file_obj(bucket, name)["generation"]
    except NotFound:
        return "0"


def _fails(request, response, there):
    """Whether the object that is there is not the one that the caller has seen; then the answer is 412."""
    if request.query.get("ifGenerationMatch", [there]) == [there]:
        return False
    response.status = HTTPStatus.PRECONDITION_FAILED
    return True


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
    there = _generation(storage, request.params["bucket_name"], request.params["object_id"])
    if there != "0" and _fails(request, response, there):
        return
    _download(request, response, storage, *args, **kwargs)
    if response.status != HTTPStatus.OK or "gzip" in (request.get_header("accept-encoding") or ""):
        return
    kept = storage.get_file_obj(request.params["bucket_name"], request.params["object_id"])
    if kept.get("contentEncoding") == "gzip":
        response._content = gzip.decompress(response._content)


def upload(request, response, storage):
    """Write an object in one request, in the place of the one that the caller has seen."""
    there = _generation(storage, request.params["bucket_name"], request.data["meta"]["name"])
    return None if _fails(request, response, there) else _upload(request, response, storage)


def create_resumable(request, response, storage):
    """Begin an upload in several requests; its condition is looked at again when the object is there."""
    name = request.data["name"]
    if _fails(request, response, _generation(storage, request.params["bucket_name"], name)):
        return
    _create_resumable(request, response, storage)
    if wanted := request.query.get("ifGenerationMatch"):
        upload_id = parse_qs(urlsplit(response["Location"]).query)["upload_id"][0]
        _conditions[upload_id] = request.params["bucket_name"], name, wanted[0]


def upload_partial(request, response, storage, *args, **kwargs):
    """Go on with such an upload."""
    bucket, name, wanted = _conditions.get(request.query["upload_id"][0], ("", "", None))
    if wanted is not None and _generation(storage, bucket, name) != wanted:
        response.status = HTTPStatus.PRECONDITION_FAILED
        return
    _upload_partial(request, response, storage, *args, **kwargs)


def compose(request, response, storage, *args, **kwargs):
    """Make one object of up to 32, in the place of the one that the caller has seen."""
    if len(request.data["sourceObjects"]) > _MOST_SOURCES:
        response.status = HTTPStatus.BAD_REQUEST
        return
    there = _generation(storage, request.params["bucket_name"], request.params["object_id"])
    if not _fails(request, response, there):
        _compose(request, response, storage, *args, **kwargs)


objects.get, objects._multipart_upload, objects.download = get, upload, download
objects._create_resumable_upload, objects.upload_partial, objects.compose = create_resumable, upload_partial, compose

from gcp_storage_emulator.server import create_server  # noqa: E402 - its table of handlers takes the ones above

server = create_server("127.0.0.1", 0, in_memory=True)
server.start()
sys.stdout.write(f"127.0.0.1:{server._api._httpd.server_port}\n")
sys.stdout.flush()
sys.stdin.read()
server.stop()
