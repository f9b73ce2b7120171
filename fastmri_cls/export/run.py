"""A RUN -> a folder for another runtime: the model, labels.txt and a card; checked, and whole or not there at all."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from fastmri_cls.dataset import Dataset
from fastmri_cls.export.card import export_card
from fastmri_cls.export.check import check_export
from fastmri_cls.export.formats import FORMATS, Exported
from fastmri_cls.foundation.atomic import new_directory
from fastmri_cls.foundation.checksums import file_sha256
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.gpus import exact_float32
from fastmri_cls.foundation.quiet import without_native_output
from fastmri_cls.inference.agreement import Agreement
from fastmri_cls.inference.runtimes import Outputs
from fastmri_cls.models.surgery import split_classifier
from fastmri_cls.records.split_names import fold_name, is_training
from fastmri_cls.runs.exports import ExportRecord, export_folder, write_record
from fastmri_cls.runs.run import Run

CALIBRATION_IMAGES = 128  # enough for ranges of activations: TensorFlow's guide speaks of 100 to 500
_CHECKED_IMAGES = 64


@exact_float32()
def export_run(run: Run, format_: str, out: Path, dataset: Dataset | None = None) -> Agreement:
    """Write the model of `run` to the folder `out`; return how far it agrees with the RUN's own.

    Args:
        run: a finished RUN.
        format_: one of FORMATS.
        out: the folder to make; an earlier export in RUN/exports/FORMAT is replaced.
        dataset: for calibration and check, with verified files; None for the RUN's own, in the folder where it was.

    Raises:
        UserError: the RUN or the dataset is not fit, the format is unknown, an extra is missing, or the check failed;
            then nothing is written.
    """
    if format_ not in FORMATS:
        raise UserError(f"--format {format_}: unknown; choose one of {', '.join(FORMATS)}")
    dataset = dataset or _own_dataset(run)
    _check_fits(dataset, run)
    model = run.model()
    checked = spread_images(dataset, dataset.manifest.test_splits or list(dataset.splits), _CHECKED_IMAGES)
    calibration = spread_images(dataset, _training_split(run, dataset), CALIBRATION_IMAGES)
    if format_ == "litert-int8" and not len(calibration):
        raise UserError(f"--data {dataset.path}: has no training images to calibrate int8 on; give the RUN's dataset")
    resize = run.config.dataset.resize or str(dataset.manifest.options["resize"])
    features, probabilities = split_classifier(model).forward(tf.cast(checked, tf.float32), training=False)
    expected = Outputs(np.asarray(probabilities), np.asarray(features))
    is_own = out == export_folder(run.path, format_)
    with new_directory(out, force=True if is_own else None) as folder:
        exported = Exported(model, dataset.classes, resize, calibration)
        with without_native_output():
            FORMATS[format_].write(exported, folder)
            agreement = check_export(format_, folder, checked, expected)
        (folder / "labels.txt").write_text("".join(f"{name}\n" for name in dataset.classes), encoding="utf-8")
        (folder / "README.md").write_text(
            export_card(format_, run.config, resize, dataset, agreement), encoding="utf-8"
        )
        write_record(folder, _record(run, format_, folder, agreement))
    return agreement


def _training_split(run: Run, dataset: Dataset) -> list[str]:
    """Return the split `train`, or the first fold that the RUN did not validate on."""
    held_out = None if run.config.fold is None else fold_name(run.config.fold)
    return [name for name in dataset.splits if is_training(name) and name != held_out][:1]


def _record(run: Run, format_: str, folder: Path, agreement: Agreement) -> ExportRecord:
    file = FORMATS[format_].file
    return ExportRecord(
        format=format_,
        file=file,
        sha256=file_sha256(folder / file) if file else None,
        model_sha256=file_sha256(run.model_file),
        checked_images=agreement.images,
        largest_difference=agreement.largest_difference,
    )


def _own_dataset(run: Run) -> Dataset:
    if not run.config.data.is_dir():
        raise UserError(f"{run.config.data}: the dataset of {run.path} is not there any more; say where with --data")
    return Dataset(run.config.data, verify=True)


def _check_fits(dataset: Dataset, run: Run) -> None:
    config = run.config
    for name, found, needed in (
        ("classes", dataset.classes, config.classes),
        ("image_size", dataset.image_size, config.image_size),
        ("channels", dataset.channels, config.channels),
    ):
        if found != needed:
            raise UserError(
                f"--data {dataset.path}: {name} is {found}, {run.path} has {needed}; give the RUN's dataset"
            )


def spread_images(dataset: Dataset, splits: list[str], most: int) -> np.ndarray:
    """Return at most `most` images of `splits`, evenly spread over them, uint8 [n, size, size, channels]."""
    count = dataset.count(splits)
    return dataset.images(splits, range(0, count, max(1, -(-count // most))))
