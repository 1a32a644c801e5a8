"""Starts a Ray cluster: ``server.py FOLDER``; prints its address, and ends it when its input ends."""

import logging
import sys

import ray

ray.init(
    num_cpus=2,
    object_store_memory=100 << 20,
    include_dashboard=False,
    logging_level=logging.ERROR,
    log_to_driver=False,
    _temp_dir=sys.argv[1],
)
print(ray.get_runtime_context().gcs_address, flush=True)  # noqa: T201 - whoever started it reads it
sys.stdin.read()
ray.shutdown()
