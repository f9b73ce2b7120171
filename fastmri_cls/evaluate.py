"""A whole run: train, then evaluate every test set and report. `train`, `evaluate` and `demo` call this."""

import csv
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

from fastmri_cls.dataset import Dataset
from fastmri_cls.evaluation.baselines import baseline_accuracies
from fastmri_cls.evaluation.choices import FILE_NAME as CHOICES_NAME
from fastmri_cls.evaluation.choices import Choices, choose, read_choices, write_choices
from fastmri_cls.evaluation.inference import load_model, predict_splits
from fastmri_cls.evaluation.metrics import all_metrics
from fastmri_cls.foundation.atomic import new_file, write_text
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.inference.ood import FILE_NAME as REFERENCE_NAME
from fastmri_cls.inference.ood import write_reference
from fastmri_cls.report import figures
from fastmri_cls.report.augmented import augmented_grid
from fastmri_cls.report.html import write_run_report
from fastmri_cls.report.model_card import model_card
from fastmri_cls.runs import checksums, files
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.predictions import Predictions, write_predictions
from fastmri_cls.runs.run import read_config
from fastmri_cls.training.distribution import make_distribution
from fastmri_cls.training.run import train


def run_experiment(options: TrainOptions) -> dict[str, Any]:
    """Train, evaluate and report; return the content of metrics.json, nothing on a worker that is not the chief."""
    distribution = make_distribution(options.strategy, options.devices)  # before TensorFlow finds its devices
    _check_tests(Dataset(options.data))  # not after hours of training
    protocol = options.protocol
    if protocol.phase1.max_epochs + protocol.phase2.max_epochs == 0:
        raise UserError("--phase1-epochs 0 --phase2-epochs 0: nothing would be trained; give one of them epochs")
    if not distribution.is_chief:
        train(options, distribution)
        return {}
    if options.resume and (options.out / files.MODEL).exists():
        checksums.check(options.out, files.TRAINED)
    elif options.resume:
        checksums.forget(options.out)
    train(options, distribution)
    keras.backend.clear_session()
    return evaluate_and_report(options.out, options.data, options.out)


