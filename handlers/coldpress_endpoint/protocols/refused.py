"""Errors as answers, in each protocol's own form."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from coldpress_endpoint.routes import Answer, Call, Handler
from coldpress_runtime.errors import ColdpressError, DeadlineError
from coldpress_runtime.json_text import dump
from coldpress_runtime.refusals import failure, refusal

__all__ = ["Form", "refusing"]

_JSON = {"content-type": "application/json"}
#: Makes the document of an error's body from the error.
Form = Callable[[ColdpressError], Any]


def refusing(handler: Handler, form: Form) -> Handler:
    """The handler, with its errors answered in the protocol's form; what nobody foresaw is told by an id alone."""

    @wraps(handler)
    async def answer(call: Call) -> Answer:
        try:
            return await handler(call)
        except DeadlineError as error:  # the caller's time, not a fault of ours: nothing for the log
            return Answer(error.status, dict(_JSON), dump(form(error)))
        except ColdpressError as error:
            response = refusal(error)
        except Exception as error:  # noqa: BLE001 - a caller gets an answer, whatever happens
            response = failure(error)
        told = response.error if isinstance(response.error, ColdpressError) else ColdpressError("Internal error.")
        headers = {name.lower(): text for name, text in response.headers.items()}
        return Answer(response.status, headers, dump(form(told)))

    return answer
