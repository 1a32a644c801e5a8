"""How each kind of endpoint is asked, and what its statuses mean.

=============== ======================================================================================================
``http``        the question's own path behind the URL; the binary extension as it is
``vertex``      ``:rawPredict``; binary tensors under a content type of their own, as no other header gets through
``azure-ml``    the scoring URL; its router passes headers on
``sagemaker``   ``/endpoints/{name}/invocations``, likewise; what the container refused comes wrapped into a 424
=============== ======================================================================================================

Statuses: 400, 413, 415 and 422 are about the caller's inputs and are passed on. 429 and 503 are the endpoint's way to
say "later". All others are no answer.
"""

from __future__ import annotations

import json

from coldpress_runtime.errors import DoorBusyError, DoorError, DoorLateError, ManifestError, WakingError
from coldpress_runtime.fallback.messages import Broken, Message, Origin, Reply
from coldpress_runtime.fallback.origins import URL_VARIABLE, part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from coldpress_runtime.fallback.door import Question
    from coldpress_runtime.fallback.settings import Endpoint

__all__ = ["NAME_VARIABLE", "Asking", "aws_origin", "judge", "make_asking", "name_of", "region_of"]

#: Where the endpoint's name comes from when the manifest leaves it empty.
NAME_VARIABLE = "COLDPRESS_FALLBACK_ENDPOINT"

_LENGTH = "inference-header-content-length"
_CALLERS = {400, 413, 415, 422}  # what is wrong with the inputs
_GATEWAY = {408, 502, 504}  # nobody was reached behind whoever answers
_LONGEST_RETRY_S = 3600
#: Content types of bodies with binary tensors where no header of ours gets through; Triton's, and read by ours too.
_BINARY_TYPES = {
    "sagemaker": "application/vnd.sagemaker-triton.binary+json;json-header-size=",
    "vertex": "application/vnd.vertex-ai-triton.binary+json;json-header-size=",
}


class Asking:
    """Makes messages of questions for one endpoint, and answers of its replies.

    Attributes:
        origin: where it is.
        ready: the path that says whether it is ready; None where none is known.
    """

    def __init__(self, kind: str, origin: Origin, path: str) -> None:
        self.origin = origin
        self.ready = f"{path}/v2/health/ready" if kind == "http" else None
        self._kind = kind
        self._path = path

    def message(self, question: Question) -> Message:
        """A question as this endpoint takes it."""
        headers = dict(question.headers)
        length = headers.get(_LENGTH)
        if self._kind in _BINARY_TYPES and length is not None:
            del headers[_LENGTH]
            headers["content-type"] = _BINARY_TYPES[self._kind] + length
        headers.setdefault("content-type", "application/json")
        if self._kind == "sagemaker":
            headers = _sagemaker_headers(headers)
        target = self._path + question.path if self._kind == "http" else self._path
        return Message("POST", target, headers, question.body)

    def judge(self, reply: Reply) -> Reply:
        """The answer that a reply is; raises Broken."""
        if self._kind == "sagemaker":
            reply = _unwrapped(reply)
        return judge(_with_length(reply) if self._kind in _BINARY_TYPES else reply)


def judge(reply: Reply) -> Reply:
    """The reply, if it is an answer or a refusal of the caller's inputs; raises Broken."""
    status = reply.status
    if status < 300 or status in _CALLERS:
        return reply
    retry_after = _retry_after(reply.headers.get("retry-after", ""))
    if status in {429, 503}:
        message = f"The endpoint answered {status}: it has no room now, or is not ready yet;"
        if retry_after is None:
            raise Broken(DoorBusyError(f"{message} try again in a second."), again=True)
        raise Broken(
            WakingError(f"{message} try again in {retry_after} s.", retry_after), again=True, retry_after=retry_after
        )
    if status in _GATEWAY:
        kind = DoorError if status == 502 else DoorLateError
        raise Broken(
            kind(f"What stands before the endpoint answered {status}: nothing answered behind it in time."), again=True
        )
    if status in {401, 403}:
        said = "look at the permissions and the secret that this function has for it."
    elif status in {404, 405}:
        said = "look at its URL, and at the name of the model that it serves."
    else:
        said = "look at its log."
    raise Broken(DoorError(f"The endpoint answered {status}; {said}"), again=False)


def _retry_after(text: str) -> int | None:
    """Seconds from now, from a number or a date; None without either."""
    text = text.strip()
    if text.isascii() and text.isdecimal():
        seconds = float(text[:9])
    else:
        from datetime import UTC, datetime  # noqa: PLC0415 - rare
        from email.utils import parsedate_to_datetime  # noqa: PLC0415 - rare

        try:
            seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return int(min(max(seconds, 1), _LONGEST_RETRY_S))


def _with_length(reply: Reply) -> Reply:
    """Move the length of the JSON from the content type to the protocol's own header."""
    kind, mark, length = reply.headers.get("content-type", "").partition("json-header-size=")
    if not mark or not kind.startswith("application/vnd."):
        return reply
    headers = reply.headers | {"content-type": "application/octet-stream", _LENGTH: length.strip()}
    return reply._replace(headers=headers)


