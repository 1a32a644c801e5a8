"""Every error the runtime raises, and the HTTP status each becomes.

::

    ColdpressError               500
    ├── ManifestError            500  coldpress.json is missing, or says something impossible
    ├── EngineError              500
    │   ├── LibraryError         500  no usable ONNX Runtime library
    │   └── LoadError            500  a model that the library will not open
    ├── HookError                500  preprocess or postprocess raised
    ├── BatchError               500  a job over many records cannot go on
    │   ├── InputError           500  what is to be scored is damaged, or is of no kind that is read
    │   └── StoreError           500  where objects lie, a store, refused
    │       ├── ChangedError     500  the object is gone, or another one by now
    │       └── ConflictError    500  somebody else has written the object
    ├── WeightsError             500  the model's file, which lies outside of the bundle, cannot be had
    ├── DoorError                502  the endpoint that a request was sent on to gave no answer of use
    │   ├── DoorAnswerError      502  it answered something else than this model's outputs
    │   ├── DoorLateError        504  it did not answer in time
    │   ├── DoorBusyError        503  it has no room; try again after ``retry_after`` seconds
    │   └── WakingError          503  it wakes from zero; likewise
    ├── DeadlineError            504  the request's time was over before the model ran
    └── RequestError             400  the caller can mend it
        ├── RunError             400  well-formed inputs that the model itself refuses
        ├── NotFoundError        404
        ├── MethodNotAllowedError 405
        ├── LateError            408
        ├── TooLargeError        413
        ├── MediaTypeError       415
        └── BusyError            429  try again after ``retry_after`` seconds

A message is one sentence: what was found, what was expected, what to do next. It never holds a secret, a request's
values beyond a few characters, or a path of the machine.
"""

__all__ = [
    "BatchError",
    "BusyError",
    "ChangedError",
    "ColdpressError",
    "ConflictError",
    "DoorAnswerError",
    "DoorBusyError",
    "DoorError",
    "DoorLateError",
    "EngineError",
    "HookError",
    "InputError",
    "LateError",
    "LibraryError",
    "LoadError",
    "ManifestError",
    "MediaTypeError",
    "MethodNotAllowedError",
    "NotFoundError",
    "RequestError",
    "RunError",
    "StoreError",
    "TooLargeError",
    "WakingError",
    "WeightsError",
]


class ColdpressError(Exception):
    """Anything coldpress raises on purpose; ``status`` is its HTTP status."""

    status = 500


class ManifestError(ColdpressError):
    """``coldpress.json`` is missing, is not JSON, or holds a field that cannot be right."""


class EngineError(ColdpressError):
    """ONNX Runtime could not do its part."""


class LibraryError(EngineError):
    """No ONNX Runtime library was found, or the one found is too old."""


class LoadError(EngineError):
    """ONNX Runtime will not open the model."""


class HookError(ColdpressError):
    """The user's ``preprocess`` or ``postprocess`` raised something that is not a ``RequestError``."""


class BatchError(ColdpressError):
    """A job over many records cannot go on."""


class InputError(BatchError):
    """An object that is to be scored is damaged as a whole, or is of no kind that is read."""


class StoreError(BatchError):
    """A bucket or a folder cannot be read or written."""


class ChangedError(StoreError):
    """The object is gone, or its name belongs to another one by now."""


class ConflictError(StoreError):
    """Somebody else has written the object in the meantime."""


class WeightsError(ColdpressError):
    """The model's file, which lies outside of the bundle, cannot be had, or is not the one that was packed."""


class DoorError(ColdpressError):
    """The endpoint that a request was sent on to cannot be reached, or gave no answer of use."""

    status = 502


class DoorAnswerError(DoorError):
    """The endpoint answered, with half a body, garbage, or something else than this model's outputs."""


class DoorLateError(DoorError):
    """The endpoint did not answer within the time that was left."""

    status = 504


class DoorBusyError(DoorError):
    """The endpoint has no room now, or is left alone after failures; try again after ``retry_after`` seconds."""

    status = 503

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class WakingError(DoorError):
    """The endpoint wakes from zero; try again after ``retry_after`` seconds."""

    status = 503

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineError(ColdpressError):
    """The time that the caller gave was over before the model ran, so it did not."""

    status = 504


class RequestError(ColdpressError):
    """The request is wrong in a way its sender can mend."""

    status = 400


class RunError(RequestError):
    """The inputs match the signature, yet the model cannot run on them (an index out of range, sizes at odds)."""


class NotFoundError(RequestError):
    """There is nothing at that path."""

    status = 404


class MethodNotAllowedError(RequestError):
    """The path is there, the method is not; ``allow`` lists those that are."""

    status = 405

    def __init__(self, message: str, allow: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.allow = allow


class LateError(RequestError):
    """The body did not arrive in time."""

    status = 408


class TooLargeError(RequestError):
    """The body, or what it asks for, is over a stated limit."""

    status = 413


class MediaTypeError(RequestError):
    """The body is in a content type or encoding that this path does not read."""

    status = 415


class BusyError(RequestError):
    """No room for another request now; try again after ``retry_after`` seconds."""

    status = 429

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after
