"""Evaluate a model that was not trained here: outputs, metrics, baselines, figures, report, card, in a folder like a
RUN."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastmri_cls.dataset import Dataset
from fastmri_cls.evaluation.baselines import dataset_baselines
from fastmri_cls.evaluation.calibration import fit_calibration
from fastmri_cls.evaluation.sets import all_metrics
from fastmri_cls.foundation.atomic import new_directory, write_text
from fastmri_cls.foundation.environment import describe
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.gpus import exact_float32
from fastmri_cls.records.split_names import VAL
from fastmri_cls.referee.judging import Judged, Model, judge
from fastmri_cls.referee.trained_on import Seen, compare_seen, seen_in_folder, seen_in_published_training
from fastmri_cls.referee.trained_on_file import write_trained_on
from fastmri_cls.report.evaluated import evaluated_data
from fastmri_cls.report.figures import result_figures
from fastmri_cls.report.mistakes import find_mistakes
from fastmri_cls.report.model_evaluation import evaluation_card, write_evaluation_report
from fastmri_cls.report.pictures import render_all
from fastmri_cls.runs import checksums, files
from fastmri_cls.runs.calibration import write_calibration
from fastmri_cls.runs.config import DatasetFacts
from fastmri_cls.runs.metrics import EvaluatedDataset, RunMetrics, write_metrics
from fastmri_cls.runs.model_evaluation import ModelEvaluation, ModelFacts, holds_evaluation_of, write_facts
from fastmri_cls.runs.predictions import Predictions, write_predictions
from fastmri_cls.runs.run import is_taken


@dataclass(frozen=True)
class RefereeOptions:
    """How a model is evaluated.

    Attributes:
        preprocessing: a name of `preprocessing.NAMED`, or `keras:MODULE`; None to try them on validation images.
        classes: in the order of the model's outputs; None if the file names them.
        trained_on: a source of the dataset, or a folder or archive; None for all published Training folders.
    """

    preprocessing: str | None = None
    classes: tuple[str, ...] | None = None
    trained_on: str | None = None


@exact_float32()
def evaluate_model(
    model: Model, dataset: Dataset, out: Path | None, options: RefereeOptions
) -> tuple[Path, RunMetrics]:
    """Evaluate a model on the test splits of a dataset, and write everything down.

    Args:
        model: a file or SavedModel folder, a CSV file of predictions, a Keras model, or a function of RGB images
            [n, height, width, 3] that returns one row of probabilities each.
        dataset: the dataset.
        out: the folder to make; None for MODEL-on-DATASET in the working directory.
        options: how.

    Returns:
        The folder and the content of its metrics.json.

    Raises:
        UserError: the model is unfit or unsafe to open, the order of its classes is not known, the dataset has no test
            split, or `out` holds something else.
    """
    if not dataset.manifest.test_splits:
        raise UserError(
            f"{dataset.path}: has no test split; rebuild it with --split grouped or from sources with Testing folders"
        )
    dataset.check_files()
    judged = judge(model, dataset, options.preprocessing, options.classes)
    facts = _facts(judged, dataset)
    folder = out or Path(f"{Path(judged.name).stem}-on-{dataset.name}")
    is_again = _is_again(folder, facts, judged.tests)
    if is_taken(folder) and not is_again:
        raise UserError(
            f"--out {folder}: exists already, with other things than this model on this dataset; choose another"
        )
    seen = _seen(dataset, options.trained_on)
    tests, validation = judged.tests, judged.validation
    calibration = fit_calibration(validation) if validation else None
    per_set, of_validation = all_metrics(tests, validation, calibration)
    splits = tuple(name for name in dataset.splits if name not in (VAL, *dataset.manifest.test_splits))
    metrics = RunMetrics(
        tests=per_set,
        val=of_validation,
        temperature=calibration.temperature if calibration else None,
        baselines=dataset_baselines(dataset, splits, tests),
        timing=None,
        dataset=EvaluatedDataset(dataset.name, dataset.fingerprint),
        model_sha256=judged.sha256,
        trained_on=compare_seen(tests, seen) if seen else None,
    )
    evaluated = evaluated_data(dataset, tests)
    figures = result_figures(tests, metrics.temperature)
    pictures = render_all(figures, {"class": tests.classes, "source": tests.source_names})
    mistakes = find_mistakes(tests, dataset, judged.overlay)
    with new_directory(folder, force=is_again) as place:
        write_facts(place, facts)
        write_predictions(place / files.PREDICTIONS, tests)
        if validation and calibration:
            write_predictions(place / files.VALIDATION_PREDICTIONS, validation)
            write_calibration(place / files.CALIBRATION, calibration)
        if seen:
            write_trained_on(place / files.TRAINED_ON, tests, seen)
        write_metrics(place / files.METRICS, metrics)
        pictures.save(place / files.FIGURES)
        write_evaluation_report(place / files.REPORT, facts, metrics, pictures, evaluated, mistakes)
        write_text(place / files.CARD, evaluation_card(facts, metrics, evaluated))
        checksums.record(place, [files.EVALUATION, files.PREDICTIONS, files.METRICS, files.CALIBRATION])
    return folder, metrics


def _is_again(folder: Path, facts: ModelFacts, tests: Predictions) -> bool:
    """Whether a folder holds an evaluation of the same model on the same dataset, which may be replaced.

    A function has no file to be told by: it is the same if it predicts the same.
    """
    if not holds_evaluation_of(folder, facts):
        return False
    if facts.sha256:
        return True
    try:
        return np.array_equal(ModelEvaluation(folder).predictions.probabilities, tests.probabilities)
    except UserError:
        return False


def _facts(judged: Judged, dataset: Dataset) -> ModelFacts:
    return ModelFacts(
        model=judged.name,
        kind=judged.kind,
        sha256=judged.sha256,
        classes=dataset.classes,
        output_classes=judged.order.names,
        order_from=judged.order.origin,
        input=judged.input,
        outputs=judged.outputs,
        notes=judged.notes,
        data=dataset.path,
        dataset=DatasetFacts.of(dataset),
        environment=describe(),
    )


def _seen(dataset: Dataset, trained_on: str | None) -> Seen | None:
    if trained_on is None:
        return seen_in_published_training(dataset, ())
    if trained_on in dataset.manifest.source_names:
        return seen_in_published_training(dataset, (trained_on,))
    if not Path(trained_on).exists():
        names = ", ".join(dataset.manifest.source_names)
        raise UserError(f"--trained-on {trained_on}: is no source of the dataset ({names}) and no folder")
    return seen_in_folder(dataset, Path(trained_on))
