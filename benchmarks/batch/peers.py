"""Scripts that score a file as data scientists write them, and the bare engine; run in an environment of their own.

``python peers.py NAME MODEL SOURCE OUT [THREADS]`` writes for each row the label and all probabilities, the engine on
one thread unless told otherwise, and prints ``{"rows", "seconds", "peak_mb"}``. Seconds start after the imports, with
the session.
"""

import json
import resource
import sys
import time
import zipfile
from types import SimpleNamespace

import numpy as np
import onnxruntime as ort

BATCH = 65_536


def _session(model, threads=1):
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _scored(session, x):
    """Return the labels and the probabilities of float32 rows, in runs of ``BATCH``."""
    labels, all_of_them = [], []
    name = session.get_inputs()[0].name
    for start in range(0, len(x), BATCH):
        label, probabilities = session.run(None, {name: x[start : start + BATCH]})
        labels.append(label)
        all_of_them.append(probabilities)
    return np.concatenate(labels), np.concatenate(all_of_them)


def _pandas_frame(label, probabilities):
    import pandas as pd

    frame = pd.DataFrame(probabilities, columns=[f"probability_{each}" for each in range(probabilities.shape[1])])
    frame.insert(0, "label", label)
    return frame


def _polars_frame(label, probabilities):
    import polars as pl

    columns = {f"probability_{each}": column for each, column in enumerate(probabilities.T)}
    return pl.DataFrame({"label": label, **columns})


def pandas(session, source, out):
    """Read the whole table, score it, write it."""
    import pandas as pd

    label, probabilities = _scored(session, pd.read_csv(source).to_numpy(np.float32))
    _pandas_frame(label, probabilities).to_csv(out, index=False)
    return len(label)


def pandas_chunks(session, source, out):
    """Read, score and write in chunks."""
    import pandas as pd

    rows = 0
    for chunk in pd.read_csv(source, chunksize=BATCH):
        label, probabilities = _scored(session, chunk.to_numpy(np.float32))
        frame = _pandas_frame(label, probabilities)
        frame.to_csv(out, index=False, mode="a" if rows else "w", header=not rows)
        rows += len(label)
    return rows


def _floats(source):
    """Say that every column is float32: what a user does who knows that polars would make them float64."""
    import polars as pl

    with open(source, encoding="utf-8") as file:
        return dict.fromkeys(file.readline().strip().split(","), pl.Float32)


def polars(session, source, out):
    """The whole table, with the types said."""
    import polars as pl

    label, probabilities = _scored(session, pl.read_csv(source, schema_overrides=_floats(source)).to_numpy())
    _polars_frame(label, probabilities).write_csv(out)
    return len(label)


def polars_streaming(session, source, out):
    """Batches of a stream, with the types said."""
    import polars as pl

    rows = 0
    with open(out, "wb") as file:
        frames = pl.scan_csv(source, schema_overrides=_floats(source)).collect_batches(chunk_size=BATCH)
        for frame in frames:
            label, probabilities = _scored(session, frame.to_numpy())
            scores = _polars_frame(label, probabilities)
            scores.write_csv(file, include_header=not rows)
            rows += len(label)
    return rows


def _lines(session, source, out, loads, dumps):
    """Score JSON Lines, arrays or objects of named numbers, in runs of 4,096 rows."""
    rows, held = 0, []
    name = session.get_inputs()[0].name

    def flush(file):
        nonlocal rows
        label, probabilities = session.run(None, {name: np.array(held, np.float32)})
        for each, (most, all_of_them) in enumerate(zip(label.tolist(), probabilities.tolist(), strict=True), rows):
            file.write(dumps({"row": each, "label": most, "probabilities": all_of_them}) + b"\n")
        rows += len(held)
        held.clear()

    with open(source, "rb") as lines, open(out, "wb") as file:
        for line in lines:
            row = loads(line)
            held.append(list(row.values()) if isinstance(row, dict) else row)
            if len(held) == 4096:
                flush(file)
        if held:
            flush(file)
    return rows


def json_lines(session, source, out):
    """Line by line with the standard library."""
    return _lines(session, source, out, json.loads, lambda row: json.dumps(row).encode())


def orjson_lines(session, source, out):
    """Line by line with orjson."""
    import orjson

    return _lines(session, source, out, orjson.loads, orjson.dumps)


def pandas_lines(session, source, out):
    """The whole file with pandas: for named numbers."""
    import pandas as pd

    label, probabilities = _scored(session, pd.read_json(source, lines=True).to_numpy(np.float32))
    _pandas_frame(label, probabilities).to_json(out, orient="records", lines=True)
    return len(label)


def engine(session, source, out):  # noqa: ARG001 - it writes nothing
    """Run the engine alone on tensors that are in memory: an ``.npy`` file, one row a run."""
    x = np.load(source)
    name = session.get_inputs()[0].name
    for row in x:
        session.run(None, {name: row[None]})
    return len(x)


def engine_pictures(session, source, out):  # noqa: ARG001 - it writes nothing
    """Open pictures with the hook and run the engine on them, one by one: a zip, which is in memory."""
    from hooks.opennsfw import preprocess

    with zipfile.ZipFile(source) as archive:
        pictures = [archive.read(member) for member in archive.infolist()]
    for picture in pictures:
        session.run(None, preprocess(SimpleNamespace(body=picture)))
    return len(pictures)


def main():
    """Run one of them."""
    name, model, source, out, *threads = sys.argv[1:]
    if name.startswith("pandas"):
        import pandas as pd  # noqa: F401 - imports are not timed
    if name.startswith("polars"):
        import polars as pl  # noqa: F401
    start = time.perf_counter()
    rows = globals()[name.replace("-", "_")](_session(model, *map(int, threads)), source, out)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"rows": rows, "seconds": seconds, "peak_mb": peak}))


if __name__ == "__main__":
    main()
