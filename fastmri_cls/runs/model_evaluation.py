"""The folder that `evaluate` makes of a model that was not trained here: what a RUN has, without a training.

evaluation.json takes the place of config.json. predictions.csv, metrics.json, figures/, report.html and README.md are
as in a RUN.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from fastmri_cls.foundation import json_files
from fastmri_cls.foundation.environment import Environment
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.runs import checksums, files
from fastmri_cls.runs.config import DatasetFacts
from fastmri_cls.runs.metrics import RunMetrics, read_metrics
from fastmri_cls.runs.predictions import Predictions, read_predictions

Kind = Literal["keras", "h5", "saved_model", "onnx", "predictions", "callable"]
_EVALUATE_AGAIN = "evaluate the model again"


@dataclass(frozen=True)
class ModelInput:
    """The images that a model takes.

    Attributes:
        height: rows in pixels.
        width: columns in pixels.
        channels: 1 (grey) or 3 (RGB).
        preprocessing: the name of what is done to values of 0..255.
        is_guess: whether nobody named it, so that it was chosen by accuracy on validation images.
        tried: {preprocessing: accuracy on validation images} of a guess; empty otherwise.
        tried_on: number of these images.
    """

    height: int
    width: int
    channels: int
    preprocessing: str
    is_guess: bool = False
    tried: dict[str, float] | None = None
    tried_on: int = 0


@dataclass(frozen=True)
class ModelFacts:
    """evaluation.json: a model that was not trained here, and how it was evaluated.

    Attributes:
        model: name of the file, folder or function.
        kind: what it is.
        sha256: of the file; of the names and files of a SavedModel; None for a function.
        classes: the classes in the dataset's order, which is that of predictions.csv.
        output_classes: the classes in the order of the model's outputs, as given.
        order_from: where that order is from.
        input: None for predictions made elsewhere.
        outputs: what the model gives, and what was done to make probabilities of it.
        notes: what was left out, guessed or looks odd, in sentences.
        data: the dataset folder.
        dataset: the dataset that was evaluated.
        environment: versions and machine.
    """

    model: str
    kind: Kind
    sha256: str | None
    classes: tuple[str, ...]
    output_classes: tuple[str, ...]
    order_from: str
    input: ModelInput | None
    outputs: str
    notes: tuple[str, ...]
    data: Path
    dataset: DatasetFacts
    environment: Environment


class ModelEvaluation:
    """The folder of such an evaluation, opened. Each file is read and checked on first use.

    Args:
        path: the folder.

    Attributes:
        path: the folder.
        facts: evaluation.json.

    Raises:
        UserError: it is not such a folder, or one of its files is damaged; a property raises it when it reads its file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.facts = json_files.read(self._checked(files.EVALUATION), ModelFacts, _EVALUATE_AGAIN)

    @cached_property
    def metrics(self) -> RunMetrics:
        """The metrics of every test set."""
        return read_metrics(self._checked(files.METRICS))

    @cached_property
    def predictions(self) -> Predictions:
        """The probabilities of every test image."""
        return read_predictions(self._checked(files.PREDICTIONS))

    def _checked(self, name: str) -> Path:
        checksums.check(self.path, [name])
        return self.path / name


def is_model_evaluation(folder: Path) -> bool:
    """Whether a folder holds the evaluation of a model that was not trained here."""
    return (folder / files.EVALUATION).is_file()


def write_facts(folder: Path, facts: ModelFacts) -> None:
    """Write evaluation.json."""
    json_files.write(folder / files.EVALUATION, facts)


def holds_evaluation_of(folder: Path, facts: ModelFacts) -> bool:
    """Whether a folder holds an evaluation of the same model on the same dataset; functions are told by name alone."""
    try:
        there = ModelEvaluation(folder).facts
    except (UserError, OSError):
        return False
    return (there.model, there.kind, there.sha256, there.dataset.fingerprint) == (
        facts.model,
        facts.kind,
        facts.sha256,
        facts.dataset.fingerprint,
    )
