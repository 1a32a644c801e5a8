"""Sizes of instance: what is sold, the CPU that comes with it, and the nearest to what is not."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldpress.errors import FitError
from coldpress.fit.limits import provider
from coldpress.fit.tiers import Tier, smallest_tier, tier
from coldpress.render.alibaba import AlibabaValues
from coldpress.render.gcp import least_cpu
from coldpress.targets import TARGETS as PACKED

TARGETS = ("aws", "gcp", "azure", "alibaba")


@pytest.mark.parametrize(
    ("target", "memory_mb", "vcpus"),
    [
        ("aws", 1769, 1.0),
        ("aws", 128, 128 / 1769),
        ("aws", 10_240, 10_240 / 1769),
        ("gcp", 128, 1.0),
        ("gcp", 4096, 1.0),
        ("gcp", 4097, 2.0),
        ("gcp", 8192, 2.0),
        ("gcp", 8193, 4.0),
        ("gcp", 16_385, 6.0),
        ("gcp", 32_768, 8.0),
        ("azure", 512, 0.25),
        ("azure", 2048, 1.0),
        ("azure", 4096, 2.0),
        ("alibaba", 128, 0.1),
        ("alibaba", 512, 0.5),
        ("alibaba", 1024, 1.0),
        ("alibaba", 4096, 1.0),
        ("alibaba", 8192, 2.0),
    ],
)
def test_a_size_that_is_sold_has_its_cpu(target, memory_mb, vcpus):
    assert tier(target, memory_mb) == Tier(memory_mb, pytest.approx(vcpus))


@pytest.mark.parametrize(
    ("target", "memory_mb", "said"),
    [
        ("azure", 1024, r"sells no instance of 1,024 MB: the nearest are 512 and 2,048 MB"),
        ("azure", 128, r"the nearest is 512 MB"),
        ("azure", 8192, r"the nearest is 4,096 MB"),
        ("alibaba", 1000, r"the nearest are 960 and 1,024 MB"),
        ("aws", 64, r"the nearest is 128 MB"),
        ("aws", 20_000, r"AWS Lambda.* the nearest is 10,240 MB"),
        ("gcp", 40_000, r"the nearest is 32,768 MB"),
        ("gcp", 0, r"the nearest is 128 MB"),
        ("aws", -5, r"the nearest is 128 MB"),
    ],
)
def test_a_size_that_is_not_sold_is_refused_with_the_nearest_that_is(target, memory_mb, said):
    with pytest.raises(FitError, match=said):
        tier(target, memory_mb)


@pytest.mark.parametrize("target", PACKED)
def test_the_least_and_the_most_memory_of_the_limits_are_sold(target):
    memory = provider(target).limits["memory_mb"]
    assert smallest_tier(target, 0) == tier(target, memory.least)
    assert tier(target, memory.limit).vcpus > 0
    assert smallest_tier(target, memory.limit + 1) is None


@given(st.sampled_from(TARGETS), st.floats(0, 40_000))
def test_the_smallest_size_holds_what_is_needed_and_is_sold(target, least):
    found = smallest_tier(target, least)
    if found is None:
        assert least > provider(target).limits["memory_mb"].limit
        return
    assert found.memory_mb >= least
    assert tier(target, found.memory_mb) == found


@given(st.integers(128, 32_768))
def test_function_computes_ratio_of_cpu_to_memory_is_kept(least):
    found = smallest_tier("alibaba", least)
    assert found is not None
    assert found.memory_mb % 64 == 0
    assert math.isclose(found.vcpus * 20, round(found.vcpus * 20))
    assert found.memory_gb / 4 <= found.vcpus <= found.memory_gb


@pytest.mark.parametrize("target", TARGETS)
def test_more_memory_never_comes_with_less_cpu(target):
    sizes = [found for mb in range(128, 10_240, 64) if (found := smallest_tier(target, mb))]
    assert all(a.vcpus <= b.vcpus for a, b in pairwise(sizes))


@pytest.mark.parametrize("memory_mb", [128, 512, 1024, 2048, 4096, 6144, 8192, 16_384, 24_576, 32_768])
def test_what_is_priced_is_what_the_templates_ask_for(memory_mb):
    assert tier("gcp", memory_mb).vcpus == least_cpu(memory_mb)
    values = AlibabaValues(name="m", memory_mb=memory_mb)
    assert tier("alibaba", memory_mb).vcpus == pytest.approx(values.vcpus)
