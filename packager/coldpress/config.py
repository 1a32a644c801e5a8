"""``coldpress.toml`` as frozen records: read, checked, and merged with what the command line says.

Precedence: flags over the file over the defaults written here. Every table but ``[model]`` may be left out. A key
that is not known is an error, because a misspelt switch that silently does nothing is worse than a stop.
"""

import dataclasses
import math
import re
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from coldpress.errors import ConfigError
from coldpress.fallback_config import FallbackConfig, check_fallback
from coldpress.samples.options import SamplesOptions
from coldpress.target_config import TargetsConfig

__all__ = [
    "DEFAULT_PASSES",
    "METRICS",
    "PASSES",
    "BatchConfig",
    "Bytes",
    "Config",
    "FallbackConfig",
    "FunctionConfig",
    "ModelConfig",
    "SamplesConfig",
    "ShrinkConfig",
    "Source",
    "load_config",
]

_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
Pass = Literal[
    "strip",
    "fp16-storage",
    "int8-storage",
    "int6-storage",
    "int4-storage",
    "nbits8",
    "int4",
    "dynamic-int8",
    "static-int8",
    "prune",
]
METRICS = ("accuracy", "f1", "mae", "cosine", "agreement")
PASSES: tuple[Pass, ...] = get_args(Pass)
DEFAULT_PASSES: tuple[Pass, ...] = PASSES[:-1]


class Source(str):
    """Where samples come from: a path, or ``module:function``."""

    __slots__ = ()

    @property
    def is_function(self) -> bool:
        """Whether this names a Python function and no file."""
        return bool(_FUNCTION.fullmatch(self))

    def within(self, folder: Path) -> "Source":
        """Return a path relative to ``folder`` as one that can be used from anywhere else."""
        return self if self.is_function else Source(folder / self)


class Bytes(int):
    """A size: a whole number of bytes, or a text such as ``25MB`` (10^6 bytes), ``24 MiB`` (2^20 bytes) or ``900``."""

    __slots__ = ()

    _UNITS: ClassVar[Mapping[str, int]] = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9} | {
        "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
    }  # fmt: skip

    @classmethod
    def read(cls, value: Any) -> "Bytes | None":
        """Return the size that ``value`` says, None when it says none."""
        if isinstance(value, str) and value.isdecimal():
            value = int(value)  # a flag's value is always a text
        if type(value) is int and value > 0:
            return cls(value)
        match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kMG]?i?[bB])", value) if isinstance(value, str) else None
        return cls(float(match[1]) * cls._UNITS[match[2].lower()]) if match else None


NAME = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
)  # what a URL path, a stack name and a metric dimension can all hold


@dataclass(frozen=True)
class ModelConfig:
    """``[model]``: the file to pack, and the name it answers to (default: the file's stem)."""

    source: Path | None = None
    name: str | None = None
    version: str = "1"
    description: str = ""


@dataclass(frozen=True)
class SamplesConfig(SamplesOptions):
    """``[samples]``: real inputs, and how answers to them are judged.

    ``evaluation`` and ``calibration`` are each an ``.npz`` or ``.jsonl`` keyed by input name, a folder of images or WAV
    files, or ``module:function``. Without ``calibration`` a part of ``evaluation`` is set aside for it.
    """

    evaluation: Source | None = None
    calibration: Source | None = None
    metric: str | None = None  # default: accuracy when there are labels, else cosine
    max_drop: float = field(default=0.01, metadata={"at_least": 0, "at_most": 1})  # what the drop's bound may be

    @property
    def options(self) -> SamplesOptions:
        """How sources become requests."""
        return SamplesOptions(**{f.name: getattr(self, f.name) for f in dataclasses.fields(SamplesOptions)})


