"""A deliberately small model for digits, with the inputs and outputs of `models.fetch("digits_mlp")`."""

from pathlib import Path

from tests.support import models

__all__ = ["small_digits"]


def small_digits(path: Path) -> Path:
    """Train a regression on the eight strongest directions of the pixels, write it as ONNX and return its path."""
    from skl2onnx import to_onnx
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    x, y, _, _ = models.digits()
    fitted = make_pipeline(PCA(8, random_state=0), LogisticRegression(max_iter=1000)).fit(x, y)
    model = to_onnx(fitted, x[:1], options={id(fitted): {"zipmap": False}}, target_opset=17)
    path.write_bytes(model.SerializeToString())
    return path
