"""Scores files of lines in small ranges: ``score.py BUILD SRC DST RANGE_SIZE [DIES_AFTER]``; prints how jobs ended.

With DIES_AFTER it kills itself when workers have done so many tasks.
"""

import json
import os
import signal
import sys
from pathlib import Path

from coldpress.score.plan import make_plan, output_format
from coldpress.score.ray import score_on_ray
from coldpress.score.sources import find_inputs
from coldpress_runtime.batch.layout import Model
from coldpress_runtime.batch.options import Options
from coldpress_runtime.manifest import Manifest

build, source, destination, range_size, *rest = sys.argv[1:]
left = int(rest[0]) if rest else -1


def watch(_progress: object) -> None:
    """Die when it is time."""
    global left  # noqa: PLW0603 - a script
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)


manifest = Manifest.load(str(Path(build, "coldpress.json")))
model = Model(manifest.name, manifest.version, manifest.model.sha256)
options = Options(output_format=output_format(destination))
plan = make_plan(find_inputs([source]), destination, model, options, lambda _name: lambda _head: None)
outcomes = score_on_ray(
    plan.jobs, plan.base, Path(build), workers=2, progress=watch, range_size=lambda _size: int(range_size)
)
print(json.dumps([[outcome.status, outcome.manifest] for outcome in outcomes]))  # noqa: T201 - the test reads it
