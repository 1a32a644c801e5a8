"""What a ``pack`` is going to do, decided before anything runs: frozen data that ``pack --dry-run`` prints."""

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldpress.config import NAME, BatchConfig, Config, FallbackConfig
from coldpress.errors import ConfigError
from coldpress.fit.tiers import tier
from coldpress.render.endpoint.values import EndpointValues, endpoint_values
from coldpress.search.task import Task, make_task
from coldpress.targets import TARGETS, Target

__all__ = ["REPORT", "Plan", "make_plan"]

REPORT = "coldpress-report.json"
"""The file by which an output folder is known to be ours, and therefore safe to replace."""


@dataclass(frozen=True)
class Plan:
    """All that decides what ``pack`` makes. Paths are as given; ``form`` None lets measurement choose.

    ``values`` are those of the target's templates. ``weights`` is the folder that the model is read from while the
    function starts, a URL or a path that ends with a slash; empty: it is in the package. ``fallback`` says what goes
    out to an endpoint, and ``endpoint`` holds the values of its templates where it is rendered beside the function.
    """

    model: Path
    name: str
    version: str
    target: str
    out: Path
    python: str
    architecture: str
    memory_mb: int
    timeout_s: int
    shrink: Task
    hooks: Path | None
    requirements: tuple[str, ...]
    form: str | None
    values: Any
    batch: BatchConfig | None = None
    weights: str = ""
    fallback: FallbackConfig | None = None
    endpoint: EndpointValues | None = None

    @property
    def separate(self) -> bool:
        """Whether uploads are scored by a function of their own, packed beside the one that answers."""
        return self.batch is not None and TARGETS[self.target].separate

    @property
    def large(self) -> Path:
        """The model that the endpoint serves."""
        return (self.fallback and self.fallback.model) or self.model

    @property
    def threads(self) -> int:
        """One thread a whole vCPU."""
        return self.shrink.threads

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        plain = dataclasses.asdict(self)
        plain["threads"] = self.threads
        values: dict[str, Any] = json.loads(json.dumps(plain, default=str))
        return values


def make_plan(config: Config, target_name: str, out: Path | None, form: str | None = None) -> Plan:
    """Decide everything that can be decided without opening the model.

    Raises:
        ConfigError: no model is named, its name cannot be part of a URL, or ``out`` holds something that is not ours.
        FitError, TemplateError: the target does not offer what the settings ask for.
    """
    if config.model.source is None:
        raise ConfigError("No model is named; give one (`coldpress pack model.onnx`) or set `model.source`.")
    model = config.model.source
    name = config.model.name or re.sub(r"[^A-Za-z0-9_.-]+", "-", model.stem).strip("-.")[:64]
    if not NAME.fullmatch(name):
        raise ConfigError(f"{model.name} gives the model no usable name; give it one with --name.")
    out = out or Path("build") / target_name
    _check_ours(out)
    _check_files(config)
    target = TARGETS[target_name]
    if config.batch is not None and target.batch is None:
        able = ", ".join(each.name for each in TARGETS.values() if each.batch)
        raise ConfigError(
            f"[batch] is set and {target.title} has nothing that scores uploads row by row; leave the table out, or "
            f"pack for one of {able}."
        )
    _check_remote(target, config)
    function = target.check(config)
    config = dataclasses.replace(config, function=function)
    return Plan(
        model=model,
        name=name,
        version=config.model.version,
        target=target_name,
        out=out,
        python=function.python,
        architecture=function.architecture,
        memory_mb=function.memory_mb,
        timeout_s=function.timeout_s,
        shrink=dataclasses.replace(make_task(config), threads=_threads(target, config)),
        hooks=function.hooks,
        requirements=function.requirements,
        form=form,
        values=target.values(config, name),
        batch=config.batch,
        weights=_weights(target, config),
        fallback=config.fallback,
        endpoint=endpoint_values(config, name, target_name),
    )


def _weights(target: Target, config: Config) -> str:
    weights: str = getattr(getattr(config.targets, target.name), "weights", "")
    if weights and not weights.endswith("/"):
        raise ConfigError(
            f"targets.{target.name}.weights is {weights!r}, a file, and coldpress names the file; end it with a slash."
        )
    if weights and config.batch is not None:
        raise ConfigError(
            f"[batch] and targets.{target.name}.weights are set, and each of the processes that score rows would hold "
            "the model; leave one out."
        )
    return weights


def _check_remote(target: Target, config: Config) -> None:
    """Refuse what a function without a model cannot do."""
    if config.fallback is None or not config.fallback.remote:
        return
    weights = getattr(getattr(config.targets, target.name), "weights", "")
    for setting, there in (("[batch]", config.batch is not None), (f"targets.{target.name}.weights", bool(weights))):
        if there:
            raise ConfigError(
                f'{setting} is set and `fallback.when` holds "does-not-fit", so that the function has no model; leave '
                "one of them out."
            )


def _threads(target: Target, config: Config) -> int:
    """Return one thread a whole vCPU, of those that the settings name or the memory brings."""
    vcpus = getattr(getattr(config.targets, target.name), "cpu", None)
    return max(1, int(vcpus or tier(target.name, config.function.memory_mb).vcpus))


def _check_files(config: Config) -> None:
    large = config.fallback.model if config.fallback else None
    if large is not None and not large.is_file():
        raise ConfigError(f"There is no file {large}, which is named as the endpoint's model; check `fallback.model`.")
    another = config.fallback is not None and (large is not None or not config.fallback.rendered)
    if another and config.shrink.tokenizer is not None:
        raise ConfigError(
            "`shrink.tokenizer` is set, which numbers the tokens anew, and the endpoint has a model of its own that "
            "knows the old numbers; leave one of them out."
        )
    hooks = config.function.hooks
    if hooks is not None and not hooks.is_file():
        raise ConfigError(f"There is no file {hooks}, which is named as the hooks; check the path.")


def _check_ours(out: Path) -> None:
    """Refuse at once what could only fail at the end."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ConfigError(
            f"{out} is in the way: expected a folder or nothing; remove it or choose another one with --out."
        )
    if out.resolve() in (Path.cwd(), *Path.cwd().parents):
        raise ConfigError(
            f"{out} holds the folder that you are in, and packing replaces the whole folder; "
            "choose another one with --out."
        )
    if out.is_dir() and any(out.iterdir()) and not (out / REPORT).is_file():
        raise ConfigError(
            f"{out} holds files that coldpress did not write, and packing replaces the whole folder; "
            "choose another one with --out."
        )
