"""What an endpoint costs an hour and while nobody asks, in sentences."""

from coldpress.fallback.price import endpoint_hour
from coldpress.render.endpoint.values import EndpointValues

__all__ = ["cost_sentences"]


def cost_sentences(values: EndpointValues) -> tuple[str, ...]:
    """Return what is known of the price of one copy, and of none.

    Prices are list prices with where they were read and when; where none was found, that is said.
    """
    return _hour(values), _at_zero(values)


def _hour(values: EndpointValues) -> str:
    if values.kind in ("kserve", "kubernetes"):
        return "A copy costs what your cluster's node costs while it is there: coldpress knows no price for it."
    hour = endpoint_hour(values.kind)
    if hour is None or (values.instance and values.instance not in (values.machine.instance, hour.what.split()[0])):
        name = values.instance or values.machine.instance
        return f"What a copy ({name}) costs an hour was not found: look it up before you deploy."
    return (
        f"A copy costs about {hour.value:g} {hour.currency} an hour while it is there ({hour.what}; {hour.source}, "
        f"{hour.date})."
    )


def _at_zero(values: EndpointValues) -> str:
    if values.least:
        copies = "One copy is" if values.least == 1 else f"{values.least} copies are"
        why = "" if values.min_instances >= values.least else ", which this kind cannot do without"
        return f"{copies} always there and billed, asked or not{why}: 730 hours a month each."
    if values.kind in ("kserve", "kubernetes"):
        return "With no copy, the GPU is free for others; the node goes when your cluster scales its nodes."
    if values.kind == "vertex":
        return "While nobody asks there is no machine; the last one goes, and is billed, 30 minutes after a request."
    if values.kind == "sagemaker-async":
        return (
            "While nobody asks there is no machine; what is left is cents a month for the key, the log and the alarm."
        )
    return "While nobody asks there is no copy and no charge for one; what is left is the image in its registry."
