"""The environment, read and refused."""

import pytest

from coldpress_endpoint.settings import Settings
from coldpress_runtime.errors import ColdpressError


def test_nothing_set_is_the_default():
    assert Settings.of({}) == Settings()


def test_everything_set():
    found = Settings.of(
        {
            "COLDPRESS_MODELS": "/m",
            "COLDPRESS_PROVIDERS": "CPU, cuda",
            "COLDPRESS_MAX_BATCH": "8",
            "COLDPRESS_BATCH_DELAY_MS": "1.5",
            "COLDPRESS_MAX_BODY": "100",
            "COLDPRESS_PORT": "1",
            "PORT": "2",
            "AIP_HTTP_PORT": "3",
        }
    )
    assert found == Settings(
        models="/m", providers=("cpu", "cuda"), max_batch=8, batch_delay_s=0.0015, max_body=100, bodies=1600, port=3
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("COLDPRESS_MAX_BATCH", "0"),
        ("COLDPRESS_QUEUE", "many"),
        ("COLDPRESS_BATCH_DELAY_MS", "-1"),
        ("COLDPRESS_BATCH_DELAY_MS", "nan"),
        ("COLDPRESS_DRAIN_S", "inf"),
        ("COLDPRESS_PROVIDERS", "gpu"),
        ("PORT", "http"),
        ("PORT", "99999"),
        ("COLDPRESS_GRPC_PORT", "65536"),
        ("COLDPRESS_POLL_S", "1e300"),
        ("COLDPRESS_BATCH_DELAY_MS", "1e300"),
        ("COLDPRESS_MAX_BATCH", "1000000000"),
        ("COLDPRESS_THREADS", "1000000"),
        ("COLDPRESS_MAX_BODY", str(1 << 31)),
        ("COLDPRESS_BODIES", "10"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(name, text):
    with pytest.raises(ColdpressError, match=name):
        Settings.of({name: text})