@dataclass(frozen=True)
class ShrinkConfig:
    """``[shrink]``: which passes and encodings may be used, and what a smaller model may cost.

    ``strip`` is lossless. ``prune`` makes zeros, which helps where the zipped size is what does not fit.
    """

    allow: tuple[Pass, ...] = DEFAULT_PASSES
    max_bytes: Bytes | None = None  # default: what the target leaves after the runtime
    max_slowdown: float = field(default=1.25, metadata={"at_least": 0.01})  # of a warm answer; below 1: faster
    max_peak_mb: int | None = field(default=None, metadata={"at_least": 1})
    time_limit_s: int = field(default=300, metadata={"at_least": 1})
    allow_unmeasured: bool = False  # without samples: storage formats whose error is bounded
    tokenizer: Path | None = None  # a text model's tokenizer.json: keep the tokens of the samples alone
    token_ids: str | None = None  # the input that takes token ids; default: input_ids, ids or token_ids


@dataclass(frozen=True)
class FunctionConfig:
    """``[function]``: what runs in the cloud."""

    python: Literal["3.12", "3.13", "3.14"] = "3.13"
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    memory_mb: int = field(default=1024, metadata={"at_least": 128})
    timeout_s: int = field(default=30, metadata={"at_least": 1})
    hooks: Path | None = None
    requirements: tuple[str, ...] = ()  # what the hooks import, as pip would write it: "numpy==2.5.5"
    environment: Mapping[str, str] = field(default_factory=dict)  # variables that the hooks read


@dataclass(frozen=True)
class BatchConfig:
    """``[batch]``: what is uploaded below ``input`` of a bucket is scored row by row into ``output``.

    What does it is a function of its own on AWS, and a service of its own on Google Cloud, with this memory, time limit
    and number of instances at a time. On Azure it is the app that answers, and of these the time limit alone counts.
    """

    input: str = "uploads/"
    output: str = "scores/"
    format: Literal["jsonl", "csv", "parquet", "npy"] = "jsonl"
    columns: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    max_rejects: float = field(default=0.1, metadata={"at_least": 0, "at_most": 1})
    memory_mb: int = field(default=1769, metadata={"at_least": 128})  # one vCPU
    timeout_s: int = field(default=900, metadata={"at_least": 60})
    concurrency: int = field(default=10, metadata={"at_least": 2, "at_most": 1000})  # a queue's own bounds


@dataclass(frozen=True)
class Config:
    """All of ``coldpress.toml``. Paths are relative to the file's own folder until loaded, and usable afterwards."""

    model: ModelConfig = ModelConfig()
    samples: SamplesConfig = SamplesConfig()
    shrink: ShrinkConfig = ShrinkConfig()
    function: FunctionConfig = FunctionConfig()
    targets: TargetsConfig = field(default_factory=TargetsConfig)
    batch: BatchConfig | None = None
    fallback: FallbackConfig | None = None


def load_config(path: Path | None, flags: Mapping[str, Any] | None = None) -> Config:
    """Read ``path`` (``None``: defaults only) and lay ``flags`` over it.

    ``flags`` maps dotted keys (``"function.memory_mb"``) to values; ``None`` means that the flag was not given.
    Raises ConfigError naming the key, what it holds and what it may hold.
    """
    table: dict[str, Any] = {}
    base = Path()
    if path is not None:
        base = path.parent
        table = _read(path)
    for dotted, value in (flags or {}).items():
        if value is not None:
            _set(table, dotted, value)
    config: Config = _record(Config, table, "", base)
    return _checked(config)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"There is no {path}; name the file with --config, or make one with `coldpress init`."
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); name a settings file with --config.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML ({error}); mend that line and try again.") from None