def evaluate_and_report(run: Path, data: Path, out: Path) -> dict[str, Any]:
    """Evaluate `run` on the tests of dataset `data` and write predictions, metrics, figures and report into `out`.

    Raises:
        UserError: the RUN is unfinished, or the dataset has other classes, another image size or no test split.
    """
    checksums.check(run, files.TRAINED)
    config = read_config(run)
    dataset = Dataset(data, verify=True)
    _check_fits(run, config, dataset)
    model = load_model(run, config)
    tests = predict_splits(model, dataset, dataset.manifest.test_splits)
    is_own = dataset.fingerprint == config["dataset"]["fingerprint"]
    if not is_own:
        checksums.check(run, [CHOICES_NAME])
    split = _validation_split(config, dataset) if is_own else None
    validation = predict_splits(model, dataset, [split]) if split else None
    if split:
        write_reference(run, model, dataset, dataset.manifest.training_splits(config.get("fold")), split)

    history = _read_history(run / "history.csv")
    choices = _choices(run, validation) if is_own else read_choices(run)
    metrics = {
        **all_metrics(tests, validation, choices),
        "temperature": choices.temperature if choices else None,
        "baselines": _baselines(config, dataset, tests) if is_own else {},
        "timing": _timing(history),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_predictions(out / "predictions.csv", tests)
    if validation:
        write_predictions(out / "predictions-val.csv", validation)
    write_text(out / "metrics.json", json.dumps(metrics, indent=2, allow_nan=False) + "\n")
    drawn = _draw(config, tests, choices, history, dataset)
    figure_files = {}
    for title, figure in drawn.items():
        figure_files[title] = out / "figures" / f"{title.lower().replace(' ', '-')}.png"
        with new_file(figure_files[title]) as temporary:
            figure.savefig(temporary)
    described = _describe(dataset, tests)
    write_run_report(out / "report.html", config, metrics, figure_files, described)
    written = [CHOICES_NAME, REFERENCE_NAME] if split else []
    if out.resolve() == run.resolve():
        written += ["predictions.csv", "metrics.json"]
    checksums.record(run, [*files.TRAINED, *written])
    write_text(out / "README.md", model_card(config, metrics, described))
    return metrics


def _choices(run: Path, validation: Predictions | None) -> Choices | None:
    """What validation decides, made where there is one that was not trained on, and kept with the run."""
    if validation is None:
        return None
    choices = choose(validation)
    write_choices(run, choices)
    return choices


def _baselines(config: dict[str, Any], dataset: Dataset, tests: Predictions) -> dict[str, dict[str, float]]:
    return baseline_accuracies(dataset, dataset.manifest.training_splits(config.get("fold")), tests)


def _validation_split(config: dict[str, Any], dataset: Dataset) -> str | None:
    """The split that neither training nor testing sees; None where the protocol trains on it or it is empty."""
    split = dataset.manifest.validation_split(config.get("fold"))
    trained_on = config["protocol"]["train_on"] != "split"
    return None if trained_on or dataset.count(split) == 0 else split


def _check_fits(run: Path, config: dict[str, Any], dataset: Dataset) -> None:
    if list(dataset.classes) != config["classes"]:
        raise UserError(
            f"{dataset.path}: has the classes {', '.join(dataset.classes)}, "
            f"{run} knows {', '.join(config['classes'])}; rebuild the dataset with --classes FILE that lists the "
            "model's classes in this order, and with --allow-missing-classes if it has no images of one"
        )
    for name, found in (("image_size", dataset.image_size), ("channels", dataset.channels)):
        if found != config[name]:
            flag = f"--{name.replace('_', '-')} {config[name]}"
            raise UserError(
                f"{dataset.path}: {name} is {found}, {run} takes {config[name]}; rebuild the dataset with {flag}"
            )
    _check_tests(dataset)


def _check_tests(dataset: Dataset) -> None:
    if not dataset.manifest.test_splits:
        raise UserError(
            f"{dataset.path}: has no test split; rebuild it with --split grouped or from sources with Testing folders"
        )


def _draw(
    config: dict[str, Any],
    tests: Predictions,
    choices: Choices | None,
    history: list[dict[str, float]],
    dataset: Dataset,
) -> dict[str, Figure]:
    sets = figures.figure_sets(tests)
    temperature = choices.temperature if choices else None
    protocol = config["protocol"]
    return {
        "Confusion matrix": figures.confusion_matrices(sets),
        "Class accuracy": figures.class_accuracy(sets),
        "ROC": figures.roc_curves(sets),
        "Precision recall": figures.precision_recall_curves(sets),
        "Reliability": figures.reliability_diagram(sets, {name: [temperature] for name in sets}),
        "Training curves": figures.training_curves(history),
        "Augmented examples": augmented_grid(
            dataset, protocol["augment"], contrast=protocol["contrast"], seed=config["seed"]
        ),
    }


def _read_history(path: Path) -> list[dict[str, float]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    except (TypeError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: is damaged ({error}); train again into another --out") from None
    if not rows or not {"seconds", "images_per_second"} <= rows[0].keys():
        raise UserError(f"{path}: has no epochs in it; train again into another --out")
    return rows


def _timing(history: list[dict[str, float]]) -> dict[str, float]:
    return {
        "epochs": len(history),
        "training_seconds": sum(row["seconds"] for row in history),
        "images_per_second": float(np.median([row["images_per_second"] for row in history])),
    }


def _describe(dataset: Dataset, tests: Predictions) -> dict[str, Any]:
    sources = dict.fromkeys(tests.sources.tolist())
    clean = {s: (int(tests.clean[tests.sources == s].sum()), int((tests.sources == s).sum())) for s in sources}
    return {
        "path": str(dataset.path),
        "fingerprint": dataset.fingerprint,
        "split": dataset.manifest.split,
        "splits": {name: split.num_examples for name, split in dataset.splits.items()},
        "clean": clean,
        "leaking": any(clean_images < images for clean_images, images in clean.values()),
    }
