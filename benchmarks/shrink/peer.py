"""Make a model smaller with another tool, in that tool's own environment: `python peer.py TOOL MODEL OUT WORK`.

WORK holds `calibration.npz`, arrays named `REQUEST|INPUT`, and `metric.json`, which tools that tune are given.
Nothing but the tool and its needs is imported. Ends with 0 when OUT is written; the last line of stderr says why not.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def requests(work: Path) -> list[dict[str, Any]]:
    """Return the calibration requests: one dict of arrays each."""
    import numpy as np

    found: dict[int, dict[str, Any]] = {}
    with np.load(work / "calibration.npz", allow_pickle=False) as archive:
        for key in archive.files:
            place, _, name = key.partition("|")
            found.setdefault(int(place), {})[name] = archive[key]
    return [found[place] for place in sorted(found)]


class Reader:
    """The calibration requests as onnxruntime and neural-compressor read them."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        self.items = items
        self.rewind()

    def get_next(self) -> "dict[str, Any] | None":
        """Return the next request, or None after the last."""
        return next(self.rest, None)

    def rewind(self) -> None:
        """Begin again."""
        self.rest = iter(self.items)


def dynamic(model: Path, out: Path, work: Path) -> None:
    """onnxruntime.quantization.quantize_dynamic, everything at its default."""
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(str(model), str(out))


def static(model: Path, out: Path, work: Path) -> None:
    """onnxruntime.quantization.quantize_static, everything at its default: QDQ, per tensor."""
    from onnxruntime.quantization import quantize_static

    quantize_static(str(model), str(out), Reader(requests(work)))


def onnxslim(model: Path, out: Path, work: Path) -> None:
    """onnxslim.slim at its defaults."""
    import onnxslim

    onnxslim.slim(str(model), str(out))


def onnxsim(model: Path, out: Path, work: Path) -> None:
    """onnxsim.simplify at its defaults."""
    import onnx
    import onnxsim

    simplified, checked = onnxsim.simplify(onnx.load(str(model)))
    if not checked:
        raise RuntimeError("simplified model failed onnxsim's own check")
    onnx.save(simplified, str(out))


def olive(model: Path, out: Path, work: Path) -> None:
    """`olive auto-opt` to int8 on the CPU."""
    command = [str(Path(sys.executable).with_name("olive")), "auto-opt", "-m", str(model), "-o", str(work / "olive")]
    command += ["--device", "cpu", "--provider", "CPUExecutionProvider", "--precision", "int8"]
    own = os.environ | {"HOME": str(work)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=work, env=own, check=False)
    made = sorted((work / "olive").rglob("*.onnx")) if (work / "olive").is_dir() else []
    if not made:
        raise RuntimeError(reason(done.stdout + done.stderr, done.returncode))
    shutil.copyfile(made[0], out)
    for beside in made[0].parent.glob("*.data"):
        shutil.copyfile(beside, out.with_name(beside.name))


def neural_compressor(model: Path, out: Path, work: Path) -> None:
    """onnx-neural-compressor's autotune: static, then dynamic quantisation, until the metric is kept within its 1 %."""
    import onnx
    import onnxruntime
    from onnx_neural_compressor.quantization import config, tuning

    from benchmarks.shrink import metrics

    given = json.loads((work / "metric.json").read_text())
    items = requests(work)
    measure = getattr(metrics, given["metric"])

    def evaluate(path: Any) -> float:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [port.name for port in session.get_outputs()]
        answers = [dict(zip(names, session.run(None, item), strict=True)) for item in items]
        return float(measure(answers, given["labels"]).mean())

    reader = Reader(items)
    options = tuning.TuningConfig(config_set=[config.StaticQuantConfig(reader), config.DynamicQuantConfig()])
    best = tuning.autotune(str(model), options, evaluate, calibration_data_reader=reader)
    onnx.save(best, str(out))


def reason(text: str, code: int) -> str:
    """Return the line of a tool's output that says what went wrong: the last exception, else the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    raised = [line for line in lines if line.split(":")[0].split(".")[-1].endswith(("Error", "Exception", "Fail"))]
    return (raised or lines or [f"ended with exit code {code}"])[-1]


TOOLS = {
    "dynamic": dynamic,
    "static": static,
    "onnxslim": onnxslim,
    "onnxsim": onnxsim,
    "olive": olive,
    "neural-compressor": neural_compressor,
}

if __name__ == "__main__":
    tool, model, out, work = sys.argv[1:]
    with tempfile.TemporaryDirectory() as scratch:
        beside = Path(scratch, "model.onnx")  # some tools write beside what they read
        shutil.copyfile(model, beside)
        try:
            TOOLS[tool](beside, Path(out), Path(work))
        except Exception as error:  # noqa: BLE001  (whatever another tool raises)
            first = (str(error).strip().splitlines() or [""])[0]
            sys.exit(f"{type(error).__name__}: {first}")
