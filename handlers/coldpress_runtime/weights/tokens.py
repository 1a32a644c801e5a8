"""Ask the function's own machine who it is: credentials that the provider gives there and nowhere else."""

from __future__ import annotations

import http.client
import json

from coldpress_runtime.errors import WeightsError
from coldpress_runtime.weights.address import address

__all__ = ["ask"]

_TIMEOUT_S = 5.0
_MOST_BYTES = 1 << 16
_ATTEMPTS = 3


def ask(place: str, headers: dict[str, str], *names: str) -> list[str]:
    """Return the texts of these names in the JSON object at ``place``, which is never shown.

    Raises:
        WeightsError: it does not answer, or not with them.
    """
    machine, query, why = address(place, "the function's environment"), place.partition("?")[2], ""
    for _ in range(_ATTEMPTS):
        make = http.client.HTTPSConnection if machine.tls else http.client.HTTPConnection
        connection = make(machine.host, machine.port, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", f"{machine.path or '/'}?{query}", headers=headers)
            with connection.getresponse() as answer:
                why = f"status {answer.status}"
                found = json.loads(answer.read(_MOST_BYTES))
            if answer.status == http.client.OK:
                return [str(found[name]) for name in names]
        except (OSError, http.client.HTTPException) as problem:
            why = str(problem) or type(problem).__name__
        except (ValueError, KeyError, TypeError):
            why += ", and not what was asked for"
        finally:
            connection.close()
    raise WeightsError(f"{machine.host} gives the function no identity ({why}); look at the account it runs as.")