def _sagemaker_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The few headers that get through SageMaker, with the ids of the request and the trace in those for them."""
    found = {"content-type": headers["content-type"]}
    identity = headers.get("x-request-id", "")
    if identity and len(identity) <= 64 and identity.isascii() and identity.replace("-", "").isalnum():
        found["x-amzn-sagemaker-inference-id"] = identity
    if "traceparent" in headers:
        found["x-amzn-sagemaker-custom-attributes"] = f"traceparent={headers['traceparent']}"
    return found


def _unwrapped(reply: Reply) -> Reply:
    """What the container said, of the errors in which SageMaker wraps it; raises Broken while it has no capacity."""
    if reply.status not in {400, 424, 429, 530}:
        return reply
    try:
        document = json.loads(reply.body)
        message = str(document.get("Message") or document.get("message") or "")
        original = int(document.get("OriginalStatusCode") or 0)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        document, message, original = {}, "", 0
    kind = reply.headers.get("x-amzn-errortype", "")
    # A message about what the container said repeats it, and with it perhaps the caller's own words.
    if (not original and "no capacity" in message) or kind.startswith("ModelNotReady"):
        seconds = 30  # instances take minutes
        raise Broken(
            WakingError(f"The endpoint has no instance now and starts one; try again in {seconds} s.", seconds),
            again=True,
            retry_after=seconds,
        )
    if reply.status == 400:  # SageMaker's own: the endpoint's name, a body that is too large
        raise Broken(DoorError("SageMaker refused the question; look at the endpoint's name and state."), again=False)
    if reply.status == 424 and 400 <= original < 600:
        said = str(document.get("OriginalMessage") or "").encode()
        return Reply(original, {"content-type": "application/json"}, said)
    return reply


def name_of(endpoint: Endpoint, environ: Mapping[str, str]) -> str:
    """The endpoint's name, of the manifest or of the environment; raises ManifestError without one."""
    name = endpoint.name or environ.get(NAME_VARIABLE, "")
    if not name:
        raise ManifestError(
            f"fallback.endpoint.name is empty and {NAME_VARIABLE} is not set; name the endpoint that is asked."
        )
    if not (name.isascii() and name.isprintable()) or set(name) & set(' ?#%\\"<>'):
        raise ManifestError(f"{NAME_VARIABLE} or fallback.endpoint.name is no name that an endpoint can have.")
    return name


def region_of(endpoint: Endpoint, environ: Mapping[str, str]) -> str:
    """The region of the manifest or of the environment; raises ManifestError when neither names one."""
    region = endpoint.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or ""
    if not (region and region.isascii() and region.replace("-", "").isalnum()):
        raise ManifestError("fallback.endpoint.region is empty and AWS_REGION does not name one; name the region.")
    return region


def aws_origin(service: str, region: str, environ: Mapping[str, str]) -> tuple[Origin, str]:
    """Where a service of AWS is, and the path before its own; where the environment says so, somewhere else.

    The address may be private: a VPC gives AWS's names addresses of its own, and what the environment names is meant.
    """
    variable = "AWS_ENDPOINT_URL_S3" if service == "s3" else "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"
    url = environ.get(variable) or environ.get("AWS_ENDPOINT_URL")
    if url:
        scheme, host, port, path = part(url, variable)
        return Origin(scheme, host, port, True, service), path
    name = "s3" if service == "s3" else "runtime.sagemaker"
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return Origin("https", f"{name}.{region}.{suffix}", 443, True, service), ""


def make_asking(endpoint: Endpoint, environ: Mapping[str, str]) -> Asking:
    """How the endpoint of a manifest is asked; raises ManifestError when neither it nor the environment says where."""
    kind = endpoint.kind
    if kind in {"sagemaker", "sagemaker-async"}:
        origin, path = aws_origin("sagemaker", region_of(endpoint, environ), environ)
        action = "async-invocations" if kind == "sagemaker-async" else "invocations"
        return Asking("sagemaker", origin, f"{path}/endpoints/{name_of(endpoint, environ)}/{action}")
    url = endpoint.url or environ.get(URL_VARIABLE, "")
    if kind == "vertex" and not url:
        if not endpoint.region.replace("-", "").isalnum():
            raise ManifestError("fallback.endpoint.region is empty; name the region of the endpoint.")
        url = f"https://{endpoint.region}-aiplatform.googleapis.com/v1/{name_of(endpoint, environ)}"
    if not url:
        raise ManifestError(
            f"fallback.endpoint.url is empty and {URL_VARIABLE} is not set; name the URL of the endpoint."
        )
    scheme, host, port, path = part(url, "fallback.endpoint.url" if endpoint.url else URL_VARIABLE)
    if scheme == "http" and endpoint.auth in {"bearer", "google", "azure"} and not endpoint.allow_private:
        raise ManifestError(
            f"The endpoint's URL begins with http://, and fallback.endpoint.auth is {endpoint.auth!r}: a secret would "
            "travel in the clear; use https://."
        )
    if kind == "vertex" and not path.endswith(":rawPredict"):
        path += ":rawPredict"
    if kind == "azure-ml" and not path:
        path = "/score"
    service = "" if endpoint.auth != "aws" else "lambda" if ".lambda-url." in host else "execute-api"
    return Asking(kind, Origin(scheme, host, port, endpoint.allow_private, service), path)
