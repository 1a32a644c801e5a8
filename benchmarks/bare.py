"""What the engine's own `run` takes: `python bare.py BUNDLE FEEDS.npz` prints the median of 20 warm runs in ms.

Uses nothing but the bundle and the standard library, in a process like the function's own. Before each run it sleeps
for as long as a function waits between two events of this benchmark: a processor that has slept finds its caches
colder, and the engine's run in the function is slower by as much.
"""

import statistics
import struct
import sys
import time
import zipfile

bundle, feeds = sys.argv[1:]
sys.path.insert(0, bundle)

from coldpress_runtime.service import Service  # noqa: E402
from coldpress_runtime.tensor import Tensor  # noqa: E402

NAMES = {"<f4": "FP32", "<f8": "FP64", "<i4": "INT32", "<i8": "INT64"}


def read(content: bytes) -> Tensor:
    """One .npy file -> Tensor (numpy's format 1.0: magic, version, length of the header, header, data)."""
    (length,) = struct.unpack_from("<H", content, 8)
    header = eval(content[10 : 10 + length])  # a literal that this benchmark wrote itself
    return Tensor(NAMES[header["descr"]], header["shape"], content[10 + length :])


with zipfile.ZipFile(feeds) as archive:
    inputs = {name.removesuffix(".npy"): read(archive.read(name)) for name in archive.namelist()}
session = Service.open(bundle).session
session.run(inputs)
times = []
for _ in range(20):
    time.sleep(0.0003)
    started = time.perf_counter()
    session.run(inputs)
    times.append((time.perf_counter() - started) * 1e3)
sys.stdout.write(f"{statistics.median(times):.6f}\n")
