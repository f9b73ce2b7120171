"""The public functions: plain Python arguments in, one call of the package's work, typed results out.

`import fastmri_cls as fc` offers them as `fc.train(...)` and so on, and the command line calls them too. Each imports
its work when it is called, so that asking for help loads nothing heavy. All raise `UserError`, one line with the cure,
for what their caller can mend.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fastmri_cls.foundation.progress import show_log

if TYPE_CHECKING:
    from fastmri_cls.auditing.findings import Findings
    from fastmri_cls.comparison.report import Comparison
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.experiment import Evaluation
    from fastmri_cls.export.check import Agreement
    from fastmri_cls.inference.predictor import Prediction, UnusableFile
    from fastmri_cls.runs.protocol import Protocol
    from fastmri_cls.runs.run import Run

__all__ = [
    "audit", "build_dataset", "compare", "evaluate", "export_model", "predict", "show_log", "train",
]  # fmt: skip

StrPath = str | os.PathLike[str]
Sources = Mapping[str, StrPath] | Sequence[StrPath] | StrPath


def build_dataset(
    sources: Sources,
    out: StrPath,
    *,
    image_size: int = 224,
    resize: str = "bilinear",
    channels: str | int = "auto",
    encoding: str = "raw",
    split: str = "grouped",
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    leakage: str = "report",
    keep_duplicates: bool = False,
    folds: int | None = None,
    classes: StrPath | None = None,
    table: Sequence[str] = (),
    allow_unlisted: bool = False,
    patient_pattern: str | None = None,
    inherit: str | None = None,
    slices: str | int = "content",
    shards: int | None = None,
    max_rejected: float = 0.05,
    allow_missing_classes: bool = False,
    workers: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> "Dataset":
    """Build a dataset of TFRecord shards from folders of images.

    Every file is read once; duplicates in all orientations are found and kept on one side of the split. The folder
    appears whole or not at all.

    Args:
        sources: folders of class folders, or ZIP archives of them, by name, as `{"nickparvar": "archive1"}`; or alone.
        out: the dataset folder to make.
        image_size: height and width of the stored images, 16 to 2048 pixels.
        resize: `bilinear` (antialiased), `nearest` or `lanczos`.
        channels: 1, 3, or `auto` for 1 if all images are grey.
        encoding: `raw` reads fastest, `png` is smaller, `jpeg` is smallest and lossy.
        split: `grouped` pools all images and keeps groups whole; `published` keeps the sources' Training and Testing.
        val_fraction: fraction of the images outside the test set, 0 to 0.9.
        test_fraction: fraction of all images, for `grouped`, 0 to 0.9.
        leakage: with `published`, training images that duplicate a test image are kept (`report`), removed (`drop`) or
            an error (`fail`).
        keep_duplicates: keep exact duplicates within a split.
        folds: divide the images outside the test set into this many folds instead of train and val.
        classes: a file of class names, one a line: `name: alias, ...`.
        table: CSV or TSV files with `filename` and any of `label`, `patient`, `split`; `NAME=FILE` for one source.
        allow_unlisted: accept images that a table leaves out.
        patient_pattern: regular expression whose first group, found in a file name, is the patient.
        inherit: `patients`: an image without a patient gets that of the image it duplicates.
        slices: axial slices of NIfTI volumes: `content`, `middle`, `all`, or a number of evenly spread ones.
        shards: of each split; None for one a 2048 images.
        max_rejected: fraction of unreadable files to accept, 0 to 1.
        allow_missing_classes: accept a source or split without a class that another one has.
        workers: processes; None for one a core.
        seed: of the split and the order of the training images.
        overwrite: replace `out`.

    Returns:
        The dataset, opened.

    Raises:
        UserError: a source cannot be read, too many files are unreadable, a class is missing, `out` exists, ...
    """
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.foundation.cpu import available_cores
    from fastmri_cls.records import build
    from fastmri_cls.records.options import BuildOptions, MetadataOptions, SplitOptions
    from fastmri_cls.sources.classes import ClassNames, read_classes
    from fastmri_cls.sources.folders import parse_sources

    splitting = SplitOptions(split, val_fraction, test_fraction, leakage, keep_duplicates, folds, seed)
    options = BuildOptions(
        image_size=image_size,
        resize=resize,
        channels=str(channels),
        encoding=encoding,
        splitting=splitting,
        metadata=MetadataOptions(tuple(table), allow_unlisted, patient_pattern, inherit, str(slices)),
        shards=shards,
        max_rejected=max_rejected,
        allow_missing_classes=allow_missing_classes,
    )
    build.build_dataset(
        parse_sources(_source_arguments(sources)),
        read_classes(Path(classes)) if classes else ClassNames(),
        options,
        Path(out),
        workers or available_cores(),
        force=overwrite,
    )
    return Dataset(out)


def audit(
    sources: "Sources | Dataset",
    out: StrPath,
    *,
    classes: StrPath | None = None,
    table: Sequence[str] = (),
    allow_unlisted: bool = False,
    patient_pattern: str | None = None,
    inherit: str | None = None,
    slices: str | int = "content",
    write_patients: StrPath | None = None,
    labels: bool = False,
    workers: int | None = None,
    overwrite: bool = False,
) -> "Findings":
    """Find duplicates in every orientation, leaks into test sets, and conflicting or doubtful labels.

    Args:
        sources: folders or archives, as for `build_dataset`; or a dataset, which is audited as it was split.
        out: the folder to make, with audit.html, audit.json and audit.csv.
        classes: a file of class names, one a line: `name: alias, ...`.
        table: CSV or TSV files with `filename` and any of `label`, `patient`, `split`; `NAME=FILE` for one source.
        allow_unlisted: accept images that a table leaves out.
        patient_pattern: regular expression whose first group, found in a file name, is the patient.
        inherit: `patients`: an image without a patient gets that of the image it duplicates.
        slices: axial slices of NIfTI volumes: `content`, `middle`, `all`, or a number of evenly spread ones.
        write_patients: a file for the inherited ids, as the table has them; for public tables only.
        labels: rank all images by how doubtful their label is; needs the extra `labels` and pretrained weights.
        workers: processes; None for one a core.
        overwrite: replace `out`, an earlier audit.

    Returns:
        The findings: what audit.json holds.

    Raises:
        UserError: a source cannot be read, no image can be used, `out` exists, or `labels` lacks what it needs.
    """
    from fastmri_cls.auditing import run
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.foundation.cpu import available_cores
    from fastmri_cls.records.options import MetadataOptions
    from fastmri_cls.sources.classes import ClassNames, read_classes

    names = read_classes(Path(classes)) if classes else ClassNames()
    arguments = [str(sources.path)] if isinstance(sources, Dataset) else _source_arguments(sources)
    return run.audit(
        arguments,
        names,
        Path(out),
        workers or available_cores(),
        MetadataOptions(tuple(table), allow_unlisted, patient_pattern, inherit, str(slices)),
        write_patients=Path(write_patients) if write_patients else None,
        labels=labels,
        force=overwrite,
    )


def train(
    dataset: "Dataset | StrPath",
    model: str,
    out: StrPath,
    *,
    protocol: "Protocol | str" = "strict",
    weights: str = "default",
    feature_views: int = 0,
    fold: int | None = None,
    cache: str = "auto",
    precision: str = "auto",
    xla: str = "auto",
    strategy: str = "auto",
    devices: int | None = None,
    seed: int = 0,
    deterministic: bool = False,
    resume: bool = False,
) -> "Run | None":
    """Train a model in two phases, evaluate it on every test set and write the report.

    Args:
        dataset: a dataset, or its folder.
        model: a name of `list_models()`, or `hybrid:A+B` for two backbones side by side.
        out: the RUN folder to make.
        protocol: the recipe: `strict`, `paper`, `notebook`, or one with changes: `Protocol.strict(phase1_epochs=5)`.
        weights: `default`, `imagenet`, `none`, or the path of a weights file or an earlier RUN.
        feature_views: run the frozen backbone once over this many augmented views of each image; 0 trains on images.
        fold: the fold to validate on, of a dataset built with folds.
        cache: where decoded images are kept: `auto`, `none`, `ram` or `device`.
        precision: `auto`, `float32`, `mixed_bfloat16` or `mixed_float16`.
        xla: compile the training step: `auto`, `on` or `off`.
        strategy: `auto`, `single`, `mirrored` (all GPUs of this machine) or `multiworker`.
        devices: number of GPUs, or of logical CPUs without a GPU; None for all.
        seed: of weights, augmentation and order, 0 to 2**32 - 1.
        deterministic: repeat bit for bit, at some speed.
        resume: go on with an interrupted RUN; start it if there is none.

    Returns:
        The finished RUN; None on a worker that is not the chief.

    Raises:
        UserError: the dataset is unsound or unfit for the protocol, the weights cannot be had, `out` exists, ...
        Stopped: training was interrupted; its state is saved, and `resume` goes on.
    """
    from fastmri_cls.foundation.quiet import import_tensorflow

    import_tensorflow()
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.experiment import run_experiment
    from fastmri_cls.runs.options import TrainOptions
    from fastmri_cls.runs.protocol import resolve_protocol
    from fastmri_cls.runs.run import Run

    evaluation = run_experiment(
        TrainOptions(
            data=dataset.path if isinstance(dataset, Dataset) else Path(dataset),
            model=model,
            out=Path(out),
            protocol=resolve_protocol(protocol, {}) if isinstance(protocol, str) else protocol,
            weights=str(weights),
            feature_views=feature_views,
            cache=cache,
            precision=precision,
            xla=xla,
            fold=fold,
            seed=seed,
            deterministic=deterministic,
            strategy=strategy,
            devices=devices,
            resume=resume,
        )
    )
    return Run(out) if evaluation else None


def evaluate(run: "Run | StrPath", dataset: "Dataset | StrPath", out: StrPath | None = None) -> "Evaluation":
    """Evaluate a trained RUN on the test sets of a dataset.

    Args:
        run: a RUN, or its folder.
        dataset: a dataset with the RUN's classes, image size and channels, or its folder.
        out: where results go; None for the RUN itself if it was trained on this dataset, and RUN/evaluations/NAME for
            another one.

    Returns:
        The metrics, and the folder that holds them with predictions, figures and report.

    Raises:
        UserError: the RUN is unfinished or damaged, or the dataset does not fit it.
    """
    from fastmri_cls.foundation.quiet import import_tensorflow

    import_tensorflow()
    from fastmri_cls import experiment
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.runs.run import Run

    opened = run if isinstance(run, Run) else Run(run)
    data = dataset if isinstance(dataset, Dataset) else Dataset(dataset)
    return experiment.evaluate(opened, data, Path(out) if out else None)


def predict(
    run: "Run | StrPath",
    paths: StrPath | Sequence[StrPath],
    *,
    batch_size: int = 32,
    calibrated: bool = False,
    flips: bool = False,
    gradcam: StrPath | None = None,
) -> "list[Prediction | UnusableFile]":
    """Predict images: a probability for each class, and an out-of-distribution score.

    Args:
        run: a trained RUN, or its folder.
        paths: images, DICOM files, or folders of them.
        batch_size: images in one forward pass.
        calibrated: scale by the temperature fitted on validation.
        flips: test-time augmentation: average over each image and its left-right mirror image.
        gradcam: a folder to make, with a Grad-CAM overlay of each image.

    Returns:
        One result a file, in the order found. A file that cannot be used gives its reason.

    Raises:
        UserError: the RUN is unfinished or damaged, or there is no image.
    """
    from contextlib import ExitStack

    from fastmri_cls.foundation.quiet import import_tensorflow

    import_tensorflow()
    from fastmri_cls.foundation.atomic import new_directory
    from fastmri_cls.inference.predictor import PredictOptions, Predictor, find_images
    from fastmri_cls.runs.run import Run

    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    files = find_images([Path(path) for path in given])
    with ExitStack() as stack:
        folder = stack.enter_context(new_directory(Path(gradcam))) if gradcam else None
        opened = run if isinstance(run, Run) else Run(run)
        predictor = Predictor(opened, PredictOptions(batch_size, calibrated, flips, folder))
        return list(predictor.predict(files))


def compare(runs: "Sequence[Run | StrPath]", out: StrPath, *, overwrite: bool = False) -> "Comparison":
    """Compare RUNs: accuracy with intervals, paired tests, figures and disagreements, in tables and one HTML report.

    Args:
        runs: finished RUNs or their folders, evaluated on the same test images. RUNs that differ in seed or fold alone
            are repeats of one system.
        out: the folder to make.
        overwrite: replace `out`, an earlier comparison.

    Raises:
        UserError: a RUN is unfinished or damaged, two were evaluated on different images, or `out` exists.
    """
    from fastmri_cls.comparison.report import compare_runs
    from fastmri_cls.runs.run import Run

    folders = [run.results if isinstance(run, Run) else Path(run) for run in runs]
    return compare_runs(folders, Path(out), force=overwrite)


def export_model(
    run: "Run | StrPath", format: str, out: StrPath, *, dataset: "Dataset | StrPath | None" = None
) -> "Agreement":
    """Export a trained model with its preprocessing, labels and a card, checked in its own runtime on real images.

    Args:
        run: a finished RUN, or its folder.
        format: `saved_model`, `onnx`, `litert`, `litert-dynamic` or `litert-int8`.
        out: the folder to make.
        dataset: for check and calibration; None for the one the RUN was trained on, in the folder where it was.

    Returns:
        How far the exported model agrees with the RUN's own.

    Raises:
        UserError: the RUN or the dataset is not fit, the format is unknown, an extra is missing, `out` exists, or the
            two models do not agree; then nothing is written.
    """
    from fastmri_cls.foundation.quiet import import_tensorflow

    import_tensorflow()
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.export.run import export_run
    from fastmri_cls.runs.run import Run

    opened = run if isinstance(run, Run) else Run(run)
    data = dataset if isinstance(dataset, Dataset) or dataset is None else Dataset(dataset, verify=True)
    return export_run(opened, format, Path(out), data)


def _source_arguments(sources: Sources) -> list[str]:
    """Return sources as the command line writes them: NAME=PATH, or PATH."""
    if isinstance(sources, Mapping):
        return [f"{name}={os.fspath(path)}" for name, path in sources.items()]
    if isinstance(sources, str | os.PathLike):
        return [os.fspath(sources)]
    return [os.fspath(path) for path in sources]
