"""What every target's templates say of the endpoint that its function asks."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coldpress.render.endpoint.values import endpoint_name, endpoint_values

if TYPE_CHECKING:
    from coldpress.config import Config
    from coldpress.fallback_config import FallbackConfig

__all__ = ["Asked", "asked", "readme_pieces"]

_FILE = "| `endpoint/` | the endpoint that some requests go out to: deploy it first |"


_README = """
## What goes out

Some requests are answered by an endpoint; the rules for it are in `coldpress.json`, under `fallback`.
{where}
Answers say who gave them: `Coldpress-Answered-By: function` or `endpoint`."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The endpoint that a function asks.

    Attributes:
        kind: one of ``ENDPOINTS``.
        name: what it is called, where ``pack`` renders it.
        region: where it is then.
        auth: how the function proves who it is, where the endpoint is there already.
        url: its address then.
    """

    kind: str
    name: str
    region: str = ""
    auth: str = "none"
    url: str = ""

    @property
    def rendered(self) -> bool:
        """Whether it lies in the folder ``endpoint/`` beside the function."""
        return self.kind != "http"

    @property
    def token(self) -> bool:
        """Whether the function sends a secret that somebody has to give it."""
        return self.auth == "bearer"

    @property
    def readme(self) -> str:
        """What the README says of it."""
        where = "Deploy the folder `endpoint/` first: its README says how, and what it costs."
        if not self.rendered:
            secret = {
                "bearer": "its token comes from the variable `COLDPRESS_FALLBACK_TOKEN`.",
                "none": "it is asked without a name or a secret.",
            }.get(self.auth, "who may ask it is to be said there: name the identity that the function runs as.")
            where = f"It is there already, at `{self.url}`; {secret}"
        return _README.format(where=where)


def readme_pieces(endpoint: Asked | None) -> dict[str, str]:
    """Return what every README says of the endpoint: a section, and a row of the table of files."""
    return {
        "fallback_readme": endpoint.readme if endpoint else "",
        "fallback_file": _FILE if endpoint and endpoint.rendered else "",
    }


def asked(config: "Config", name: str, target: str) -> Asked | None:
    """Return the endpoint that a function of ``target`` asks; None where everything is answered here.

    Raises:
        TemplateError: the endpoint cannot be had, or not beside this target.
    """
    fallback: FallbackConfig | None = config.fallback
    if fallback is None:
        return None
    values = endpoint_values(config, name, target)
    if values is None:
        return Asked(kind="http", name="", auth=fallback.auth, url=fallback.url)
    return Asked(kind=values.kind, name=endpoint_name(name), region=values.region)
