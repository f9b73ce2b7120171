"""history.csv of a RUN: one row an epoch, both phases one after the other."""

import csv
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fastmri_cls.foundation.errors import UserError


@dataclass(frozen=True)
class Epoch:
    """One epoch of training; the columns of history.csv.

    Attributes:
        phase: 1 or 2.
        epoch: number within the phase, from 1.
        learning_rate: of the epoch's last step.
        seconds: wall-clock time, validation included.
        images_per_second: of the training steps.
    """

    phase: int
    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float
    images_per_second: float


def read_history(path: Path) -> list[Epoch]:
    """Read history.csv.

    Raises:
        UserError: the file is missing, damaged or without epochs.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            epochs = msgspec.convert(list(csv.DictReader(file)), list[Epoch], strict=False)  # text to numbers
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; the training of that RUN has not finished") from None
    except (msgspec.ValidationError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: is damaged ({error}); train again into another --out") from None
    if not epochs:
        raise UserError(f"{path}: has no epochs in it; train again into another --out")
    return epochs
