"""Does this bundle fit its provider, and if not, what does it need: every limit, what is used of it, and what to do."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from coldpress.errors import FitError
from coldpress.fit.limits import Limit, Provider, provider
from coldpress.fit.sizes import Sizes
from coldpress.fit.tiers import smallest_tier, tier
from coldpress.targets import TARGETS

__all__ = ["Fit", "Use", "check_fit", "check_settings"]

_MIB = 1 << 20
_NEAR = 0.9  # of a hard limit: worth a word
_MOST_IN_PLACE = (1 << 31) - 1  # offsets of ORT format, in which weights are used where they are read to
_IN_PLACE = 1.15  # bytes of memory a byte of such weights, at most
_ENGINE_BYTES = 80_000_000  # the interpreter, ONNX Runtime and a small request
_STORE_RATE = 75_000_000  # bytes a second from a store that a function may count on
_PLAIN_INIT_S = 10  # Lambda's, without SnapStart
_IMAGE_BASE_BYTES = 700_000_000  # the provider's own Python base image, unpacked; of 10 GB it decides nothing else


@dataclass(frozen=True)
class Use:
    """A limit, and how much of it this bundle uses; None where nothing was measured."""

    limit: Limit
    used: int | None

    @property
    def over(self) -> bool:
        """Tell whether the limit is exceeded."""
        return self.used is not None and self.used > self.limit.limit

    def to_json(self) -> dict[str, Any]:
        """Return the record that reports hold."""
        limit = self.limit
        return {
            "name": limit.name,
            "limit": limit.limit,
            "used": self.used,
            "soft": limit.soft,
            "what": limit.what,
            "source": limit.source,
            "date": limit.date,
        }


@dataclass(frozen=True)
class Fit:
    """``verdict`` is ``fits``, ``needs-store``, ``needs-image`` or ``needs-gpu``; ``advice`` is in order of urgency."""

    target: str
    verdict: str
    uses: tuple[Use, ...]
    sizes: Sizes
    advice: tuple[str, ...]
    as_of: str

    def to_json(self) -> dict[str, Any]:
        """Return the record that reports hold; bytes are unzipped unless a name says otherwise."""
        return {
            "verdict": self.verdict,
            "limits": [use.to_json() for use in self.uses],
            "largest": [{"path": e.path, "bytes": e.bytes, "kind": e.kind} for e in self.sizes.largest()],
            "bytes": self.sizes.to_json(),
            "advice": list(self.advice),
            "as_of": self.as_of,
        }


def check_fit(
    target: str,
    sizes: Sizes,
    *,
    python: str,
    architecture: str,
    memory_mb: int,
    timeout_s: int,
    snapstart: bool = False,
    region: str = "",
    peak_mb: float | None = None,
    init_ms: float | None = None,
    weights_bytes: int = 0,
) -> Fit:
    """Compare a bundle with what ``target`` allows.

    Args:
        target: a table of ``limits.toml``: aws, gcp, azure, alibaba.
        sizes: the bundle's files.
        python: CPython's minor version.
        architecture: x86_64 or arm64.
        memory_mb: the memory that the function asks for, in the provider's MB (2^20 bytes).
        timeout_s: how long a request may take, in seconds.
        snapstart: whether Lambda's SnapStart is on, which changes two limits.
        region: where it goes, as the provider writes it; empty: where most go.
        peak_mb: the largest resident size measured, in MB (2^20 bytes), when it was.
        init_ms: the time to load, in milliseconds, when it was measured.
        weights_bytes: of a model that is not in the bundle, and is read into memory while the function starts.

    Raises:
        FitError: there are no limits for the target, or a setting is outside of what the provider offers at all.
    """
    there = provider(target, snapstart=snapstart, region=region)
    check_settings(there, python=python, architecture=architecture, memory_mb=memory_mb, timeout_s=timeout_s)
    used: dict[str, int | None] = {
        "unzipped_bytes": sizes.unzipped_bytes,
        "zip_bytes": sizes.zip_bytes,
        "memory_mb": memory_mb,
        "timeout_s": timeout_s,
        "init_s": None if init_ms is None else -(-int(init_ms) // 1000),
    }
    uses = tuple(Use(limit, used.get(name)) for name, limit in there.limits.items())
    loaded = weights_bytes + _ENGINE_BYTES if weights_bytes else sizes.model_bytes + sizes.of("engine").bytes
    needed_mb = peak_mb if peak_mb is not None else loaded / _MIB
    verdict = _verdict(there, sizes, needed_mb)
    advice = [
        *_way_out(there, verdict, sizes, needed_mb),
        *_start(there, weights_bytes, timeout_s),
        *_warnings(there, verdict, uses, memory_mb, needed_mb, init_ms),
    ]
    return Fit(target, verdict, uses, sizes, tuple(advice), there.as_of.isoformat())


def check_settings(there: Provider, *, python: str, architecture: str, memory_mb: int, timeout_s: int) -> None:
    """Refuse what the provider does not offer at all.

    Raises:
        FitError: a Python, an architecture, a memory size or a time limit that it does not have.
    """
    for what, value, known in (("python", python, there.python), ("architecture", architecture, there.architectures)):
        if value not in known:
            raise FitError(f'{what} is "{value}": {there.title} offers {", ".join(known)}; choose one of these.')
    tier(there.name, memory_mb)
    limit = there.limits.get("timeout_s")
    if limit is not None and not limit.least <= timeout_s <= limit.limit:
        offer = f"{limit.least} to {limit.limit}"
        raise FitError(f"timeout_s is {timeout_s}: {there.title} offers {offer} ({limit.source}); change it.")


def _verdict(there: Provider, sizes: Sizes, needed_mb: float) -> str:
    if needed_mb > there.limits["memory_mb"].limit:
        return "needs-gpu"
    over = _over(there, sizes)
    if over is None:
        return "fits"
    if there.weights_from and over.bytes - over.model_bytes <= over.limit and sizes.model_bytes <= _MOST_IN_PLACE:
        return "needs-store"
    image = provider(there.image).limits.get("image_bytes") if there.image else None
    if image and sizes.unzipped_bytes + _IMAGE_BASE_BYTES > image.limit:
        return "needs-gpu"
    return "needs-image"


class _Over(NamedTuple):
    """A limit that a bundle breaks: how it is measured, the limit, the bundle's bytes, and the model's among them."""

    how: str
    limit: int
    bytes: int
    model_bytes: int


def _over(there: Provider, sizes: Sizes) -> _Over | None:
    unzipped, zipped = there.limits.get("unzipped_bytes"), there.limits.get("zip_bytes")
    if unzipped and sizes.unzipped_bytes > unzipped.limit:
        return _Over("unzipped", unzipped.limit, sizes.unzipped_bytes, sizes.model_bytes)
    if zipped and not zipped.soft and sizes.zip_bytes is not None and sizes.zip_bytes > zipped.limit:
        return _Over("zipped", zipped.limit, sizes.zip_bytes, sizes.of("model").zip_bytes)
    return None


def _way_out(there: Provider, verdict: str, sizes: Sizes, needed_mb: float) -> list[str]:
    """Say what is over, by how much, who takes it, and what each way out asks for."""
    if verdict == "fits":
        return []
    largest = sizes.largest(1)[0]
    if verdict == "needs-gpu" and needed_mb > there.limits["memory_mb"].limit:
        most = there.limits["memory_mb"].limit
        need = f"The model needs {needed_mb:,.0f} MB of memory and {there.title} ends at {most:,} MB"
        return [f"{need}: serve it from a GPU endpoint, or pack a smaller model."]
    over = _over(there, sizes)
    assert over is not None  # noqa: S101  (for the type checker: memory alone leads here without)
    room = over.limit - (over.bytes - over.model_bytes)
    first = (
        f"The bundle is {_mb(over.bytes)} {over.how} and {there.title} takes {_mb(over.limit)}: "
        f"{_mb(over.bytes - over.limit)} too much, and the largest part is {largest.path} with {_mb(largest.bytes)}."
    )
    smaller = f"Pack a model of at most {_mb(room)} {over.how}" if room > 0 else "Drop packages that the hooks import"
    if verdict == "needs-store":
        place = f'targets.{there.name}.weights = "{there.weights_place}"'
        memory = _mb(int(sizes.model_bytes * _IN_PLACE) + _ENGINE_BYTES)
        way = (
            f"set {place}: the model then lies in {there.weights_from}, and is read into memory while the function "
            f"starts, of which it needs {memory}"
        )
    elif verdict == "needs-image":
        way = "deploy a container image"
    else:
        way = "serve this one from a GPU endpoint: it is too large for an image too"
    return [first, f"{smaller}, or {way}."]


def _start(there: Provider, weights_bytes: int, timeout_s: int) -> list[str]:
    """Say what reading the weights costs a start, and what bounds it."""
    if not weights_bytes:
        return []
    seconds = weights_bytes / _STORE_RATE
    said = f"A start reads {_mb(weights_bytes)} of weights, about {seconds:.1f} s at {_mb(_STORE_RATE)} a second"
    if seconds > _NEAR * timeout_s:
        return [f"{said}, and function.timeout_s is {timeout_s}, which bounds it: raise it."]
    limit = there.limits.get("init_s")
    if limit and seconds > _NEAR * limit.limit:
        way = "pack a smaller model" if limit.limit > _PLAIN_INIT_S else "turn SnapStart on, or pack a smaller model"
        return [f"{said}, and {there.title} gives it {limit.limit} s ({limit.what}): {way}."]
    return [f"{said}."]


def _warnings(
    there: Provider, verdict: str, uses: tuple[Use, ...], memory_mb: int, needed_mb: float, init_ms: float | None
) -> list[str]:
    """Say what is close to a limit, or over one that has a way around it."""
    said = []
    by_name = {use.limit.name: use for use in uses}
    if (use := by_name.get("zip_bytes")) and use.over and use.limit.soft and verdict == "fits":
        said.append(
            f"The zip is {_mb(use.used or 0)}, over the {_mb(use.limit.limit)} that can be uploaded directly: it goes "
            "through S3, as `sam deploy` does anyway."
        )
    if (use := by_name.get("unzipped_bytes")) and verdict == "fits" and (use.used or 0) > _NEAR * use.limit.limit:
        left = use.limit.limit - (use.used or 0)
        said.append(f"Only {_mb(left)} of {_mb(use.limit.limit)} are left ({use.limit.what}), and models grow.")
    if verdict in {"fits", "needs-store"} and needed_mb > _NEAR * memory_mb:
        sold = smallest_tier(there.name, -(-int(needed_mb * 1.3) // 64) * 64)
        ask = sold.memory_mb if sold else there.limits["memory_mb"].limit
        table = f"targets.{there.name}" if TARGETS[there.name].has_own("memory_mb") else "function"
        way = f"set {table}.memory_mb = {ask} or more." if ask > memory_mb else "no more is sold, pack a smaller model."
        said.append(f"The function needs about {needed_mb:,.0f} MB of its {memory_mb} MB: {way}")
    if (limit := there.limits.get("init_s")) and init_ms is not None and init_ms > 1000 * limit.limit * _NEAR:
        said.append(
            f"Loading takes {init_ms / 1000:.1f} s here and {there.title} gives it {limit.limit} s ({limit.what}): "
            + (
                "pack a smaller model."
                if limit.limit > _PLAIN_INIT_S
                else "pack a smaller model, or turn SnapStart on."
            )
        )
    return said


def _mb(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
