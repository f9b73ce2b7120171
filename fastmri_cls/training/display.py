"""What a training shows while it runs: its first line, and two bars that tick on a terminal, one line now and then
elsewhere.

The engine reports after each call of several steps, so that showing progress stops neither host nor device in between;
Rich's own thread keeps the clock moving.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import keras
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from fastmri_cls.foundation.gpus import gpu_names
from fastmri_cls.foundation.progress import log, transient_bars
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.protocol import Phase
from fastmri_cls.training.checkpoint import Progress
from fastmri_cls.training.data import TrainingData

_SECONDS_BETWEEN_LINES = 30.0  # without a terminal; each epoch has its own line besides
_BAR_WIDTH = 16  # both rows fit into 80 columns


def describe_training(options: TrainOptions, model: keras.Model, data: TrainingData) -> str:
    """Return the line that a training begins with: model, parameters, device, precision, images and epochs.

    Args:
        options: resolved, without `auto`.
        model: the whole classifier.
        data: the batches of images.
    """
    protocol = options.protocol
    compiled = ", compiled by XLA" if options.xla == "on" else ""
    images = f"{data.training.examples.count:,} training and {data.validation.examples.count:,} validation images"
    device = ", ".join(gpu_names()) or "CPU"
    return (
        f"{options.model}: {model.count_params():,} parameters, on {device} in "
        f"{options.precision}{compiled}; {images}, batches of {protocol.batch_size}; at most "
        f"{protocol.phase1.max_epochs} + {protocol.phase2.max_epochs} epochs"
    )


class _Elapsed(ProgressColumn):
    """The time since a bar began; unlike Rich's own it goes on at 100 %, while the epoch is validated."""

    def render(self, task: Task) -> Text:
        """Return the time."""
        return Text(_clock(task.elapsed or 0.0))


class _TimeLeft(ProgressColumn):
    """The time until the estimated end, empty before the first estimate."""

    def render(self, task: Task) -> Text:
        """Return the time; it goes on between two estimates."""
        ends = task.fields.get("ends")
        return Text("" if ends is None else f"{task.fields['prefix']}{_clock(ends - time.monotonic())} left")


class TrainingDisplay(keras.callbacks.Callback):
    """Shows a phase: the steps of the epoch, images per second, and the time left in the epoch and in the phase.

    Args:
        phase: number and limits of the phase.
        start: where the phase begins or continues.
        data: its batches.
        bars: where to draw.
    """

    def __init__(self, phase: Phase, start: Progress, data: TrainingData, bars: Bars) -> None:
        super().__init__()
        self._phase, self._number, self._bars = phase, start.phase, bars
        self._steps, self._batch_size = data.training.steps_per_epoch, data.training.batch_size
        total = self._steps * phase.max_epochs
        self._epoch_bar = bars.add_task("", total=self._steps, prefix="", rate="")
        self._phase_bar = bars.add_task(f"phase {start.phase}", total=total, prefix="at most ", rate="")
        self._epoch, self._begun, self._since, self._rate = start.epoch, 0, 0.0, ""
        self._timed_steps, self._timed_seconds, self._is_warm = 0, 0.0, False
        self._validating = 0.0  # seconds
        self._last_line = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Begin a bar."""
        self._epoch = epoch
        description = f"epoch {epoch + 1}/{self._phase.max_epochs}"
        self._bars.reset(self._epoch_bar, description=description, prefix="", rate=self._rate)
        if self._timed_steps:
            self._show(0)

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Note when a call of steps begins."""
        self._begun, self._since = batch, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Advance by the steps of a call; `batch` is the last of them."""
        steps, seconds = batch + 1 - self._begun, time.monotonic() - self._since
        if self._timed_steps and not self._is_warm:  # the first call has built its graph; forget it
            self._timed_steps, self._timed_seconds, self._is_warm = 0, 0.0, True
        self._timed_steps += steps
        self._timed_seconds += seconds
        self._show(batch + 1)

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Say that the epoch is being validated."""
        self._since = time.monotonic()
        self._bars.update(self._epoch_bar, rate="validating", ends=None)

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """Note how long validation takes."""
        self._validating = time.monotonic() - self._since

    def _show(self, done: int) -> None:
        seconds_per_step = self._timed_seconds / self._timed_steps
        self._rate = f"{self._batch_size / max(seconds_per_step, 1e-9):,.0f}/s"
        left = (self._steps - done) * seconds_per_step
        of_later = (self._phase.max_epochs - self._epoch - 1) * (self._steps * seconds_per_step + self._validating)
        whole = left + self._validating + of_later
        now = time.monotonic()
        self._bars.update(self._epoch_bar, completed=done, rate=self._rate, ends=now + left)
        self._bars.update(self._phase_bar, completed=self._epoch * self._steps + done, ends=now + whole)
        is_due = done < self._steps and now - self._last_line > _SECONDS_BETWEEN_LINES
        if self._bars.disable and is_due:
            self._last_line = now
            log.info(
                f"phase {self._number}  {self._epoch + 1:2}/{self._phase.max_epochs}  step {done}/{self._steps}  "
                f"{self._rate}  {_clock(left)} left in the epoch, at most {_clock(whole)} in the phase"
            )


@contextmanager
def training_display(phase: Phase, start: Progress, data: TrainingData) -> Iterator[TrainingDisplay]:
    """Draw the bars of a phase while the block runs, and yield the callback that moves them."""
    columns = (
        TextColumn("{task.description}"), BarColumn(_BAR_WIDTH), TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[rate]}"), _Elapsed(), _TimeLeft(),
    )  # fmt: skip
    with transient_bars(*columns) as bars:
        yield TrainingDisplay(phase, start, data, bars)


def _clock(seconds: float) -> str:
    whole = max(round(seconds), 0)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
