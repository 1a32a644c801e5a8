"""What people see: text and progress on stderr, machine-readable results on stdout, and nothing else anywhere."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["activity", "emit_json", "emit_text", "progress", "say", "track"]

_Step = TypeVar("_Step")


def say(text: str = "") -> None:
    """Write a line for people, on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def emit_text(text: str) -> None:
    """Write a command's own result for people, on stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def emit_json(value: dict[str, Any]) -> None:
    """Write a command's one JSON object, on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


@contextmanager
def progress(title: str) -> Iterator[None]:
    """Show that ``title`` is under way: a spinner with elapsed time on a terminal, one line when it ends elsewhere."""
    import time  # noqa: PLC0415  (kept off the import path of `coldpress --help`)

    from rich.console import Console

    console = Console(stderr=True)
    started = time.perf_counter()
    if console.is_terminal:
        with console.status(title):
            yield
    else:
        yield
    _done(console, title, time.perf_counter() - started)


def track(steps: Iterable[_Step], title: str, total: int) -> Iterator[_Step]:
    """Yield ``steps`` one by one behind a progress bar on stderr, drawn only on a terminal; ``total`` is how many."""
    from rich.console import Console
    from rich.progress import track as bar

    console = Console(stderr=True)
    yield from bar(steps, title, total, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def activity(title: str, limit_s: float) -> Iterator[Callable[[str], None]]:
    """Show a long task of many steps: a bar of the time used of ``limit_s``, and what is being done now.

    Yields a function that takes a line on what is being done. Where stderr is no terminal only the end is told.
    """
    import time  # noqa: PLC0415  (kept off the import path of `coldpress --help`)

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
    started = time.perf_counter()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(title, total=limit_s)

        def tell(line: str) -> None:
            used = min(time.perf_counter() - started, limit_s)
            bars.update(task, description=f"{title}: {line}".replace("[", "\\["), completed=used)

        yield tell
    _done(console, title, time.perf_counter() - started)


def _done(console: "Console", title: str, seconds: float) -> None:
    """Say that a task is done, on one line however long: what a name holds in brackets is no markup."""
    plain = title.replace("[", "\\[")
    console.print(f"[green]✓[/green] {plain} [dim]{seconds:.1f} s[/dim]", highlight=False, soft_wrap=True)
