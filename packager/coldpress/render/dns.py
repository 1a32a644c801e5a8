"""Names of Kubernetes objects."""

from coldpress.render.template import slug

__all__ = ["dns_name"]

_YAML_WORDS = {"false", "n", "no", "null", "off", "on", "true", "y", "yes"}  # no text to every reader of YAML


def dns_name(text: str) -> str:
    """Return ``text`` as a name of Kubernetes objects (RFC 1035), short enough for what Knative puts behind it."""
    name = slug(text, 40).lower()
    return name if name[0].isalpha() and name not in _YAML_WORDS else f"model-{name}"
