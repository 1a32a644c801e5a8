"""A cascade on 5,000 handwritten digits: a tiny model, a larger one behind it, and a threshold that was fitted.

The digits are cut into five parts. Each in turn is what the cascade is judged on; of the other four, three fifths train
both models and two fifths fit the threshold. So every digit is judged once, by models and a threshold that never saw
it.
"""

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from coldpress.bundle.wheels import engine_library
from coldpress.cache import cache_dir
from coldpress.console import say
from coldpress.fallback.both import ask_both
from coldpress.fallback.cascade import fit_threshold
from coldpress.gate.metrics import resolve_metric
from coldpress.samples.sample_set import SampleSet
from tests.support import models

__all__ = ["measure_cascade"]

_PARTS = 5
_SIDE = 28
_MAX_DROP = 0.004
"""What the threshold may cost with 95 % confidence on the samples that it is fitted on."""
_MAX_ESCALATED = 0.2
_MOVES = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]


def measure_cascade(scratch: Path, parts: int) -> dict[str, Any]:
    """Judge the cascade on the first ``parts`` of the five parts of the digits."""
    digits = [np.concatenate(each) for each in zip(*_halves(), strict=True)]
    order = np.random.default_rng(0).permutation(len(digits[1]))
    pixels, labels = digits[0][order], digits[1][order].astype(np.int64)
    judged = []
    for number in range(parts):
        begun = time.perf_counter()
        judged.append(_judge(scratch, pixels, labels, number))
        say(f"    part {number + 1}/{parts}, {time.perf_counter() - begun:.0f} s")
    count = sum(each["samples"] for each in judged)
    whole = {
        name: sum(each[name] * each["samples"] for each in judged) / count
        for name in ("small", "large", "cascade", "escalated")
    }
    sizes = {name: judged[0][name] for name in ("small_bytes", "large_bytes")}
    return {"samples": count, "max_drop": _MAX_DROP, **whole, **sizes, "parts": judged}


def _halves() -> tuple[Any, Any]:
    x_train, y_train, x_test, y_test = models.mnist5k()
    return (x_train, y_train), (x_test, y_test)


def _judge(scratch: Path, pixels: np.ndarray, labels: np.ndarray, number: int) -> dict[str, Any]:
    held = np.arange(len(labels)) % _PARTS == number
    others = np.flatnonzero(~held)
    train, fit = others[: len(others) * 3 // 5], others[len(others) * 3 // 5 :]
    paths = {name: scratch / f"{name}-{number}.onnx" for name in ("small", "large")}
    _train_small(pixels[train], labels[train], paths["small"])
    _train_large(pixels[train], labels[train], paths["large"])
    library = engine_library("3.13", "x86_64", cache_dir("wheels")).path

    def answers(places: np.ndarray) -> tuple[list[Any], list[Any]]:
        requests = tuple({"X": pixels[place : place + 1]} for place in places)
        both = ask_both(paths["small"], paths["large"], SampleSet(requests), library=library)
        return both.small, both.large

    small, large = answers(fit)
    metric = resolve_metric("accuracy", labelled=True)
    cascade = fit_threshold(small, large, labels[fit], metric, max_drop=_MAX_DROP, max_escalated=_MAX_ESCALATED)
    # Where nothing passes, as much goes out as may: what a user would do who wants the cascade all the same.
    within = [point.threshold for point in cascade.points if point.escalated <= _MAX_ESCALATED]
    threshold = cascade.chosen.threshold if cascade.chosen else within[-1]
    small, large = answers(np.flatnonzero(held))
    truth = labels[held]
    ours, theirs = (np.concatenate([each["label"] for each in side]) for side in (small, large))
    doubtful = np.concatenate([each["probabilities"].max(axis=1) for each in small]) < threshold
    return {
        "samples": len(truth),
        "verdict": cascade.verdict,
        "threshold": threshold,
        "small": float((ours == truth).mean()),
        "large": float((theirs == truth).mean()),
        "cascade": float((np.where(doubtful, theirs, ours) == truth).mean()),
        "escalated": float(doubtful.mean()),
        "small_bytes": paths["small"].stat().st_size,
        "large_bytes": paths["large"].stat().st_size,
    }


def _train_small(pixels: np.ndarray, labels: np.ndarray, path: Path) -> None:
    """Train 15,000 weights on the 49 means of 4 by 4 pixels, and put these means in front of them."""
    import onnx
    from onnx import helper, numpy_helper

    means = _moved(pixels).reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(-1, 49)
    proto = _trained((128, 64), 25, means, np.tile(labels, len(_MOVES)))
    graph = proto.graph
    for node in graph.node:
        node.input[:] = ["means" if name == "X" else name for name in node.input]
    graph.initializer.append(numpy_helper.from_array(np.array([-1, 1, _SIDE, _SIDE]), "square"))
    front = (
        helper.make_node("Reshape", ["X", "square"], ["picture"]),
        helper.make_node("AveragePool", ["picture"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["pooled"], ["means"]),
    )
    for place, node in enumerate(front):
        graph.node.insert(place, node)
    graph.input[0].type.tensor_type.shape.dim[1].dim_value = _SIDE * _SIDE
    onnx.checker.check_model(proto)
    path.write_bytes(proto.SerializeToString())


def _train_large(pixels: np.ndarray, labels: np.ndarray, path: Path) -> None:
    proto = _trained((256,), 10, _moved(pixels), np.tile(labels, len(_MOVES)))
    path.write_bytes(proto.SerializeToString())


def _trained(layers: tuple[int, ...], rounds: int, x: np.ndarray, y: np.ndarray) -> Any:
    from skl2onnx import to_onnx
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    made = MLPClassifier(layers, max_iter=rounds, alpha=1e-3, random_state=0)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # so many rounds are enough, if not for scikit-learn
        fitted = made.fit(x, y)
    return to_onnx(fitted, x[:1], options={id(fitted): {"zipmap": False}}, target_opset=17)


def _moved(pixels: np.ndarray) -> np.ndarray:
    """Return the digits as they are, and moved by a pixel in every direction."""
    square = pixels.reshape(-1, _SIDE, _SIDE)
    moved = [np.roll(square, move, axis=(1, 2)) for move in _MOVES]
    return np.concatenate(moved).reshape(-1, _SIDE * _SIDE).astype(np.float32)
