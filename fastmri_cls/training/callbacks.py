"""Callbacks: Keras' schedule by the protocol, averaged weights, and the record of each epoch (a row of history.csv,
TensorBoard scalars, a log line)."""

import csv
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.foundation.atomic import naming, write_text
from fastmri_cls.foundation.progress import log
from fastmri_cls.runs import files
from fastmri_cls.runs.protocol import Phase, Protocol
from fastmri_cls.training.checkpoint import Progress, assign, values

COLUMNS = (
    "phase", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds", "images_per_second",
)  # fmt: skip
_TRAIN_SCALARS = ("loss", "accuracy", "learning_rate", "seconds", "images_per_second")
_VALIDATION_SCALARS = ("loss", "accuracy")


class History(keras.callbacks.Callback):
    """Appends each epoch to history.csv, to TensorBoard and to the log; both phases share one axis.

    Args:
        run: the RUN folder.
        start: where the phase begins or continues; later rows of history.csv, whose epochs run again, are dropped.
        max_epochs: of this phase, for the log line.
    """

    def __init__(self, run: Path, start: Progress, max_epochs: int) -> None:
        super().__init__()
        self.phase = start.phase
        self.epochs_done = start.epochs_before + start.epoch
        self._path = run / files.HISTORY
        self._max_epochs = max_epochs
        self._learning_rate = 0.0
        self.last_row: dict[str, float] = {}
        board = run / files.TENSORBOARD
        self.tensorboard = tf.summary.create_file_writer(str(board))
        # Two folders with the same tags, as Keras' TensorBoard callback has them, are two curves in one chart.
        self._boards = {name: tf.summary.create_file_writer(str(board / name)) for name in ("train", "validation")}
        self._keep_rows(self.epochs_done)

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Note the learning rate of the epoch's last step, which ReduceLROnPlateau changes at the epoch's end."""
        self._learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Record the epoch."""
        row = {"phase": self.phase, "epoch": epoch + 1, **(logs or {}), "learning_rate": self._learning_rate}
        self.last_row = row
        self._append(row)
        self._write_scalars("train", {name: row[name] for name in _TRAIN_SCALARS})
        self._write_scalars("validation", {name: row[f"val_{name}"] for name in _VALIDATION_SCALARS})
        self.epochs_done += 1
        log.info(
            f"phase {self.phase}  {epoch + 1:2}/{self._max_epochs}  loss {row['loss']:.4f}  acc {row['accuracy']:.4f}  "
            f"val {row['val_loss']:.4f} {row['val_accuracy']:.4f}  {row['seconds']:.1f} s  "
            f"{row['images_per_second']:.0f}/s"
        )

    def _write_scalars(self, board: str, values: dict[str, float]) -> None:
        with self._boards[board].as_default(step=self.epochs_done):
            for name, value in values.items():
                tf.summary.scalar(f"epoch_{name}", value)
        self._boards[board].flush()

    def _keep_rows(self, count: int) -> None:
        if self._path.exists():
            lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
            write_text(self._path, "".join(lines[: count + 1]))

    def _append(self, row: dict[str, float]) -> None:
        is_new = not self._path.exists()
        with naming(self._path), self._path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if is_new:
                writer.writeheader()
            writer.writerow({name: row[name] for name in COLUMNS})


def schedule(phase: Phase, protocol: Protocol) -> list[keras.callbacks.Callback]:
    """Return EarlyStopping, and ReduceLROnPlateau unless the schedule is a cosine, which the optimizer holds."""
    stopping = keras.callbacks.EarlyStopping(
        monitor="val_accuracy", mode="max", patience=phase.early_stopping_patience, restore_best_weights=True
    )
    plateau = keras.callbacks.ReduceLROnPlateau(
        monitor="val_loss",
        mode="min",
        factor=protocol.plateau_factor,
        patience=phase.plateau_patience,
        min_lr=protocol.min_learning_rate,
    )
    return [stopping, plateau] if protocol.schedule == "constant" else [stopping]


class AveragedWeights(keras.callbacks.Callback):
    """Validation, and the callbacks before this one, see the averaged weights; training continues with its own.

    Keras' SwapEMAWeights leaves the average in the model until the next epoch, so a checkpoint would save it as the
    trained weights; and it swaps by adding and subtracting, which rounds.
    """

    def __init__(self) -> None:
        super().__init__()
        self._trained: list[np.ndarray] = []

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Keep the trained weights, and let the optimizer replace them by the averages."""
        variables = self.model.trainable_variables
        self._trained = values(variables)
        self.model.optimizer.finalize_variable_values(variables)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Restore the trained weights."""
        assign(self.model.trainable_variables, self._trained)
