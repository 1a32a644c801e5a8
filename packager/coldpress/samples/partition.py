"""Samples to learn from and samples to judge on, and what makes a set of samples worth measuring with.

What a smaller model was fitted to says nothing of how right it is, so calibration and evaluation share no sample; and
pieces of one recording are alike, so a sequence is never cut in two.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from coldpress.errors import SamplesError
from coldpress.samples.sample_set import SampleSet

__all__ = ["check_disjoint", "check_varied", "request_digest", "split_samples"]


def request_digest(request: Mapping[str, Any]) -> bytes:
    """Return 32 bytes that are the same for requests with the same values, element types and shapes."""
    import numpy as np

    found = hashlib.sha256()
    for name in sorted(request):
        value = request[name]
        plain = isinstance(value, np.ndarray) and value.dtype != object
        found.update(f"{name}\0{getattr(value, 'dtype', '')}\0{getattr(value, 'shape', '')}\0".encode())
        found.update(np.ascontiguousarray(value).tobytes() if plain else repr(_plain(value)).encode())
    return found.digest()


def _plain(value: Any) -> Any:
    """Turn arrays into lists, whose text shows every element."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value


def split_samples(
    samples: SampleSet, calibration_share: float = 0.25, most: int | None = 256
) -> tuple[SampleSet, SampleSet]:
    """Divide samples into those to calibrate on and those to evaluate on.

    Whole sequences go to one side, and so do samples that are the same. Each label gives its share as nearly as
    counts allow. Which sample goes where depends on its content alone, not on the order.

    Args:
        samples: All there are.
        calibration_share: Share of the samples to calibrate on, above 0 and below 1.
        most: The most requests to calibrate on; the rest is for evaluation. A sequence longer than that is taken
            whole where it is the first.

    Returns:
        Calibration and evaluation, both in the order of ``samples``, neither of them empty.

    Raises:
        SamplesError: There is only one sample, or only one sequence.
    """
    units = _units(samples)
    if len(units) < 2:
        what = f"{len(samples.requests)} pieces of one sequence" if samples.sequence else "one sample, however often"
        raise SamplesError(
            f"{samples.origin} holds {what}, which cannot be both learnt from and judged on; give some more"
        )
    strata: dict[str, list[bytes]] = defaultdict(list)
    for digest in sorted(units):
        first = units[digest][0]
        strata["" if samples.labels is None else repr(_plain(samples.labels[first]))].append(digest)
    # The j-th of n stands at (j + 1/2) / n: the first part of this order has every label in its proportion.
    order = sorted(((j + 0.5) / len(s), digest) for s in strata.values() for j, digest in enumerate(s))
    wanted = min(max(1, round(calibration_share * len(samples.requests))), most or len(samples.requests))
    chosen: list[int] = []
    for _, digest in order[:-1]:
        if chosen and len(chosen) + len(units[digest]) > wanted:
            break
        chosen += units[digest]
    calibration = set(chosen)
    return (
        samples.take(sorted(calibration)),
        samples.take([place for place in range(len(samples.requests)) if place not in calibration]),
    )


def _units(samples: SampleSet) -> dict[bytes, list[int]]:
    """Return what must stay together, as places by content: a sequence, or samples that are the same."""
    pieces: dict[int, list[int]] = defaultdict(list)
    for place in range(len(samples.requests)):
        pieces[samples.sequence[place] if samples.sequence else place].append(place)
    units: dict[bytes, list[int]] = defaultdict(list)
    for places in pieces.values():
        whole = hashlib.sha256(b"".join(request_digest(samples.requests[place]) for place in places))
        units[whole.digest()] += places
    return units


def check_disjoint(calibration: SampleSet, evaluation: SampleSet) -> None:
    """Refuse to judge on samples that were learnt from.

    Raises:
        SamplesError: A sample, or a whole sequence, stands in both.
    """
    learnt, judged = _units(calibration), _units(evaluation)
    shared = learnt.keys() & judged.keys()
    if not shared:
        return
    what = "sequences" if evaluation.sequence else "samples"
    if shared == judged.keys():
        raise SamplesError(
            f"calibration is equal to evaluation: all {len(judged)} {what} of {evaluation.origin} are among those of "
            f"{calibration.origin}; give other samples for one of the two, or only evaluation, which is then divided"
        )
    raise SamplesError(
        f"{len(shared)} of the {len(judged)} {what} of {evaluation.origin} are also among those to calibrate on "
        f"({calibration.origin}); take them out of one of the two"
    )


def check_varied(samples: SampleSet) -> None:
    """Refuse several samples that are all the same: they measure no more than one.

    Raises:
        SamplesError: They are.
    """
    count = len(samples.requests)
    if count > 1 and len({request_digest(request) for request in samples.requests}) == 1:
        raise SamplesError(
            f"all {count} samples of {samples.origin} are the same, so they say no more than one; give different ones"
        )
