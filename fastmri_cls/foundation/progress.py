"""What people see of long work, on stderr, so that stdout stays clean for results and --json: bars and log lines."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

console = Console(stderr=True)


class _ConsoleHandler(logging.Handler):
    """Prints above a progress bar where one is drawn, and never breaks a line itself."""

    def emit(self, record: logging.LogRecord) -> None:
        console.print(record.getMessage(), markup=False, highlight=False, soft_wrap=True)


class _FileHandler(logging.FileHandler):
    """Loses a line on a full disk: the command ends where it writes its results, with one error and no traceback."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Say nothing."""

    def close(self) -> None:
        """Close, whether or not the last line reached the disk."""
        with suppress(OSError):
            super().close()


log = logging.getLogger("fastmri_cls")
log.setLevel(logging.INFO)
log.propagate = False
if not log.handlers:
    log.addHandler(_ConsoleHandler())

T = TypeVar("T")


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Append every log line to the file `path` too, with its time."""
    handler = _FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s"))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()


class RateColumn(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        """Return the rate, once there is one."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")


def track(items: Iterable[T], description: str, total: int) -> Iterator[T]:
    """Yield `items` while a bar shows count, rate and time left (nothing is drawn where stderr is no terminal)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield from progress.track(items, total=total, description=description)
