"""Files to score: tables of digits as CSV and JSON Lines, pictures, and what the bare engine takes of them."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

__all__ = ["COLUMNS", "csv_table", "json_lines", "pictures", "rows_of_digits", "sample_pictures"]

COLUMNS = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
_BLOCK = 10_000


def rows_of_digits(count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Yield blocks (n, 64) of float64: scikit-learn's digits from 0 to 1 with a little noise, to four decimals."""
    digits = load_digits().data / 16
    random = np.random.default_rng(seed)
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        picked = digits[random.integers(0, len(digits), size)]
        yield np.round(np.abs(picked + random.normal(0, 0.01, picked.shape)), 4)


def csv_table(path: Path, count: int) -> None:
    """Write ``count`` rows of 64 named columns."""
    with path.open("w", encoding="ascii") as file:
        file.write(",".join(COLUMNS) + "\n")
        for block in rows_of_digits(count):
            file.writelines(",".join(map(repr, row)) + "\n" for row in block.tolist())


def json_lines(path: Path, count: int, *, named: bool) -> None:
    """Write ``count`` rows as JSON Lines: an object of 64 named numbers each, or an array."""
    with path.open("w", encoding="ascii") as file:
        for block in rows_of_digits(count):
            for row in block.tolist():
                file.write(json.dumps(dict(zip(COLUMNS, row, strict=True)) if named else row) + "\n")


def sample_pictures(count: int, size: tuple[int, int] = (640, 480)) -> Iterator[bytes]:
    """Yield different JPEG pictures of about 75 KB: smooth shapes under a little grain."""
    random = np.random.default_rng(0)
    for _ in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8))
        shapes = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC))
        grain = random.normal(0, 6, (size[1], size[0], 1))
        held = io.BytesIO()
        Image.fromarray(np.clip(shapes + grain, 0, 255).astype(np.uint8)).save(held, "JPEG", quality=85)
        yield held.getvalue()


def pictures(path: Path, count: int) -> None:
    """Write a zip of ``count`` pictures."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number, picture in enumerate(sample_pictures(count)):
            archive.writestr(f"picture-{number:04d}.jpg", picture)
