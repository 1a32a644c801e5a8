"""The kill test in full: ``python -m tests.support.batch_kill [KILLS]``, in a folder and in a local S3."""

import json
import os
import sys
import tempfile
from pathlib import Path

from tests.support.batch_kill import survive
from tests.support.batch_kill.servers import bucket
from tests.support.tiny import write_bundle


def main(kills: str = "50") -> None:
    """Print what was survived in each store, one JSON object a line."""
    with tempfile.TemporaryDirectory() as scratch:
        bundle = write_bundle(Path(scratch, "bundle"), "fp32")
        local = survive(bundle, f"{scratch}/store/", int(kills))
        print(json.dumps({"store": "folder"} | local._asdict()))
        with bucket() as (url, variables):
            os.environ.update(variables)
            s3 = survive(bundle, url, int(kills))
        print(json.dumps({"store": "s3"} | s3._asdict()))


main(*sys.argv[1:])
