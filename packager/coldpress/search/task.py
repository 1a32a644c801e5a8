"""What is asked of the shrinker, decided before anything runs."""

from dataclasses import dataclass
from pathlib import Path

from coldpress.config import Config, Source
from coldpress.errors import ConfigError
from coldpress.gate.verdict import Limits
from coldpress.samples.options import SamplesOptions

__all__ = ["Task", "make_task"]


@dataclass(frozen=True)
class Task:
    """Everything that decides how a model is shrunk, beside the model itself.

    Attributes:
        passes: Words of ``[shrink] allow``.
        evaluation: Samples that the gate judges on; None when the user has none.
        calibration: Samples that steer the search; None to set a part of ``evaluation`` aside.
        options: How samples become requests.
        metric: The user's, or None for accuracy with labels and cosine without.
        max_drop: What the 95 % upper bound of the metric's drop may be.
        max_bytes: What the model may weigh, when the user said so.
        max_slowdown: What a warm answer may take, in times of the original's.
        max_peak_mb: What a process may take at its peak, in MB (10^6 bytes).
        time_limit_s: For the search.
        allow_unmeasured: Whether storage formats may be used without samples.
        tokenizer: The model's ``tokenizer.json``, to trim the vocabulary to what the samples use; None to leave it.
        token_ids: The input that takes token ids; None to go by its name.
        threads: Of the function.
        architecture: Of the function.
    """

    passes: tuple[str, ...]
    evaluation: Source | None
    calibration: Source | None
    options: SamplesOptions
    metric: str | None
    max_drop: float
    max_bytes: int | None
    max_slowdown: float
    max_peak_mb: int | None
    time_limit_s: int
    allow_unmeasured: bool
    tokenizer: Path | None
    token_ids: str | None
    threads: int
    architecture: str

    @property
    def limits(self) -> Limits:
        """What the gate allows."""
        return Limits(self.max_drop, self.max_slowdown, self.max_bytes, self.max_peak_mb)

    @property
    def lossy(self) -> bool:
        """Whether anything may be tried that changes answers."""
        return bool(set(self.passes) - {"strip"})


def make_task(config: Config) -> Task:
    """Take the task out of the settings.

    Raises:
        ConfigError: A file that is not there; a metric, calibration samples or a tokenizer without samples.
    """
    samples, shrink, function = config.samples, config.shrink, config.function
    for source in filter(None, (samples.evaluation, samples.calibration)):
        if not source.is_function and not Path(source).exists():
            raise ConfigError(f"There is no {source}, which is named as the samples; check the path.")
    if shrink.tokenizer is not None and not shrink.tokenizer.is_file():
        raise ConfigError(f"There is no file {shrink.tokenizer}, which is named as the tokenizer; check the path.")
    if samples.evaluation is None:
        for what, given in (
            ("metric is", samples.metric),
            ("calibration samples are", samples.calibration),
            ("tokenizer is", shrink.tokenizer),
        ):
            if given is not None:
                raise ConfigError(f"The {what} {given}, and there are no samples; give --samples.")
    return Task(
        passes=tuple(shrink.allow),
        evaluation=samples.evaluation,
        calibration=samples.calibration,
        options=samples.options,
        metric=samples.metric,
        max_drop=samples.max_drop,
        max_bytes=shrink.max_bytes,
        max_slowdown=shrink.max_slowdown,
        max_peak_mb=shrink.max_peak_mb,
        time_limit_s=shrink.time_limit_s,
        allow_unmeasured=shrink.allow_unmeasured,
        tokenizer=shrink.tokenizer,
        token_ids=shrink.token_ids,
        threads=threads_of(function.memory_mb),
        architecture=function.architecture,
    )


def threads_of(memory_mb: int) -> int:
    """Return one thread a whole vCPU; Lambda gives one vCPU a 1,769 MB of memory."""
    return max(1, memory_mb // 1769)
