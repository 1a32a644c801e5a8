"""What is shrunk, what it is judged by, and what must be reached."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.shrink import metrics
from benchmarks.shrink.samples import SAMPLERS, WHOLE, Samples, drawn, table
from coldpress.reference import Reference
from tests.support import minilm, models

__all__ = ["CASES", "Case", "Check", "Goal"]

SLOWDOWN = 1.25  # what a warm answer may take, in times of the original's: the default of `[shrink] max_slowdown`


@dataclass(frozen=True)
class Check:
    """A figure that an answer must reach: the mean of a function of `metrics`, `least` or more.

    Attributes:
        lost: `least` is how far the figure may lie below the original's own.
        first: Of so many samples, from the first; None for all.
    """

    title: str
    metric: str
    least: float
    lost: bool = False
    first: int | None = None

    def measure(self, answers: Sequence[Mapping[str, object]], labels: object) -> float:
        """Return the figure."""
        labels = None if labels is None else labels[: self.first]  # type: ignore[index]
        return float(getattr(metrics, self.metric)(answers[: self.first], labels).mean())

    def met(self, value: float, original: float) -> bool:
        """Whether `value` reaches it, up to the last digits of a float."""
        return value >= (original - self.least if self.lost else self.least) - 1e-9


@dataclass(frozen=True)
class Goal:
    """One run of `coldpress shrink` and what it must reach; peers are held to `checks` as well.

    Attributes:
        metric: What the command is given, a function of `metrics`, or a name of its own.
        max_mb: What the file may weigh, MB (10^6 bytes); None: less than the original.
        slowdown: What a warm answer may take, in times of the original's.
        above_floor_mb: What a process may take at its peak above one that runs an empty model.
        options: Further flags of the command.
        time_limit_s: What the command is told.
        seconds: What the command may take.
    """

    name: str
    metric: str
    max_drop: float
    checks: tuple[Check, ...]
    max_mb: float | None = None
    slowdown: float = SLOWDOWN
    above_floor_mb: float | None = None
    options: tuple[str, ...] = ()
    time_limit_s: int = 120
    seconds: float | None = None

    @property
    def metric_name(self) -> str:
        """As `--metric` takes it."""
        return f"benchmarks.shrink.metrics:{self.metric}" if hasattr(metrics, self.metric) else self.metric


@dataclass(frozen=True)
class Case:
    """A model with its samples and goals.

    Attributes:
        settings: Lines of coldpress.toml, for what flags do not say.
    """

    name: str
    title: str
    model: Callable[[], Path]
    samples: Callable[[Reference], tuple[Samples, Samples]]
    goals: tuple[Goal, ...]
    settings: str = ""


def _public(name: str) -> Callable[[], Path]:
    return lambda: models.fetch(name)


def _case(name: str, title: str, sampler: str, goal: Goal, settings: str = "") -> Case:
    return Case(name, title, _public(name), SAMPLERS[sampler], (goal,), settings)


def _goal(name: str, metric: str, checks: tuple[Check, ...], max_drop: float = 0.01, **more: object) -> Goal:
    return Goal(name, metric, max_drop, checks, **more)  # type: ignore[arg-type]


def _same(title: str, metric: str, least: float = 1.0) -> tuple[Check, ...]:
    return (Check(title, metric, least),)


def _kept(lost: float = 0.01) -> tuple[Check, ...]:
    return (Check("accuracy", "label_met", lost, lost=True),)


_COSINE = Check("cosine", "sentence_cosine", 0.9995)
_SPEECH = """\
[samples]
rate = 16000
window = 512
context = 64
constants = { sr = 16000 }
states = { state = "stateN" }
"""

_CASES = (
    Case(
        "minilm_fp32",
        "MiniLM-L6 fp32 (sentences)",
        minilm.model,
        SAMPLERS["minilm"],
        (
            Goal(
                "24 MB",
                "sentence_cosine",
                0.0005,
                (_COSINE, Check("nearest neighbour", "neighbour_kept", 0.98)),
                max_mb=24,
                options=("--max-bytes", "24MB"),
                seconds=300,
                time_limit_s=240,
            ),
            Goal(
                "16 MB",
                "sentence_cosine",
                0.010,
                (Check("cosine", "sentence_cosine", 0.990),),
                max_mb=16,
                options=("--max-bytes", "16MB"),
                seconds=300,
                time_limit_s=240,
            ),
            Goal(
                "little memory",
                "sentence_cosine",
                0.010,
                (Check("cosine", "sentence_cosine", 0.990),),
                max_mb=30,
                above_floor_mb=60,
                seconds=300,
                time_limit_s=240,
            ),
        ),
    ),
    _case(
        "nudenet",
        "nudenet (YOLOv8n)",
        "nudenet",
        _goal(
            "",
            "detection_quality",
            (
                Check("same detections, whole photographs", "same_detections", 1.0, first=WHOLE),
                Check("same detections, their views too", "same_detections", 0.9),
            ),
            0.06,
            max_mb=3.5,
            slowdown=0.5,
            time_limit_s=150,
        ),
    ),
    _case(
        "ocr_rec",
        "PP-OCRv4 rec (text lines)",
        "ocr_rec",
        _goal(
            "",
            "same_text",
            _same("identical text", "same_text"),
            0.02,
            max_mb=3.2,
            time_limit_s=240,  # each candidate reads 200 lines, twice
        ),
    ),
    _case(
        "magika",
        "magika (file types)",
        "magika",
        _goal("", "accuracy", _kept(0.003), max_mb=0.9, slowdown=1.05),
    ),
    _case(
        "opennsfw",
        "opennsfw (ResNet-50-thin)",
        "opennsfw",
        _goal(
            "",
            "score_close",
            _same("scores within 0.01", "score_within"),
            max_mb=6.2,
            slowdown=1.05,
            options=("--max-bytes", "6.2MB"),
        ),
    ),
    _case("silero", "silero-vad", "silero", _goal("", "agreement", _same("same frames", "same_frame")), _SPEECH),
    _case(
        "silero_ifless",
        "silero-vad without If",
        "silero",
        _goal("", "agreement", _same("same frames", "same_frame")),
        _SPEECH,
    ),
    _case(
        "ocr_det",
        "PP-OCRv4 det (text areas)",
        "ocr_det",
        _goal("", "text_area", _same("overlap of text", "text_area", 0.98), 0.02),
    ),
    _case("ocr_cls", "PP-OCR cls (upside down)", "ocr_cls", _goal("", "accuracy", _kept(), 0.02)),
    _case(
        "blazeface_front",
        "BlazeFace front",
        "blazeface_front",
        _goal("", "face_kept", _same("same faces", "face_kept", 0.99), 0.05),
    ),
    _case(
        "blazeface_back",
        "BlazeFace back",
        "blazeface_back",
        _goal("", "face_kept", _same("same faces", "face_kept", 0.99), 0.05),
    ),
    _case(
        "basic_pitch",
        "basic-pitch (notes)",
        "basic_pitch",
        _goal("", "note_right", (Check("right note", "note_right", 0.01, lost=True),), 0.05),
    ),
    _case("lac", "LAC (Chinese tagging)", "lac", _goal("", "same_tags", _same("same tags", "same_tags", 0.99))),
    _case(
        "minilm_int8",
        "MiniLM-L6 int8 (sentences)",
        "minilm",
        _goal("", "sentence_cosine", _same("cosine", "sentence_cosine", 0.99)),
    ),
    *(
        Case(
            name,
            f"{name} (signals)",
            _public(name),
            drawn(name, 64),
            (_goal("", "values_kept", _same("values kept", "values_kept"), 0.05),),
        )
        for name in ("atspm_phase", "atspm_function")
    ),
    Case(
        "atspm_pair",
        "atspm_pair (signals)",
        _public("atspm_pair"),
        drawn("atspm_pair", 120),
        (_goal("", "embedding_cosine", _same("cosine", "embedding_cosine", 0.99)),),
    ),
    *(
        Case(name, title, _public(name), table(name), (_goal("", "accuracy", _kept()),))
        for name, title in (
            ("digits_mlp", "digits MLP"),
            ("digits_rf_zipmap", "digits forest"),
            ("digits_lgbm", "digits LightGBM"),
            ("cancer_xgb", "cancer XGBoost"),
            ("mnist5k_mlp", "MNIST-5k MLP"),
        )
    ),
)
CASES: dict[str, Case] = {case.name: case for case in _CASES}
