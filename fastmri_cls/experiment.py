"""Evaluate a RUN on a dataset: predictions, metrics, figures, report and card. Also: train, then evaluate."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure

from fastmri_cls.dataset import Dataset
from fastmri_cls.evaluation.baselines import dataset_baselines
from fastmri_cls.evaluation.calibration import fit_calibration
from fastmri_cls.evaluation.predict import predict_splits
from fastmri_cls.evaluation.sets import all_metrics
from fastmri_cls.foundation.atomic import write_text
from fastmri_cls.foundation.checksums import file_sha256
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.gpus import exact_float32, use_device
from fastmri_cls.foundation.progress import busy
from fastmri_cls.inference.gradcam import make_explain, make_overlay
from fastmri_cls.inference.ood_features import write_reference
from fastmri_cls.models.for_inference import for_inference
from fastmri_cls.records.split_names import is_training
from fastmri_cls.report import figures
from fastmri_cls.report.augmented import augmented_grid
from fastmri_cls.report.evaluated import evaluated_data
from fastmri_cls.report.mistakes import Overlay, find_mistakes
from fastmri_cls.report.model_card import model_card
from fastmri_cls.report.pictures import render_all
from fastmri_cls.report.run_report import write_run_report
from fastmri_cls.runs import checksums, files
from fastmri_cls.runs.calibration import Calibration, write_calibration
from fastmri_cls.runs.metrics import EvaluatedDataset, RunMetrics, Timing, read_metrics, write_metrics
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.predictions import Predictions, write_predictions
from fastmri_cls.runs.run import Run, is_taken
from fastmri_cls.training.distribution import make_distribution
from fastmri_cls.training.run import train
from fastmri_cls.training.tensorboard import write_test_metrics
from fastmri_cls.training.tracking import Tracking


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found, and where it is written.

    Attributes:
        folder: holds predictions.csv, metrics.json, figures/, report.html and README.md.
        metrics: the content of metrics.json.
    """

    folder: Path
    metrics: RunMetrics


def run_experiment(options: TrainOptions) -> Evaluation | None:
    """Train a model, then evaluate it on every test set; None on a worker that is not the chief.

    Raises:
        UserError: an option, the dataset or the RUN folder is unfit, or there is no GPU where one is asked for.
        Stopped: a signal came; the same options with `resume` go on.
    """
    use_device(options.device)
    distribution = make_distribution(options.strategy, options.devices)  # before TensorFlow finds its devices
    _check_tests(Dataset(options.data))  # not after hours of training
    protocol = options.protocol
    if protocol.phase1.max_epochs + protocol.phase2.max_epochs == 0:
        raise UserError("--phase1-epochs 0 --phase2-epochs 0: nothing would be trained; give one of them epochs")
    if not distribution.is_chief:
        train(options, distribution)
        return None
    tracking = Tracking(options.track)
    with busy(f"training {options.model}"), tracking.ending():
        if options.resume and (options.out / files.MODEL).exists():
            checksums.check(options.out, files.TRAINED)
        elif options.resume:
            checksums.forget(options.out)
        train(options, distribution, tracking)
        keras.backend.clear_session()
        evaluation = evaluate(Run(options.out), Dataset(options.data))
        write_test_metrics(options.out, evaluation.metrics)
        tracking.finish(evaluation.metrics, evaluation.folder / files.REPORT)
        return evaluation


