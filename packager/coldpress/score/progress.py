"""What people see while rows are scored: a bar by bytes, rows a second, time left, rejects."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from coldpress_runtime.batch.job import Progress

__all__ = ["scoring_bar"]


@contextmanager
def scoring_bar(total_bytes: int) -> Iterator[Callable[[Progress], None]]:
    """Show how far the scoring of so many bytes is, on stderr, where that is a terminal.

    Yields a function that takes the sum over all jobs.
    """
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.fields[speed]}"),
        BarColumn(bar_width=32),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rejects]}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True, refresh_per_second=4) as bars:
        task = bars.add_task("", total=max(total_bytes, 1), speed="opening the model", rejects="")
        began: list[tuple[float, int]] = []

        def tell(done: Progress) -> None:
            now, rows = time.perf_counter(), done.scored + done.rejected
            began.append((now, rows)) if not began else None
            elapsed = now - began[0][0]
            speed = f"{(rows - began[0][1]) / elapsed:,.0f} rows/s" if elapsed > 0 else f"{rows:,} rows"
            rejects = f"[yellow]{done.rejected:,} reject{'s' * (done.rejected != 1)}[/yellow]" if done.rejected else ""
            bars.update(task, completed=done.bytes, speed=speed, rejects=rejects)

        yield tell