def _set(table: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, key = dotted.split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ConfigError(f"`{parent}` holds a value where a table [{parent}] was expected.")
    table[key] = value


def _record(cls: type, table: Any, where: str, base: Path) -> Any:
    if not isinstance(table, dict):
        raise ConfigError(f"`{where}` holds {table!r}; expected a table [{where}].")
    hints = get_type_hints(cls)
    if unknown := sorted(set(table) - set(hints)):
        raise ConfigError(
            f"`{_join(where, unknown[0])}` is not a setting; [{where or 'top level'}] takes {', '.join(hints)}."
        )
    fields = {f.name: f for f in dataclasses.fields(cls)}
    return cls(
        **{
            key: _value(hints[key], value, _join(where, key), base, fields[key].metadata)
            for key, value in table.items()
        }
    )


def _value(hint: Any, value: Any, where: str, base: Path, limits: Mapping[str, int]) -> Any:
    if get_origin(hint) in (
        types.UnionType,
        Union,
    ):  # `X | None`, of either kind: TOML has no null, so a value is always an X
        hint = next(choice for choice in get_args(hint) if choice is not type(None))
    if dataclasses.is_dataclass(hint):
        return _record(hint, value, where, base)  # type: ignore[arg-type]  # is_dataclass admits instances too
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f'`{where}` holds {value!r}; expected a list, such as ["a", "b"].')
        return tuple(_value(get_args(hint)[0], item, f"{where}[{i}]", base, limits) for i, item in enumerate(value))
    if get_origin(hint) is Mapping:
        if not isinstance(value, dict):
            raise ConfigError(f"`{where}` holds {value!r}; expected a table of names and texts.")
        return {key: _value(get_args(hint)[1], item, f"{where}.{key}", base, limits) for key, item in value.items()}
    if isinstance(value, str) and "\0" in value:
        raise ConfigError(f"`{where}` holds {value!r}, with a NUL character in it; no path and no text takes one.")
    if get_origin(hint) is Literal:
        if all((type(value), value) != (type(choice), choice) for choice in get_args(hint)):  # 512.0 == 512
            raise ConfigError(f"`{where}` holds {value!r}; expected one of {', '.join(map(repr, get_args(hint)))}.")
        return value
    if hint is Any:
        return value
    if hint is Bytes:
        if (size := Bytes.read(value)) is None:
            raise ConfigError(f'`{where}` holds {value!r}; expected a size, such as 25000000, "25MB" or "24MiB".')
        return size
    if hint is Source:
        if not isinstance(value, str | Path) or not str(value):
            raise ConfigError(f'`{where}` holds {value!r}; expected a path, or "module:function".')
        return Source(value).within(base)
    if hint is Path:
        if not isinstance(value, str | Path) or not str(value):
            raise ConfigError(f"`{where}` holds {value!r}; expected a path.")
        return base / value
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint or (type(value) is float and not math.isfinite(value)):
        raise ConfigError(f"`{where}` holds {value!r}; expected {_described(hint)}.")
    if "at_least" in limits and value < limits["at_least"]:
        raise ConfigError(f"`{where}` holds {value!r}; expected at least {limits['at_least']}.")
    if "at_most" in limits and value > limits["at_most"]:
        raise ConfigError(f"`{where}` holds {value!r}; expected at most {limits['at_most']}.")
    return value


def _checked(config: Config) -> Config:
    name = config.model.name
    if name is not None and not NAME.fullmatch(name):
        raise ConfigError(
            f"`model.name` holds {name!r}; expected up to 64 letters, digits, `_`, `-` or `.`, a letter or digit first."
        )
    metric = config.samples.metric
    if metric is not None and metric not in METRICS and not _FUNCTION.fullmatch(metric):
        raise ConfigError(
            f'`samples.metric` holds {metric!r}; expected one of {", ".join(METRICS)}, or "module:function".'
        )
    aws = config.targets.aws
    if aws.auth == "jwt" and not (aws.jwt_issuer and aws.jwt_audience):
        raise ConfigError('`targets.aws.auth` is "jwt", which needs `jwt_issuer` and `jwt_audience` beside it.')
    if config.batch is not None:
        _check_prefixes(config.batch)
    if config.fallback is not None:
        check_fallback(config.fallback)
    return config


def _check_prefixes(batch: BatchConfig) -> None:
    for name, prefix in (("input", batch.input), ("output", batch.output)):
        if not prefix.endswith("/") or prefix.startswith("/") or not prefix.isprintable():
            raise ConfigError(f"`batch.{name}` holds {prefix!r}; expected a prefix that ends in `/`, such as uploads/.")
    if batch.output.startswith(batch.input):
        raise ConfigError(
            f"`batch.output` holds {batch.output!r}, which lies below `batch.input`: what is written would be scored "
            "again, and again; choose a prefix beside it."
        )


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _described(hint: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a string"}.get(hint, hint.__name__)