@busy("evaluating")
@exact_float32()
def evaluate(run: Run, dataset: Dataset, out: Path | None = None) -> Evaluation:
    """Evaluate a RUN on the test splits of a dataset, and write everything down.

    Args:
        run: a trained RUN.
        dataset: with the RUN's classes, image size and channels.
        out: where results go. By default the RUN itself for the dataset it was trained on, in whatever folder that is
            now, and RUN/evaluations/NAME for another dataset.

    Raises:
        UserError: the RUN is unfinished or damaged, the dataset does not fit it, or `out` holds other results.
    """
    checksums.check(run.path, files.TRAINED)
    dataset.check_files()
    _check_fits(run, dataset)
    folder = _destination(run, dataset, out)
    model = run.model()
    fast = for_inference(model)
    tests = predict_splits(fast, dataset, dataset.manifest.test_splits)
    is_own = _is_own(run, dataset)
    split = _validation_split(run, dataset) if is_own else None
    validation = predict_splits(fast, dataset, [split]) if split else None
    training_splits = dataset.manifest.training_splits(run.config.fold) if is_own else ()
    if split:
        write_reference(run.path / files.OOD_REFERENCE, fast, dataset, training_splits, split)
        (run.path / files.OLD_OOD_REFERENCE).unlink(missing_ok=True)
    calibration = _calibrate(run, validation) if is_own else run.calibration
    per_set, of_validation = all_metrics(tests, validation, calibration)
    metrics = RunMetrics(
        tests=per_set,
        val=of_validation,
        temperature=calibration.temperature if calibration else None,
        baselines=dataset_baselines(dataset, training_splits, tests) if is_own else {},
        timing=_timing(run),
        dataset=EvaluatedDataset(dataset.name, dataset.fingerprint),
        model_sha256=file_sha256(run.path / files.MODEL),
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(folder / files.PREDICTIONS, tests)
    if validation:
        write_predictions(folder / files.VALIDATION_PREDICTIONS, validation)
    write_metrics(folder / files.METRICS, metrics)
    written = [files.CALIBRATION, files.OOD_REFERENCE] if split else []
    if folder.resolve().is_relative_to(run.path.resolve()):
        inside = folder.resolve().relative_to(run.path.resolve())
        written += [(inside / name).as_posix() for name in (files.PREDICTIONS, files.METRICS)]
    checksums.record(run.path, [*files.TRAINED, *written])
    _report(run, dataset, folder, tests, metrics, calibration, make_overlay(make_explain(model)))
    return Evaluation(folder, metrics)


def _is_own(run: Run, dataset: Dataset) -> bool:
    return dataset.fingerprint == run.config.dataset.fingerprint


def _check_fits(run: Run, dataset: Dataset) -> None:
    config = run.config
    if dataset.classes != config.classes:
        raise UserError(
            f"{dataset.path}: has the classes {', '.join(dataset.classes)}, {run.path} has "
            f"{', '.join(config.classes)}; rebuild the dataset with --classes FILE that lists the model's classes in "
            "this order, and with --allow-missing-classes if it has no images of one"
        )
    for name, found, needed in (
        ("image_size", dataset.image_size, config.image_size),
        ("channels", dataset.channels, config.channels),
    ):
        if found != needed:
            flag = f"--{name.replace('_', '-')} {needed}"
            raise UserError(
                f"{dataset.path}: {name} is {found}, {run.path} takes {needed}; rebuild the dataset with {flag}"
            )
    _check_tests(dataset)


def _check_tests(dataset: Dataset) -> None:
    if not dataset.manifest.test_splits:
        raise UserError(
            f"{dataset.path}: has no test split; rebuild it with --split grouped or from sources with Testing folders"
        )


def _destination(run: Run, dataset: Dataset, out: Path | None) -> Path:
    """Return the folder for the results; the results of another dataset or RUN are never replaced.

    Raises:
        UserError: `out` holds such results, or anything else.
    """
    default = run.path if _is_own(run, dataset) else _evaluation_folder(run, dataset)
    if out is None or out.resolve() == default.resolve():
        return default
    if (out / files.CONFIG).exists():
        raise UserError(
            f"--out {out}: is a RUN, whose own results would be lost; choose another folder, or leave --out away for "
            f"{default}"
        )
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: is a file; choose a folder")
    if is_taken(out) and not _holds(out, run, dataset):
        raise UserError(f"--out {out}: exists already, with other things than this RUN on this dataset; choose another")
    return out


def _evaluation_folder(run: Run, dataset: Dataset) -> Path:
    """Return RUN/evaluations/NAME; with the fingerprint in NAME if another dataset of that name was there first."""
    folder = run.path / files.EVALUATIONS / dataset.name
    if (folder / files.METRICS).exists() and not _holds(folder, run, dataset):
        return folder.with_name(f"{dataset.name}-{dataset.fingerprint[:8]}")
    return folder


def _holds(folder: Path, run: Run, dataset: Dataset) -> bool:
    """Whether a folder holds an evaluation of this RUN on this dataset."""
    try:
        metrics = read_metrics(folder / files.METRICS)
    except UserError:
        return False
    is_same_dataset = metrics.dataset is not None and metrics.dataset.fingerprint == dataset.fingerprint
    return is_same_dataset and metrics.model_sha256 == file_sha256(run.path / files.MODEL)


def _validation_split(run: Run, dataset: Dataset) -> str | None:
    """Return the split that neither training nor testing uses; None if the protocol trains on it or it is empty."""
    split = dataset.manifest.validation_split(run.config.fold)
    is_trained_on = run.config.protocol.train_on != "split"
    return None if is_trained_on or dataset.count(split) == 0 else split


def _calibrate(run: Run, validation: Predictions | None) -> Calibration | None:
    """Fit the calibration on validation and keep it in the RUN; None without a validation split."""
    if validation is None:
        return None
    calibration = fit_calibration(validation)
    write_calibration(run.path / files.CALIBRATION, calibration)
    return calibration


def _timing(run: Run) -> Timing:
    return Timing(
        epochs=len(run.history),
        training_seconds=sum(epoch.seconds for epoch in run.history),
        images_per_second=float(np.median([epoch.images_per_second for epoch in run.history])),
    )


def _report(
    run: Run,
    dataset: Dataset,
    folder: Path,
    tests: Predictions,
    metrics: RunMetrics,
    calibration: Calibration | None,
    overlay: Overlay,
) -> None:
    """Write figures, report.html and the model card; the card comes last, since it marks a RUN as finished."""
    names = {"class": tests.classes, "source": tests.source_names}
    pictures = render_all(_draw(run, dataset, tests, calibration), names)
    pictures.save(folder / files.FIGURES)
    evaluated = evaluated_data(dataset, tests)
    mistakes = find_mistakes(tests, dataset, overlay)
    write_run_report(folder / files.REPORT, run.config, metrics, pictures, evaluated, mistakes)
    write_text(folder / files.CARD, model_card(run.config, metrics, evaluated))


def _draw(run: Run, dataset: Dataset, tests: Predictions, calibration: Calibration | None) -> dict[str, Figure]:
    """Return the figures of the report; a dataset of test images alone has no training image to show augmented."""
    temperature = calibration.temperature if calibration else None
    protocol, seed = run.config.protocol, run.config.seed
    drawn = figures.result_figures(tests, temperature)
    drawn["Training curves"] = figures.training_curves(run.history)
    if any(is_training(name) and split.num_examples for name, split in dataset.splits.items()):
        drawn["Augmented examples"] = augmented_grid(dataset, protocol.augment, contrast=protocol.contrast, seed=seed)
    return drawn
