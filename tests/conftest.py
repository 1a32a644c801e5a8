"""Fixtures that several rooms share, and how drawn cases are chosen."""

import os
import signal

from hypothesis import HealthCheck, settings

from tests.support.packing import digits, digits_bundle

__all__ = ["digits", "digits_bundle"]

# The same cases at every run, so that a change is judged by what it changed. HYPOTHESIS_PROFILE=default explores.
# No case has a time limit of its own: a busy machine would fail them.
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started behind `&` or nohup: the processes that tests start would not hear of Ctrl-C either.
    signal.signal(signal.SIGINT, signal.default_int_handler)
