"""Train a small classifier on scikit-learn's handwritten digits and export it to ONNX.

    python examples/digits/train.py            # then: coldpress pack examples/digits

writes beside this file, or where --out says, in about two seconds and the same on every run:

    model.onnx         input ``pixels`` float32 [N, 64] (8x8 grey levels, 0 to 16); outputs ``label`` int64 [N] and
                       ``probabilities`` float32 [N, 10]
    small.onnx         a deliberately small one with the same inputs and outputs, which is unsure more often: for a
                       function that asks an endpoint with model.onnx when in doubt, see cascade.toml
    evaluation.npz     the 360 digits that training never saw, as ``pixels`` and ``label``
    request.json       one of them, as the body of ``POST /predict``
    expected.json      its true label
"""

import argparse
import json
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

HELD_OUT = 7  # which of the held-out digits the example request carries


def train(out: Path) -> float:
    """Write the model and its data into ``out``; return the accuracy on the held-out digits, 0 to 1."""
    pixels, labels = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(
        pixels.astype(np.float32), labels, test_size=0.2, random_state=0, stratify=labels
    )
    classifier = make_pipeline(StandardScaler(), MLPClassifier((128, 64), max_iter=200, random_state=0))
    small = make_pipeline(StandardScaler(), PCA(8, random_state=0), LogisticRegression(max_iter=500))
    with threadpool_limits(1):  # matrices this small only get slower by sharing
        classifier.fit(x_train, y_train)
        small.fit(x_train, y_train)

    out.mkdir(parents=True, exist_ok=True)
    export(classifier, out / "model.onnx")
    export(small, out / "small.onnx")
    np.savez(out / "evaluation.npz", pixels=x_test, label=y_test)
    digit = x_test[HELD_OUT]
    (out / "request.json").write_text(json.dumps({"instances": [digit.tolist()]}) + "\n")
    (out / "expected.json").write_text(json.dumps({"label": int(y_test[HELD_OUT])}) + "\n")
    return float(classifier.score(x_test, y_test))


def export(classifier: Pipeline, path: Path) -> None:
    """Write a classifier of 64 pixels as ONNX."""
    model = to_onnx(
        classifier,
        initial_types=[("pixels", FloatTensorType([None, 64]))],
        options={"zipmap": False},
        target_opset=17,
    )
    model.graph.name = "digits"  # skl2onnx names it at random; the same training must give the same bytes
    path.write_bytes(model.SerializeToString(deterministic=True))


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write into (this one)")
    arguments = parser.parse_args()
    accuracy = train(arguments.out)
    print(f"held-out accuracy {accuracy:.1%}, {(arguments.out / 'model.onnx').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
