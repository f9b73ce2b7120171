"""What happens around epochs: Keras' schedule by the protocol, averaged weights, and what a RUN records of each epoch
(a row of history.csv, TensorBoard scalars, a line for people)."""

import csv
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.foundation.atomic import naming, write_text
from fastmri_cls.foundation.progress import log
from fastmri_cls.runs.protocol import Phase, Protocol
from fastmri_cls.training.checkpoint import Progress, assign, values

COLUMNS = (
    "phase", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds", "images_per_second",
)  # fmt: skip


class History(keras.callbacks.Callback):
    """Append each epoch to history.csv, to TensorBoard and to the log; both phases go on one axis.

    Args:
        run: the RUN folder.
        start: where the phase begins or goes on; rows of history.csv beyond it, of epochs to be run again, are dropped.
        max_epochs: of this phase, for the line people read.
    """

    def __init__(self, run: Path, start: Progress, max_epochs: int) -> None:
        super().__init__()
        self.phase = start.phase
        self.epochs_done = start.epochs_before + start.epoch
        self._path = run / "history.csv"
        self._max_epochs = max_epochs
        self._learning_rate = 0.0
        self.tensorboard = tf.summary.create_file_writer(str(run / "tensorboard"))
        self._keep_rows(self.epochs_done)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Note the rate the epoch's last step had: ReduceLROnPlateau changes it at the epoch's end."""
        self._learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Record the epoch."""
        row = {"phase": self.phase, "epoch": epoch + 1, **(logs or {}), "learning_rate": self._learning_rate}
        self._append(row)
        with self.tensorboard.as_default(step=self.epochs_done):
            for name in COLUMNS[2:]:
                tf.summary.scalar(name, row[name])
        self.tensorboard.flush()
        self.epochs_done += 1
        log.info(
            f"phase {self.phase}  {epoch + 1:2}/{self._max_epochs}  loss {row['loss']:.4f}  acc {row['accuracy']:.4f}  "
            f"val {row['val_loss']:.4f} {row['val_accuracy']:.4f}  {row['seconds']:.1f} s  "
            f"{row['images_per_second']:.0f}/s"
        )

    def _keep_rows(self, count: int) -> None:
        if self._path.exists():
            lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
            write_text(self._path, "".join(lines[: count + 1]))

    def _append(self, row: dict[str, Any]) -> None:
        is_new = not self._path.exists()
        with naming(self._path), self._path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if is_new:
                writer.writeheader()
            writer.writerow({name: row[name] for name in COLUMNS})


def schedule(phase: Phase, protocol: Protocol) -> list[keras.callbacks.Callback]:
    """Return what ends a phase early and lowers its rate; a cosine is the optimizer's own, and no plateau meddles."""
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
    """Let validation, and the callbacks before this one, see the averaged weights; training goes on with its own.

    In place of Keras' SwapEMAWeights, which leaves the average in the model until the next epoch, where a checkpoint
    would take it for the trained weights, and swaps by adding and subtracting, which rounds.
    """

    def __init__(self) -> None:
        super().__init__()
        self._trained: list[np.ndarray] = []

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Lay the trained weights aside; the optimizer puts the averages in their place."""
        variables = self.model.trainable_variables
        self._trained = values(variables)
        self.model.optimizer.finalize_variable_values(variables)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Put the trained weights back."""
        assign(self.model.trainable_variables, self._trained)
