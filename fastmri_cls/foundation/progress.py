"""Progress of long work on stderr, so that stdout stays clean for results and --json: bars and log lines."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

console = Console(stderr=True)

_REFRESHES = 2  # a second: seen to move, at next to no cost


class _ConsoleHandler(logging.Handler):
    """Prints above a progress bar if one is drawn, and never wraps a line."""

    def emit(self, record: logging.LogRecord) -> None:
        console.print(record.getMessage(), markup=False, highlight=False, soft_wrap=True)


class _FileHandler(logging.FileHandler):
    """Loses a line on a full disk: the command fails later, when it writes its results, with one error."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Say nothing."""

    def close(self) -> None:
        """Close, whether or not the last line reached the disk."""
        with suppress(OSError):
            super().close()


# Importing the package configures no logging (a NullHandler apart): without show_log, lines go where the importing
# program sends them.
log = logging.getLogger("fastmri_cls")

T = TypeVar("T")


def show_log() -> None:
    """Show log lines on stderr, above a progress bar if one is drawn. The command line calls this once."""
    log.setLevel(logging.INFO)
    log.propagate = False
    if not any(isinstance(handler, _ConsoleHandler) for handler in log.handlers):
        log.addHandler(_ConsoleHandler())


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Append every log line to the file `path` too, with its time."""
    handler = _FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s"))
    level = log.level
    log.setLevel(min(log.getEffectiveLevel(), logging.INFO))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.setLevel(level)
        log.removeHandler(handler)
        handler.close()


class RateColumn(ProgressColumn):
    """Items per second."""

    def render(self, task: Task) -> Text:
        """Return the rate, empty before the first item."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")


def track(items: Iterable[T], description: str, total: int) -> Iterator[T]:
    """Yield `items` while a bar shows count, rate and time left. Draws nothing if stderr is not a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield from progress.track(items, total=total, description=description)


def transient_bars(*columns: ProgressColumn) -> Progress:
    """Return bars of these columns that leave nothing behind when they end; without a terminal they draw nothing."""
    is_hidden = not console.is_terminal or console.is_dumb_terminal  # TERM=dumb: Rich would draw only the last state
    return Progress(*columns, console=console, transient=True, refresh_per_second=_REFRESHES, disable=is_hidden)


@contextmanager
def busy(description: str) -> Iterator[None]:
    """Show `description` with the time it has taken so far, while the block runs. Draws nothing without a terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with transient_bars(*columns) as progress:
        progress.add_task(description, total=None)
        yield
