"""One process that does a job and does not get through: ``python -m tests.support.batch_kill.worker``.

Its arguments: the bundle, the URL of the store, at which write to the store something happens to it, and what: the
number of a signal, which it sends itself in the middle of that write, before or after the store has done it. Write -1
is never. It says when it scores, for whoever wants to kill it at another moment.
"""

import os
import random
import sys

from coldpress_runtime.batch.job import run_job
from coldpress_runtime.errors import ConflictError
from coldpress_runtime.service import Service
from tests.support.batch import Saboteur
from tests.support.batch_kill.jobs import job_of, open_input

__all__ = ["CONFLICT"]

CONFLICT = 3
_SAVE_S = 0.05


def main(bundle: str, url: str, call: str, fate: str) -> int:
    """Do the job, or die."""
    store = open_input(url)
    after = random.random() < 0.5
    mortal = Saboteur(store, int(call), after=after, act=lambda: os.kill(os.getpid(), int(fate)))
    job = job_of(store, Service.open(bundle))
    try:
        run_job(job._replace(layout=job.layout._replace(store=mortal)), lease_s=0.0, save_s=_SAVE_S)
    except ConflictError as conflict:
        sys.stderr.write(f"{conflict}\n")
        return CONFLICT
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
