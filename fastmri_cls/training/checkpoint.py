"""Checkpoints: everything a training needs to continue at the same step, in one file that is complete or absent.

`checkpoints/<number>.npz` holds the variables and the best weights so far as arrays, and the rest as JSON. It is a ZIP,
whose CRC finds a flipped byte; then the previous checkpoint is used. The last two are kept.
"""

import json
import math
import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fastmri_cls.foundation.atomic import new_file
from fastmri_cls.foundation.errors import Stopped, UserError
from fastmri_cls.foundation.progress import log
from fastmri_cls.foundation.signals import stop_requests

_KEPT = 2
_ARRAYS = ("model", "optimizer", "best")
_TIME_IS_UP = 1  # stands among the numbers of signals, of which workers take the largest
_SECONDS_BETWEEN = 60.0  # a checkpoint costs a second or less: under 2 % of the time

# The state of Keras' callbacks from epoch to epoch; BackupAndRestore saves none of it.
_REMEMBERED = {
    keras.callbacks.EarlyStopping: ("wait", "stopped_epoch", "best", "best_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
}


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        phase: 1 or 2.
        epochs_before: epochs of earlier phases.
        epoch: epochs of this phase that are done.
        step: steps of the next epoch that are done.
        seconds: time spent on these steps.
        stop: whether EarlyStopping has ended the phase.
    """

    phase: int = 1
    epochs_before: int = 0
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    stop: bool = False


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training.

    Attributes:
        progress: how far it is.
        callbacks: the state of Keras' callbacks, by class.
        model: the whole classifier; empty before the first step.
        optimizer: the phase's optimizer and running metrics; empty at the start of a phase.
        best: EarlyStopping's best weights so far.
    """

    progress: Progress = field(default=Progress())
    callbacks: dict[str, dict[str, object]] = field(default_factory=dict)
    model: list[np.ndarray] = field(default_factory=list)
    optimizer: list[np.ndarray] = field(default_factory=list)
    best: list[np.ndarray] = field(default_factory=list)


def values(variables: list[keras.Variable]) -> list[np.ndarray]:
    """Return copies of the variables' values."""
    return [np.array(variable) for variable in variables]


def assign(variables: list[keras.Variable], arrays: list[np.ndarray]) -> None:
    """Set each variable to its array.

    Raises:
        UserError: numbers or shapes differ, since another version of the program wrote the checkpoint.
    """
    if [tuple(v.shape) for v in variables] != [a.shape for a in arrays]:
        raise UserError("the checkpoint is of another model or version; train again into another --out")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def remember(callbacks: list[keras.callbacks.Callback]) -> tuple[dict[str, dict[str, object]], list[np.ndarray]]:
    """Return the state of Keras' callbacks, by class, and EarlyStopping's best weights."""
    memory = {
        type(callback).__name__: {name: _plain(getattr(callback, name)) for name in _REMEMBERED[type(callback)]}
        for callback in callbacks
        if type(callback) in _REMEMBERED
    }
    best = [callback.best_weights for callback in callbacks if isinstance(callback, keras.callbacks.EarlyStopping)]
    return memory, (best[0] or []) if best else []


def recall(checkpoint: Checkpoint, callbacks: list[keras.callbacks.Callback]) -> None:
    """Restore the state of callbacks; call this after `on_train_begin`, which clears it."""
    for callback in callbacks:
        for name, value in checkpoint.callbacks.get(type(callback).__name__, {}).items():
            setattr(callback, name, value)
        if isinstance(callback, keras.callbacks.EarlyStopping):
            callback.best_weights = checkpoint.best or None


class Checkpoints:
    """The checkpoints of one RUN: `save` writes when it is time to, and at once after SIGTERM, Ctrl-C or a deadline.

    Args:
        directory: of the checkpoints.
        deadline: `time.monotonic()` after which `save` writes and stops the training.
    """

    def __init__(self, directory: Path, deadline: float = math.inf) -> None:
        self._directory = directory
        self._deadline = deadline
        self._last = time.monotonic()
        self._signal = 0  # the one that asked to stop, 0 for none

    def save(self, make: Callable[[], Checkpoint], *, force: bool = False) -> None:
        """Write `make()` if `force` or if the last checkpoint is a minute old.

        Raises:
            Stopped: SIGTERM, Ctrl-C or the deadline came; the checkpoint is written.
        """
        number = self._stop_signal()  # asked once: a signal may come at any moment
        if force or number or time.monotonic() - self._last > _SECONDS_BETWEEN:
            checkpoint = make()
            self._write(checkpoint)
            self._last = time.monotonic()
        if number == _TIME_IS_UP:
            at = checkpoint.progress
            raise Stopped(
                f"stopped by --max-hours in phase {at.phase}, after {at.epoch} epochs and {at.step} steps; go on with "
                "train --resume and the same options"
            )
        if number:
            name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
            raise Stopped(f"stopped by {name}; go on with train --resume and the same options", number)

    def _stop_signal(self) -> int:
        """Return the signal that asked to stop, _TIME_IS_UP after the deadline, or 0."""
        return self._signal or (_TIME_IS_UP if time.monotonic() > self._deadline else 0)

    def _write(self, checkpoint: Checkpoint) -> None:
        known = self._files()
        number = int(known[-1].stem) + 1 if known else 0
        counts = {name: len(getattr(checkpoint, name)) for name in _ARRAYS}
        facts = {"progress": asdict(checkpoint.progress), "callbacks": checkpoint.callbacks, "arrays": counts}
        arrays = {f"{name}-{i}": array for name in _ARRAYS for i, array in enumerate(getattr(checkpoint, name))}
        with new_file(self._directory / f"{number:06d}.npz") as path, path.open("wb") as file:
            np.savez(file, json=np.frombuffer(json.dumps(facts).encode(), np.uint8), **arrays)
        for old in known[: 1 - _KEPT]:
            old.unlink()

    def latest(self) -> Checkpoint | None:
        """Return the newest checkpoint that can be read, or None if there is none.

        Raises:
            UserError: all checkpoints are damaged.
        """
        files = self._files()
        for path in reversed(files):
            try:
                return _read(path)
            except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
                log.info(f"{path}: damaged ({error}); the previous checkpoint is used")
        if files:
            raise UserError(f"{self._directory}: no checkpoint can be read; train again into another --out")
        return None

    @contextmanager
    def stopping_on_signals(self) -> Iterator[None]:
        """Let SIGTERM (a preempted machine) or Ctrl-C end the training at its next `save`."""

        def remember(number: signal.Signals) -> None:
            self._signal = number

        with stop_requests(remember):
            yield

    def _files(self) -> list[Path]:
        return sorted(self._directory.glob("[0-9]*.npz"))


def _read(path: Path) -> Checkpoint:
    with np.load(path, allow_pickle=False) as archive:
        facts = json.loads(archive["json"].tobytes())
        arrays = {
            name: [archive[f"{name}-{i}"] for i in range(sum(file.startswith(f"{name}-") for file in archive.files))]
            for name in _ARRAYS
        }
    if {name: len(found) for name, found in arrays.items()} != facts["arrays"]:
        raise ValueError("arrays are missing")  # the ZIP's list of names has no checksum
    return Checkpoint(Progress(**facts["progress"]), facts["callbacks"], **arrays)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int) else float(value)
