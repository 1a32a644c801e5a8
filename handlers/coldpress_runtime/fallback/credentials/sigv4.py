"""AWS's signature, version 4, by botocore's signer; it hashes the body, so what arrives is what was signed.

A signature holds the time. When AWS refuses one and its clock says something else than ours, the same question is
signed again by AWS's clock, and every one after it.
"""

from __future__ import annotations

import os
from threading import Lock
from time import gmtime, strftime, time
from typing import NamedTuple

from coldpress_runtime.errors import DoorError
from coldpress_runtime.fallback.deadline import within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coldpress_runtime.fallback.messages import Message, Origin, Reply

__all__ = ["Sigv4"]

_SKEW_S = 60.0  # AWS lets five minutes pass; a clock that is a minute off explains nothing else
_STAMP = "%Y%m%dT%H%M%SZ"


class _Frozen(NamedTuple):
    """Credentials of the environment, where Lambda puts them: a third of what botocore costs is to look elsewhere."""

    access_key: str
    secret_key: str
    token: str | None

    def __repr__(self) -> str:
        """Without the secret."""
        return f"_Frozen({self.access_key})"

    def get_frozen_credentials(self) -> _Frozen:
        """These, which never change."""
        return self


class Sigv4:
    """Signs messages for one region, with the credentials that botocore finds. Threads may share it."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._credentials: Any = None
        self._lock = Lock()
        self._skew = 0.0  # seconds that AWS's clock is ahead of ours

    def headers(self, origin: Origin, message: Message, ends: float) -> dict[str, str]:
        """The signature, its time, and what else was signed; raises DoorError without credentials."""
        credentials = self._found(ends)
        try:
            from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - loaded when it is used
        except ImportError:
            raise _missing() from None
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        usual = origin.port == (443 if origin.scheme == "https" else 80)
        request = AWSRequest(
            method=message.method,
            url=f"{origin.scheme}://{host}{'' if usual else f':{origin.port}'}{message.target}",
            data=message.body,
            headers=message.headers,
        )
        _signer(credentials, origin.service, self._region, time() + self._skew).add_auth(request)
        return dict(request.headers.items())

    def renew(self, reply: Reply) -> bool:
        """Take over the clock of an answer that refuses, when ours is off; returns whether it was."""
        from email.utils import parsedate_to_datetime  # noqa: PLC0415 - rare

        try:
            skew = parsedate_to_datetime(reply.headers.get("date", "")).timestamp() - time()
        except (ValueError, TypeError, OverflowError):
            return False
        if abs(skew - self._skew) < _SKEW_S:
            return False
        self._skew = skew
        return True

    def _found(self, ends: float) -> Any:
        """Credentials of this moment."""
        credentials = self._credentials
        if credentials is None or getattr(credentials, "refresh_needed", _never)():
            return within(ends, "reached, because AWS gave no credentials,", self._fetched)
        return credentials.get_frozen_credentials()

    def _fetched(self) -> Any:
        try:
            with self._lock:
                if self._credentials is None:
                    self._credentials = _of_environment() or _of_botocore()
            if self._credentials is not None:
                return self._credentials.get_frozen_credentials()
        except ImportError:
            raise _missing() from None
        except Exception as error:  # noqa: BLE001 - botocore raises what it likes
            raise DoorError(f"AWS gave this function no credentials ({type(error).__name__}); has it a role?") from None
        raise DoorError("There are no AWS credentials to sign a question with; has this function a role?")


def _of_environment() -> _Frozen | None:
    access_key, secret_key = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not (access_key and secret_key):
        return None
    return _Frozen(access_key, secret_key, os.environ.get("AWS_SESSION_TOKEN") or None)


def _of_botocore() -> Any:
    from botocore.session import get_session  # noqa: PLC0415 - loaded when it is used

    return get_session().get_credentials()


def _never() -> bool:
    return False


def _missing() -> DoorError:
    return DoorError(
        "The endpoint wants signed questions, and the library 'botocore' is not in this bundle; add it to the "
        "function's requirements."
    )


def _signer(credentials: Any, service: str, region: str, now: float) -> Any:
    """A signer of botocore's by another clock than the machine's."""
    from botocore.auth import S3SigV4Auth, SigV4Auth  # noqa: PLC0415 - loaded when it is used

    base = S3SigV4Auth if service == "s3" else SigV4Auth

    class Signer(base):  # type: ignore[misc, valid-type]
        """Sets the time of a signature where botocore is about to write it into the headers."""

        def _set_necessary_date_headers(self, request: Any) -> None:
            request.context["timestamp"] = strftime(_STAMP, gmtime(now))
            super()._set_necessary_date_headers(request)

    return Signer(credentials, service, region)
