"""A model on the bench: its weights in every encoding tried, each encoded once, put together as candidates."""

from collections.abc import Mapping

import numpy as np
from onnx import ModelProto

from coldpress.encodings.encoding import Encoded, Site
from coldpress.encodings.gptq import answer_error
from coldpress.encodings.menu import ENCODINGS, overhead, rewrite
from coldpress.encodings.sites import find_sites
from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import scopes

__all__ = ["KEEP", "Workbench"]

KEEP = "as it is"
"""The name of the option that leaves a weight alone."""


class Workbench:
    """A stripped model whose weights can be tried in other encodings.

    Args:
        model: After the lossless passes; left as it is.
        grams: By site, the sum of x xᵀ over calibration inputs, where known.

    Attributes:
        sites: The weights whose encoding may be chosen, by name.
    """

    def __init__(self, model: ModelProto, grams: Mapping[str, np.ndarray] | None = None) -> None:
        self.model = model
        self.grams = grams or {}
        self._draft = Draft(model)
        self.sites: dict[str, Site] = {site.name: site for site in find_sites(self._draft)}
        self._weights = {
            tensor.name: tensor
            for scope in scopes(self._draft.proto)
            for tensor in getattr(scope.body, "initializer", ())
            if tensor.name in self.sites
        }
        self._encoded: dict[tuple[str, str], Encoded] = {}

    def weight(self, site: str) -> np.ndarray:
        """Return the weight as it is, float32."""
        return self._draft.array(self._weights[site])

    def nbytes(self, site: str, encoding: str) -> int:
        """Return the bytes of a weight in an encoding, the nodes that it needs included."""
        if encoding == KEEP:
            return self.sites[site].nbytes
        return ENCODINGS[encoding].nbytes(self.sites[site]) + overhead(encoding, self.sites[site].role).each

    @property
    def rest_bytes(self) -> int:
        """Bytes of the model that are no site's data: nodes, names, and weights that stay as they are."""
        return self._draft.size() - sum(site.nbytes for site in self.sites.values())

    def encoded(self, site: str, encoding: str) -> Encoded:
        """Return the weight in an encoding, from memory when it was asked for before."""
        key = (site, encoding)
        if key not in self._encoded:
            self._encoded[key] = ENCODINGS[encoding].encode(self.weight(site), self.sites[site], self.grams.get(site))
        return self._encoded[key]

    def error(self, site: str, encoding: str) -> float:
        """Return the squared error that the encoding makes, relative to the weight's own squares.

        Where the inputs' Gram matrix G is known it is the error of the product: tr(Eᵀ G E) / tr(Wᵀ G W), for a weight
        [K, N] that inputs [.., K] are multiplied with.
        """
        weight = self.weight(site).astype(np.float64)
        made = ENCODINGS[encoding].decode(self.encoded(site, encoding), self.sites[site]).astype(np.float64)
        gram = self.grams.get(site)
        if gram is not None and weight.ndim == 2 and gram.shape[0] in weight.shape:
            turned = weight.shape[0] == gram.shape[0]
            return answer_error(weight.T, made.T, gram) if turned else answer_error(weight, made, gram)
        size = float(np.sum(weight * weight))
        return float(np.sum((made - weight) ** 2)) / size if size > 0 else 0.0

    def with_weight(self, site: str, encoding: str) -> ModelProto:
        """Return the model with one weight replaced by what the encoding makes of it, still as float32."""
        value = ENCODINGS[encoding].decode(self.encoded(site, encoding), self.sites[site])
        draft = Draft(self.model)
        for scope in scopes(draft.proto):
            for tensor in getattr(scope.body, "initializer", ()):
                if tensor.name == site:
                    tensor.ClearField("float_data")
                    tensor.raw_data = np.ascontiguousarray(value, np.float32).tobytes()
        return draft.restore()

    def build(self, choice: Mapping[str, str]) -> ModelProto:
        """Return the model with each weight in ``choice`` in its encoding; ``KEEP`` leaves one alone."""
        wanted = {site: encoding for site, encoding in choice.items() if encoding != KEEP}
        encoded = {site: self.encoded(site, encoding) for site, encoding in wanted.items()}
        return rewrite(self.model, wanted, encoded=encoded)
