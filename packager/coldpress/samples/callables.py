"""Samples from a function of the user's: ``module:function``, which gives one request after the other."""

import contextlib
import importlib
import re
import sys
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from coldpress.errors import SamplesError
from coldpress.samples.files import gathered
from coldpress.samples.sample_set import SampleSet
from coldpress.signature import Signature

__all__ = ["CALLABLE", "MAX_COUNT", "read_callable"]

CALLABLE = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")
"""``module:function``; in front of it may stand the folder that the module lies in."""

MAX_COUNT = 100_000
"""The most requests that are taken from a function that sets no end."""


def read_callable(
    source: str, signature: Signature, optional: Collection[str] = (), most: int | None = None
) -> SampleSet:
    """Call a function and gather the requests that it yields or returns.

    Args:
        source: ``module:function`` or ``folder/module:function``; the module is looked for in the folder (the current
            one by default) before anywhere else. The function takes no arguments. It gives dicts of input name to
            array or nested list, with or without the batch dimension, and may add ``label`` and ``sequence``.
        signature: Of the model.
        optional: Inputs that may be missing.
        most: Stop after so many; None: go on to the end.

    Raises:
        SamplesError: There is no such function, it raises, gives something else than dicts that match the signature,
            or gives too much.
    """
    folder, _, name = source.replace("\\", "/").rpartition("/")
    with _importable(Path(folder).resolve(), name.partition(":")[0].partition(".")[0]):
        function = _function(name, source)
        return gathered(_rows(function, name, most), signature, name, optional)


@contextlib.contextmanager
def _importable(folder: Path, name: str) -> Iterator[None]:
    """Look for modules in ``folder`` first, and forget ``name`` afterwards: another folder may have one too."""
    before = name in sys.modules
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))
        file = getattr(sys.modules.get(name), "__file__", None)
        if not before and file and Path(file) in (folder / f"{name}.py", folder / name / "__init__.py"):
            for each in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
                del sys.modules[each]


def _function(name: str, source: str) -> Callable[[], Any]:
    module_name, _, attribute = name.partition(":")
    with _blamed(f"importing {module_name} for {source}"):
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name not in (module_name, module_name.partition(".")[0]):
                raise
            raise SamplesError(
                f"there is no module {module_name} for {source}, here or installed; name it from its own folder, as "
                "folder/module:function"
            ) from None
    function = getattr(module, attribute, None)
    if not callable(function):
        held = "has no" if function is None else f"holds a {type(function).__name__} as"
        raise SamplesError(
            f"{module_name} {held} {attribute}, which {source} names; write a function that yields dicts"
        )
    found: Callable[[], Any] = function
    return found


def _rows(function: Callable[[], Any], name: str, most: int | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what the function gives, each with where it stands, up to ``most`` or the limits."""
    with _blamed(name):
        given = function()
        if not isinstance(given, Iterable) or isinstance(given, (str, bytes, Mapping)):
            raise SamplesError(f"{name} gave a {type(given).__name__}; yield one dict of input name to array a sample")
        items = iter(given)
    for number in range(1, MAX_COUNT + 2):
        if most is not None and number > most:
            return
        with _blamed(f"{name}, at sample {number},"):
            try:
                row = next(items)
            except StopIteration:
                return
        where = f"{name} sample {number}"
        if not isinstance(row, Mapping) or not all(isinstance(key, str) for key in row):
            raise SamplesError(f"{where} is a {type(row).__name__}; yield a dict of input name to array")
        if number > MAX_COUNT:
            raise SamplesError(f"{name} gave over {MAX_COUNT:,} samples and goes on; let it end, or set most")
        yield where, row


@contextlib.contextmanager
def _blamed(what: str) -> Iterator[None]:
    """Turn whatever the user's code raises into one sentence that says where; what it prints is no result of ours."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except SamplesError:
        raise
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = next((f for f in reversed(frames) if f.filename.endswith(".py") and f.filename != __file__), None)
        line = f" ({Path(own.filename).name} line {own.lineno})" if own else ""
        text = " ".join(str(error).split())[:300]
        raise SamplesError(
            f"{what} raised {type(error).__name__}{f': {text}' if text else ''}{line}; mend the function"
        ) from error
