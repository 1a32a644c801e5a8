"""Flags that lay a value over one setting of ``coldpress.toml``, by the table they belong to."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from coldpress.config import METRICS, PASSES, Config, Source, load_config
from coldpress.errors import ConfigError

__all__ = ["FUNCTION", "SAMPLES", "SHRINK", "Flag", "add_flags", "named_model", "read_config"]

Flag = tuple[str, str, dict[str, Any]]
"""The flag, the setting it lays over, and how argparse reads and explains it."""


SAMPLES: tuple[Flag, ...] = (
    ("--samples", "samples.evaluation", {"type": Source, "metavar": "WHERE",
     "help": "real inputs to judge answers on: .npz, .jsonl, a folder of images or WAV files, or module:function"}),
    ("--calibration", "samples.calibration", {"type": Source, "metavar": "WHERE",
     "help": "other real inputs, to steer the search (a part of --samples)"}),
    ("--preprocess", "samples.preprocess", {"metavar": "NAME",
     "help": "how pictures become numbers, such as imagenet"}),
    ("--metric", "samples.metric", {
        "help": f"{', '.join(METRICS)}, or module:function (accuracy with labels, else cosine)"}),
    ("--max-drop", "samples.max_drop", {"type": float, "metavar": "X",
     "help": "what the 95%% upper bound of the metric's drop may be (0.01)"}),
)  # fmt: skip
SHRINK: tuple[Flag, ...] = (
    ("--max-bytes", "shrink.max_bytes", {"metavar": "SIZE", "help": "what the model may weigh, such as 25MB"}),
    ("--allow", "shrink.allow", {"action": "append", "metavar": "FAMILY", "help": f"only these: {', '.join(PASSES)}"}),
    ("--max-slowdown", "shrink.max_slowdown", {"type": float, "metavar": "X",
     "help": "what a warm answer may take, in times of the original's (1.25)"}),
    ("--max-peak-mb", "shrink.max_peak_mb", {"type": int, "metavar": "MB",
     "help": "what a process may take at its peak"}),
    ("--time-limit", "shrink.time_limit_s", {"type": int, "metavar": "S", "help": "seconds to search (300)"}),
    ("--allow-unmeasured", "shrink.allow_unmeasured", {"action": "store_const", "const": True,
     "help": "without samples: store weights in fewer bits where the error is bounded"}),
    ("--trim-vocabulary", "shrink.tokenizer", {"type": Path, "metavar": "TOKENIZER",
     "help": "a text model's tokenizer.json: keep the tokens of the samples alone, and write a new tokenizer"}),
    ("--token-ids", "shrink.token_ids", {"metavar": "INPUT",
     "help": "the input that takes token ids (input_ids, ids or token_ids)"}),
)  # fmt: skip
FUNCTION: tuple[Flag, ...] = (
    ("--python", "function.python", {"help": "the function's Python: 3.12, 3.13 or 3.14 (3.13)"}),
    ("--architecture", "function.architecture", {"help": "x86_64 or arm64 (x86_64)"}),
    ("--memory-mb", "function.memory_mb", {"type": int, "help": "the function's memory (1024)"}),
    ("--timeout-s", "function.timeout_s", {"type": int, "help": "longest answer in seconds (30)"}),
    ("--hooks", "function.hooks", {"type": Path, "help": "Python file with preprocess and postprocess"}),
    ("--requirement", "function.requirements", {"action": "append", "help": "a package that the hooks import"}),
)


def add_flags(parser: argparse.ArgumentParser, flags: Iterable[Flag]) -> None:
    """Add each flag, without a default: what is not given leaves the setting alone."""
    for flag, _, options in flags:
        parser.add_argument(flag, **options)


def named_model(model: Path | None, config: Path | None) -> tuple[Path | None, Path | None]:
    """Return the model and the settings file that are meant, where ``model`` may be a project's folder.

    Raises:
        ConfigError: the folder holds no settings and not one model.
    """
    if model is None or not model.is_dir():
        return model, config
    if config is None and (model / "coldpress.toml").is_file():
        return None, model / "coldpress.toml"
    found = [model / "model.onnx"] if (model / "model.onnx").is_file() else sorted(model.glob("*.onnx"))
    if len(found) != 1:
        holds = f"{len(found)} models" if found else "no model"
        raise ConfigError(f"{model} is a folder with {holds} and no coldpress.toml; name the .onnx file to pack.")
    return found[0], config


def read_config(args: argparse.Namespace, flags: Iterable[Flag], **settings: Any) -> Config:
    """Lay flags, and further ``settings`` by dotted key with ``__`` for the dot, over the file over the defaults."""
    given = {setting: getattr(args, flag[2:].replace("-", "_")) for flag, setting, _ in flags}
    given |= {key.replace("__", "."): value for key, value in settings.items()}
    file = args.config or (Path("coldpress.toml") if Path("coldpress.toml").is_file() else None)
    return load_config(file, {key: value if value is None else _usable(value) for key, value in given.items()})


def _usable(value: Any) -> Any:
    """Make a path given as a flag absolute, so that it is not taken as relative to the settings file."""
    if isinstance(value, Path):
        return value.absolute()
    return value.within(Path.cwd()) if isinstance(value, Source) else value
