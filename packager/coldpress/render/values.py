"""What the values of several targets' templates have in common: how one is refused, and where uploads lie."""

from collections.abc import Mapping

from coldpress.config import BatchConfig
from coldpress.errors import TemplateError

__all__ = ["Uploads", "between", "one_of"]


def one_of(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Refuse a ``value`` that is none of ``choices``.

    Raises:
        TemplateError: It is not.
    """
    if value not in choices:
        raise TemplateError(f"{name} is {value!r}; expected one of {', '.join(map(str, choices))}")


def between(name: str, value: int, low: int, high: int) -> None:
    """Refuse a ``value`` outside of ``low`` to ``high``, both included.

    Raises:
        TemplateError: It is.
    """
    if not low <= value <= high:
        raise TemplateError(f"{name} is {value}; expected {low} to {high}")


class Uploads:
    """Where uploads lie and where answers go: names begin so, as the runtime reads it from the same variables.

    Where uploads are scored row by row, it is ``[batch]`` that says so, and the manifest tells the runtime.
    """

    environment: Mapping[str, str]
    batch: BatchConfig | None = None

    @property
    def input_prefix(self) -> str:
        """What the names of uploads that are scored begin with."""
        if self.batch is not None:
            return self.batch.input
        return self.environment.get("COLDPRESS_INPUT_PREFIX", "uploads/")

    @property
    def output_prefix(self) -> str:
        """What the names of answers to uploads begin with."""
        if self.batch is not None:
            return self.batch.output
        return self.environment.get("COLDPRESS_OUTPUT_PREFIX") or "scores/"

    def check_batch(self, setting: str, place: str) -> None:
        """Refuse ``[batch]`` where nothing is watched, or where variables would say something else than it.

        Args:
            setting: the one that names what is watched.
            place: what that names.

        Raises:
            TemplateError: so it is.
        """
        if self.batch is None:
            return
        if not place:
            raise TemplateError(f"[batch] is set and {setting} is not: name there where uploads arrive")
        for name, key in (("COLDPRESS_INPUT_PREFIX", "input"), ("COLDPRESS_OUTPUT_PREFIX", "output")):
            if name in self.environment:
                raise TemplateError(f"{name} counts for nothing beside [batch]: set batch.{key} in its place")

    def check_prefixes(self) -> None:
        """Refuse prefixes by which every upload would be taken for an answer.

        Raises:
            TemplateError: They are such.
        """
        if self.input_prefix.startswith(self.output_prefix):
            raise TemplateError(
                f"answers go below {self.output_prefix!r}, and uploads at {self.input_prefix!r} would pass for them, "
                "so that none is scored: set COLDPRESS_OUTPUT_PREFIX or COLDPRESS_INPUT_PREFIX to another place"
            )
