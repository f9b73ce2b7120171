"""A RUN folder, opened for reading; and what guards a RUN while it is written."""

import html
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fastmri_cls.foundation.atomic import is_leftover
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.locks import try_lock
from fastmri_cls.runs import checksums, files
from fastmri_cls.runs.calibration import Calibration, read_calibration
from fastmri_cls.runs.config import RunConfig, read_config
from fastmri_cls.runs.history import Epoch, read_history
from fastmri_cls.runs.metrics import RunMetrics, read_metrics
from fastmri_cls.runs.predictions import Predictions, read_predictions

if TYPE_CHECKING:
    import keras

# What zipfile, h5py and Keras raise when a file's bytes make no sense or ask for something safe mode forbids.
UNLOADABLE = (
    ValueError, KeyError, IndexError, AttributeError, OSError, TypeError, RuntimeError, NotImplementedError,
    ImportError, RecursionError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class Run:
    """A RUN folder, or one of its evaluations on another dataset. Each file is read and checked on first use.

    Example:
        run = Run("runs/a")
        run.metrics["pooled"].accuracy           # Estimate(value, low, high)
        run.evaluations["figshare"].metrics      # after `evaluate runs/a --data figshare`

    Args:
        path: the RUN, or RUN/evaluations/NAME.

    Attributes:
        path: the RUN, which holds config, history and model.
        results: the folder of predictions and metrics: the RUN itself, or RUN/evaluations/NAME.
        config: every option as resolved, the dataset, versions and devices.

    Raises:
        UserError: it is not a RUN folder, or one of its files is damaged; a property raises it when it reads its file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.results = Path(path)
        is_evaluation = self.results.parent.name == files.EVALUATIONS and not (self.results / files.CONFIG).exists()
        self.path = self.results.parent.parent if is_evaluation else self.results
        self.config: RunConfig = read_config(self._checked(files.CONFIG).parent)

    def __repr__(self) -> str:
        return f"Run({str(self.results)!r})"

    def _repr_html_(self) -> str:
        """Return the table of metrics that a notebook shows."""
        rows = []
        for name, found in self.metrics.tests.items():
            cells = (name, found.n, found.accuracy, found.auc_macro or "-", f"{found.ece:.3f}")
            rows.append("".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells))
        columns = ("test set", "images", "accuracy [95 % CI]", "AUC [95 % CI]", "ECE")
        head = "".join(f"<th>{column}</th>" for column in columns)
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        title = html.escape(f"{self.config.model}: {self.results}")
        return f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.results / files.REPORT

    @property
    def tensorboard(self) -> Path:
        """The folder that TensorBoard reads."""
        return self.path / files.TENSORBOARD

    @property
    def is_finished(self) -> bool:
        """Whether training, evaluation and report are all there; the model card is written last."""
        return is_finished(self.path)

    @cached_property
    def history(self) -> list[Epoch]:
        """Every epoch of training, in order."""
        return read_history(self._checked(files.HISTORY))

    @cached_property
    def metrics(self) -> RunMetrics:
        """The metrics of every test set."""
        metrics = read_metrics(self._checked_result(files.METRICS))
        if self.results == self.path and not _is_of_own_dataset(metrics, self.config):
            raise UserError(
                f"{self.path / files.METRICS}: has the results of another dataset than the RUN was trained on; run "
                "evaluate on its own dataset again"
            )
        return metrics

    @cached_property
    def predictions(self) -> Predictions:
        """The probabilities of every test image."""
        return read_predictions(self._checked_result(files.PREDICTIONS))

    @cached_property
    def calibration(self) -> Calibration | None:
        """Temperature and thresholds fitted on validation; None where there was no validation split."""
        return read_calibration(self._checked(files.CALIBRATION))

    @property
    def evaluations(self) -> dict[str, "Run"]:
        """The evaluations on other datasets, by the name of their folder."""
        folders = sorted((self.path / files.EVALUATIONS).glob("*/" + files.METRICS))
        return {file.parent.name: Run(file.parent) for file in folders}

    @property
    def ood_reference(self) -> Path:
        """The file of training features that out-of-distribution scores are measured against; it may be missing."""
        is_old = not (self.path / files.OOD_REFERENCE).exists() and (self.path / files.OLD_OOD_REFERENCE).exists()
        return self._checked(files.OLD_OOD_REFERENCE if is_old else files.OOD_REFERENCE)

    @property
    def model_file(self) -> Path:
        """The file of the trained model; it is missing while training goes on."""
        return self._checked(files.MODEL)

    def model(self) -> "keras.Model":
        """Load model.keras in Keras' safe mode, not compiled.

        Raises:
            UserError: it does not exist, is damaged, or is not the model that config.json describes.
        """
        return _load_model(self.model_file, self.config)

    def _checked(self, name: str) -> Path:
        checksums.check(self.path, [name])
        return self.path / name

    def _checked_result(self, name: str) -> Path:
        path = self.results / name
        checksums.check(self.path, [path.relative_to(self.path).as_posix()])
        return path


def _load_model(path: Path, config: RunConfig) -> "keras.Model":
    import keras

    if not path.exists():
        raise UserError(f"{path}: does not exist; the training of that RUN has not finished")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # Keras reads weights here and there, and would not notice a flipped bit
        if damaged:
            raise zipfile.BadZipFile(f"bad checksum of {damaged}")
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except UNLOADABLE as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: cannot be loaded ({reason}); it is damaged or not from train: train again") from None
    size, channels, classes = config.image_size, config.channels, len(config.classes)
    if model.input_shape != (None, size, size, channels) or model.output_shape != (None, classes):
        raise UserError(
            f"{path}: takes {model.input_shape[1:]} and gives {model.output_shape[-1]} classes, config.json says "
            f"({size}, {size}, {channels}) and {classes}; one of them was changed: train again"
        )
    return model


def _is_of_own_dataset(metrics: RunMetrics, config: RunConfig) -> bool:
    """Compare fingerprints; for a file of a version that recorded none, the numbers of test images."""
    if metrics.dataset:
        return metrics.dataset.fingerprint == config.dataset.fingerprint
    counts = [count for name, count in config.dataset.splits.items() if name.startswith("test.")]
    return not counts or metrics["pooled"].n == sum(counts)


def is_run(folder: Path) -> bool:
    """Whether a folder is a RUN, or RUN/evaluations/NAME."""
    return (folder / files.CONFIG).exists() or (folder.is_dir() and folder.parent.name == files.EVALUATIONS)


def is_finished(run: Path) -> bool:
    """Whether a folder holds all files of a finished RUN."""
    return all((run / name).exists() for name in files.FINISHED)


def is_taken(folder: Path) -> bool:
    """Whether `folder` holds anything besides what a run killed in its first moments leaves."""
    if not folder.exists():
        return False
    return any(path.name != files.LOG and not is_leftover(path) for path in folder.iterdir())


@contextmanager
def exclusive(run: Path) -> Iterator[None]:
    """Create `run` and hold an exclusive lock on it; the lock ends with the process.

    Raises:
        UserError: another process holds it.
    """
    run.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(run, os.O_RDONLY)
    try:
        if not try_lock(descriptor):
            raise UserError(f"{run}: another training writes it; wait for it or choose another --out")
        yield
    finally:
        os.close(descriptor)
