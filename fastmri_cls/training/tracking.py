"""`train --track`: options, metrics of each epoch, test metrics and the report go to an experiment tracker.

A tracker watches and never matters: its first failure costs one warning, and the training goes on without it, to the
same weights. RUN/tracking.json holds the id of the tracked run, so that `--resume` continues it:

    {"mlflow": "0a5c..."}
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import keras

from fastmri_cls.foundation import json_files
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.extras import missing_extra
from fastmri_cls.foundation.json_files import flatten
from fastmri_cls.foundation.progress import busy, log
from fastmri_cls.runs import files
from fastmri_cls.runs.config import RunConfig
from fastmri_cls.runs.metrics import RunMetrics, to_json
from fastmri_cls.training.callbacks import History
from fastmri_cls.training.trackers import MlflowTracker, TrackedRun, WandbTracker

T = TypeVar("T")

_TRACKERS: dict[str, Callable[[], TrackedRun]] = {"mlflow": MlflowTracker, "wandb": WandbTracker}


class Tracking:
    """A tracked run that may break without breaking the training.

    Args:
        name: `none`, `mlflow` or `wandb`.

    Raises:
        UserError: the tracker is not installed.
    """

    def __init__(self, name: str = "none") -> None:
        if name != "none" and find_spec(name) is None:
            raise UserError(f"--track {name}: {missing_extra(name)}")
        self._name = name
        self._run: TrackedRun | None = None
        self._logged = -1  # the last epoch that the tracker has, from 0

    def begin(self, run: Path, config: RunConfig) -> None:
        """Begin a tracked run, or continue that of the RUN folder `run`."""
        if self._name == "none":
            return
        path = run / files.TRACKING
        ids = json_files.read(path, dict[str, str], f"remove {path}") if path.exists() else {}

        def start() -> TrackedRun:
            tracked = _TRACKERS[self._name]()
            options = {name: str(value) for name, value in flatten(asdict(config))}
            found = tracked.begin(ids.get(self._name), run.name, options)
            self._logged = tracked.last_epoch()
            json_files.write(path, ids | {self._name: found})
            return tracked

        with busy(f"connecting to {self._name}"):
            self._run = self._attempt(start)

    def log_epoch(self, values: Mapping[str, float], epoch: int) -> None:
        """Log the metrics of an epoch, counted from the run's first; one that was logged before is left as it is."""
        run = self._run
        if run and epoch > self._logged:
            self._logged = epoch
            self._attempt(lambda: run.log({**values, "epoch": epoch}, epoch))

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Mark the tracked run as stopped if the block is left by an exception."""
        try:
            yield
        except BaseException:
            if run := self._run:
                self._attempt(run.stop)
            raise

    def finish(self, metrics: RunMetrics, report: Path) -> None:
        """Log the test metrics and the report, and end the tracked run."""
        if run := self._run:
            tests = to_json(metrics)["tests"]
            self._attempt(lambda: run.finish(dict(_numbers(tests)), self._logged, report))

    def _attempt(self, action: Callable[[], T]) -> T | None:
        try:
            return action()
        except Exception as error:  # whatever a foreign client raises: without its server, its disk, its account
            self._run = None
            reason = " ".join(str(error).split())[:200]
            log.warning(f"--track {self._name}: does not answer ({reason}); the training goes on without it")
            return None


class EpochTracker(keras.callbacks.Callback):
    """Sends each epoch to a tracker.

    Args:
        tracking: the tracked run.
        history: a callback before this one, whose record of the epoch is sent.
    """

    def __init__(self, tracking: Tracking, history: History) -> None:
        super().__init__()
        self._tracking = tracking
        self._history = history

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Send the epoch."""
        self._tracking.log_epoch(self._history.last_row, self._history.epochs_done - 1)


def _numbers(tests: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    """Yield each number of the test sets of metrics.json, and both ends of its interval, as `test/pooled/accuracy`."""
    for path, value in flatten(tests, "test/"):
        name = path.replace(".", "/")
        if isinstance(value, int | float):
            yield name, value
        elif isinstance(value, list) and "/ci95/" in name:
            for end, bound in zip(("low", "high"), value, strict=True):
                yield f"{name.replace('/ci95/', '/')}_{end}", bound
