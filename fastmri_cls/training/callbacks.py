"""What a RUN records of its epochs: a row of history.csv, a TensorBoard scalar, a line for people."""

import csv
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from fastmri_cls.foundation.atomic import write_text
from fastmri_cls.foundation.progress import log
from fastmri_cls.training.checkpoint import Progress

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

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Note the rate the epoch trains with: ReduceLROnPlateau changes it at the epoch's end."""
        self._learning_rate = float(self.model.optimizer.learning_rate)

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
        with self._path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if is_new:
                writer.writeheader()
            writer.writerow({name: row[name] for name in COLUMNS})
