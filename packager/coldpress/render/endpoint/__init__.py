"""``templates/endpoint`` filled in: the image that serves a model, and what runs it on each kind of endpoint.

Names and choices are those of botocore 1.44.5, cfn-lint 1.58.0, google-api-python-client 2.202.0 and Microsoft's API
versions of 2024, against which the tests hold what is rendered.
"""

from coldpress.render.endpoint.render import render_endpoint
from coldpress.render.endpoint.values import MACHINES, EndpointValues, endpoint_name, endpoint_values

__all__ = ["MACHINES", "EndpointValues", "endpoint_name", "endpoint_values", "render_endpoint"]
