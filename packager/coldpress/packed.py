"""What ``pack`` made, and the object that ``pack --json`` prints of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldpress.bundle.archive import Archive
from coldpress.bundle.tree import Tree
from coldpress.bundle.verify import Verification
from coldpress.emulate.process import WEIGHTS
from coldpress.fallback.decide import Decision
from coldpress.fallback.endpoint import FOLDER
from coldpress.fit.verdict import Fit
from coldpress.forms.choose import Choice
from coldpress.plan import Plan
from coldpress.render.endpoint.costs import cost_sentences
from coldpress.search.account import Shrunk

__all__ = ["Packed"]


@dataclass(frozen=True)
class Packed:
    """What a ``pack`` made; without ``archive`` and ``verification`` when the bundle does not fit.

    ``tokenizer`` is the text of the ``tokenizer.json`` that goes with a trimmed vocabulary, ``batch`` the function that
    scores uploads, where it is one of its own, ``weights`` the model's file where it does not travel in the package,
    ``decision`` what goes out to an endpoint, ``served`` that endpoint's model where it was stripped as well. Where
    everything goes out, there is nothing that was ``shrunk``.
    """

    plan: Plan
    archive: Archive | None
    fit: Fit
    shrunk: Shrunk | None
    choice: Choice | None
    verification: Verification | None
    tree: Tree
    notes: tuple[str, ...]
    report: Mapping[str, Any] | None
    tokenizer: str | None = None
    batch: Archive | None = None
    weights: Path | None = None
    weights_bytes: int = 0
    decision: Decision | None = None
    served: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``pack --json`` prints."""
        sizes = self.fit.sizes
        return {
            "target": self.plan.target,
            "out": str(self.plan.out),
            "name": self.plan.name,
            "artifact": {
                "zip_bytes": self.archive.zip_bytes if self.archive else None,
                "unzipped_bytes": sizes.unzipped_bytes,
                "model_bytes": sizes.model_bytes,
                "runtime_bytes": sizes.runtime_bytes,
                "runtime_zip_bytes": sizes.runtime_zip_bytes,
                "files": len(sizes.entries),
                "sha256": self.archive.sha256 if self.archive else None,
                "code_sha256": self.archive.code_sha256 if self.archive else None,
            },
            "batch": _artifact(self.batch),
            "weights": self.weights
            and {
                "file": f"{WEIGHTS}/{self.weights.name}",
                "bytes": self.weights_bytes,
                "url": self.plan.weights + self.weights.name,
            },
            "fit": self.fit.to_json(),
            "shrink": dict(self.shrunk.record) if self.shrunk else None,
            "quality": dict(self.shrunk.quality) if self.shrunk else None,
            "form": self.choice.to_json() if self.choice else None,
            "fallback": self._fallback(),
            "verification": self.verification.to_json() if self.verification else None,
            "bytecode": {"python": self.tree.bytecode.python, "files": self.tree.bytecode.files},
            "notes": list(self.notes),
        }

    def _fallback(self) -> dict[str, Any] | None:
        """Return what goes out, where to, and what is known of the price of that."""
        fallback, endpoint = self.plan.fallback, self.plan.endpoint
        if fallback is None or self.decision is None:
            return None
        return self.decision.to_json() | {
            "endpoint": fallback.endpoint,
            "url": fallback.url or None,
            "name": endpoint.endpoint if endpoint else None,
            "folder": FOLDER if endpoint else None,
            "waking": fallback.while_waking,
            "costs": list(cost_sentences(endpoint)) if endpoint else [],
        }


def _artifact(batch: Archive | None) -> dict[str, Any] | None:
    if batch is None:
        return None
    return {"zip_bytes": batch.zip_bytes, "sha256": batch.sha256, "code_sha256": batch.code_sha256}
