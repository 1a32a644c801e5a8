"""The whole road on one model: train, pack, run under Lambda's own runtime client, look at the answer.

    python examples/digits/demo.py            # or: make demo

Everything lands in build/demo/. The bundle is compared with what `pip install onnxruntime numpy` leaves, which is
what `sam build` would ship.
"""

import base64
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from train import HELD_OUT, train

from coldpress.cache import cache_dir
from coldpress.cli import main as coldpress
from coldpress.console import progress, say
from coldpress.emulate.aws import LambdaFunction
from coldpress.emulate.events import make_event
from coldpress.emulate.http import HttpRequest
from coldpress.measure import init_steps

HERE = Path("build/demo")


def shades(pixels: list[float]) -> str:
    """Draw 64 grey levels, 0 to 16, as eight lines of text."""
    ramp = " .:-=+*#%@"
    rows = (pixels[i : i + 8] for i in range(0, 64, 8))
    return "\n".join("    " + "".join(ramp[int(p / 16 * 9)] * 2 for p in row) for row in rows)


def plain_bytes(python: str = "3.13") -> int:
    """Return the bytes of a plain install of onnxruntime and numpy for Lambda, measured once and then remembered."""
    kept = cache_dir() / f"plain-install-{python}.json"
    if not kept.is_file():
        with TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-compile"]
            command += ["--target", folder, "--only-binary=:all:", "--python-version", python, "--implementation", "cp"]
            for tag in ("manylinux_2_28", "manylinux_2_27", "manylinux2014"):
                command += ["--platform", f"{tag}_x86_64"]
            subprocess.run([*command, "onnxruntime==1.31.1", "numpy"], check=True, stdout=subprocess.DEVNULL)
            kept.write_text(json.dumps(sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file())))
    return int(json.loads(kept.read_text()))


def main() -> int:
    """Run the demo; 1 when the answer is wrong."""
    with progress("train a classifier on 1,437 handwritten digits"):
        accuracy = train(HERE)
    say(f"  right on {accuracy:.1%} of the 360 digits it never saw\n")

    say("$ coldpress pack build/demo/model.onnx --name digits --samples build/demo/evaluation.npz --target aws")
    packed = ["pack", str(HERE / "model.onnx"), "--name", "digits", "--samples", str(HERE / "evaluation.npz")]
    if coldpress([*packed, "--target", "aws", "--out", str(HERE / "aws")]):
        return 1

    request = (HERE / "request.json").read_bytes()
    truth = json.loads((HERE / "expected.json").read_text())["label"]
    event = make_event("http-api", HttpRequest("POST", "/predict", {"content-type": "application/json"}, request))
    say()
    with (
        progress("start it under Lambda's runtime client and send one held-out digit through API Gateway"),
        LambdaFunction(HERE / "aws") as function,
    ):
        answer = function.invoke(event)
        steps, init_ms = init_steps(function.logs()), function.init_ms
    reply = json.loads(answer.payload)
    body = reply["body"]
    if reply.get("isBase64Encoded"):
        body = base64.b64decode(body).decode()
    prediction = json.loads(body)["predictions"][0]["label"]

    report = json.loads((HERE / "aws" / "coldpress-report.json").read_text())
    with progress("size up a plain `pip install onnxruntime numpy`"):
        plain = plain_bytes()
    ours = report["artifact"]["unzipped_bytes"]

    print(f"\nheld-out digit {HELD_OUT}:\n\n{shades(json.loads(request)['instances'][0])}\n")
    print(f"  HTTP {reply['statusCode']}: prediction {prediction}, true label {truth}")
    print(f"  bundle      {ours / 1e6:6.1f} MB unzipped, {ours / plain:.2f} of a plain install ({plain / 1e6:.1f} MB)")
    print(f"  cold start  {init_ms + answer.ms:6.1f} ms from the start of the process to the first answer:")
    ours_ms = steps["import_ms"] + steps.pop("total_ms")
    for step, ms in {"interpreter and client": init_ms - ours_ms, **steps, "first answer": answer.ms}.items():
        print(f"              {ms:6.1f} ms  {step.removesuffix('_ms')}")
    return 0 if prediction == truth else 1


if __name__ == "__main__":
    sys.exit(main())
