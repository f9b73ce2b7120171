"""The public functions that make, use and compare RUNs: `train`, `evaluate`, `predict`, `compare`, `export_model`.

Each imports its work when it is called, so that asking for help loads nothing heavy, and raises `UserError`, one line
with the cure, for what its caller can mend. The command line calls the same functions.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastmri_cls.comparison.report import Comparison
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.experiment import Evaluation
    from fastmri_cls.inference.agreement import Agreement
    from fastmri_cls.inference.predictor import Prediction, UnusableFile
    from fastmri_cls.runs.protocol import Protocol
    from fastmri_cls.runs.run import Run

__all__ = ["compare", "evaluate", "export_model", "predict", "train"]

StrPath = str | os.PathLike[str]


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
    device: str = "auto",
    devices: int | None = None,
    seed: int = 0,
    deterministic: bool = False,
    resume: bool = False,
    max_hours: float | None = None,
    track: str = "none",
) -> "Run | None":
    """Train a model in two phases, evaluate it on every test set and write the report.

    Args:
        dataset: a dataset, or its folder; or a folder or ZIP archive of class folders, which becomes a dataset in the
            cache folder, with the defaults of `build_dataset`, and is found again as long as no file changes.
        model: a name of `list_models()`, or `hybrid:A+B` for two backbones side by side.
        out: the RUN folder to make.
        protocol: the recipe: `strict`, `paper`, `notebook`, or one with changes: `Protocol.strict(phase1_epochs=5)`.
        weights: `default`, `imagenet`, `none`, the path of a weights file or an earlier RUN, or hf://user/name.
        feature_views: run the frozen backbone once over this many augmented views of each image; 0 trains on images.
        fold: the fold to validate on, of a dataset built with folds.
        cache: where decoded images are kept: `auto`, `none`, `ram` or `device`.
        precision: `auto`, `float32`, `mixed_bfloat16` or `mixed_float16`.
        xla: compile the training step: `auto`, `on` or `off`.
        strategy: `auto`, `single`, `mirrored` (all GPUs of this machine) or `multiworker`.
        device: `gpu` refuses a machine without one, `cpu` leaves GPUs alone, `auto` takes what there is.
        devices: number of GPUs, or of logical CPUs without a GPU; None for all.
        seed: of weights, augmentation and order, 0 to 2**32 - 1.
        deterministic: repeat bit for bit, at some speed.
        resume: go on with an interrupted RUN; start it if there is none.
        max_hours: save and stop after this time, to be resumed; None for no limit.
        track: send options, metrics and report to an experiment tracker: `none`, `mlflow` or `wandb`.

    Returns:
        The finished RUN; None on a worker that is not the chief.

    Raises:
        UserError: the dataset is unsound or unfit for the protocol, the weights cannot be had, `out` exists, ...
        Stopped: training was interrupted or `max_hours` are over; its state is saved, and `resume` goes on.
    """
    from fastmri_cls.foundation.gpus import use_device
    from fastmri_cls.foundation.progress import busy
    from fastmri_cls.foundation.quiet import import_tensorflow
    from fastmri_cls.runs.protocol import differences, resolve_protocol

    name, changes = (protocol, {}) if isinstance(protocol, str) else (protocol.name, differences(protocol))
    recipe = resolve_protocol(name, changes)  # which checks a protocol that was made without it
    if device == "gpu":  # a machine without one is refused before a dataset is built
        import_tensorflow()
        use_device(device)
    data = _dataset_for(dataset, recipe)
    with busy("loading TensorFlow"):
        import_tensorflow()
        from fastmri_cls.experiment import run_experiment
        from fastmri_cls.runs.options import TrainOptions
        from fastmri_cls.runs.run import Run

    evaluation = run_experiment(
        TrainOptions(
            data=data,
            model=model,
            out=Path(out),
            protocol=recipe,
            weights=str(weights),
            feature_views=feature_views,
            cache=cache,
            precision=precision,
            xla=xla,
            fold=fold,
            seed=seed,
            deterministic=deterministic,
            strategy=strategy,
            device=device,
            devices=devices,
            resume=resume,
            max_hours=max_hours,
            track=track,
        )
    )
    return Run(out) if evaluation else None


def _dataset_for(dataset: "Dataset | StrPath", protocol: "Protocol") -> Path:
    """Return the folder of a dataset, which is built if class folders are given."""
    if not isinstance(dataset, str | os.PathLike):
        return dataset.path
    from fastmri_cls.records.from_folder import dataset_of
    from fastmri_cls.records.options import BuildOptions, SplitOptions

    split = "grouped" if protocol.name == "strict" else "published"
    return dataset_of(Path(dataset), BuildOptions(resize=protocol.resize, splitting=SplitOptions(split)))


def evaluate(
    model: "Run | StrPath | Callable[[Any], Any]",
    dataset: "Dataset | StrPath",
    out: StrPath | None = None,
    *,
    preprocessing: str | None = None,
    classes: Sequence[str] | None = None,
    trained_on: StrPath | None = None,
    device: str = "auto",
) -> "Evaluation":
    """Evaluate a trained RUN, or a model that was not trained here, on the test sets of a dataset.

    `preprocessing`, `classes` and `trained_on` are for a model that was not trained here. No code that its file brings
    is run; a model that needs such code is refused.

    Args:
        model: a RUN or its folder; or a .keras, .h5 or .onnx file, a SavedModel folder, a .csv file of predictions, a
            Keras model, or any function of RGB images [n, height, width, 3] of the dataset's size (uint8 values of
            0..255 as float32, unless `preprocessing` says otherwise) that returns probabilities [n, classes].
        dataset: a dataset with the model's classes, or its folder; for a RUN with its image size and channels too.
        out: where results go. None: the RUN itself if it was trained on this dataset, and RUN/evaluations/NAME for
            another one; for other models MODEL-on-DATASET in the working directory.
        preprocessing: `0..255`, `0..1`, `-1..1`, `torch`, `caffe`, or `keras:MODULE` such as `keras:xception`. None
            tries the first five on validation images, and reports the best one as a guess.
        classes: names in the order of the outputs; None if the file names them.
        trained_on: the model's training set: a source of the dataset, or a folder or ZIP archive; None for the
            published Training folders of all sources. Test images in it, or duplicates of its images, are counted and
            compared with the others.
        device: `auto`, `gpu` or `cpu`, as in `train`.

    Returns:
        The metrics, and the folder that holds them with predictions, figures and report.

    Raises:
        UserError: the RUN is unfinished or damaged, the model is unfit or unsafe to open, the dataset does not fit it,
            or there is no such device.
    """
    from fastmri_cls.foundation.gpus import use_device
    from fastmri_cls.foundation.quiet import import_tensorflow

    import_tensorflow()
    use_device(device)
    from fastmri_cls import experiment
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.foundation.errors import UserError
    from fastmri_cls.hub.names import is_hub_address
    from fastmri_cls.referee.run import RefereeOptions, evaluate_model
    from fastmri_cls.runs.run import Run, is_run

    if isinstance(model, str | os.PathLike) and is_hub_address(model):
        raise UserError(f"{model}: its results go into a RUN; get it with fastmri-cls pull USER/NAME --out RUN first")
    data, folder = dataset if isinstance(dataset, Dataset) else Dataset(dataset), Path(out) if out else None
    given = Path(model) if isinstance(model, str | os.PathLike) else model
    if not isinstance(given, Run) and not (isinstance(given, Path) and is_run(given)):
        names, training_set = tuple(classes) if classes else None, str(trained_on) if trained_on else None
        options = RefereeOptions(preprocessing, names, training_set)
        return experiment.Evaluation(*evaluate_model(given, data, folder, options))
    if preprocessing or classes or trained_on:
        raise UserError(f"{model}: is a RUN, which knows its preprocessing, classes and training; leave them away")
    return experiment.evaluate(given if isinstance(given, Run) else Run(given), data, folder)


def predict(
    run: "Run | StrPath",
    paths: StrPath | Sequence[StrPath],
    *,
    batch_size: int | None = None,
    calibrated: bool = False,
    flips: bool = False,
    gradcam: StrPath | None = None,
    engine: str = "auto",
    device: str = "auto",
) -> "list[Prediction | UnusableFile]":
    """Predict images: a probability for each class, and an out-of-distribution score.

    Args:
        run: a trained RUN or its folder, or hf://user/name on the hub.
        paths: images, DICOM files, or folders or ZIP archives of them.
        batch_size: images in one forward pass; None for 32, on a GPU 128.
        calibrated: scale by the temperature fitted on validation.
        flips: test-time augmentation: average over each image and its left-right mirror image.
        gradcam: a folder to make, with a Grad-CAM overlay of each image.
        engine: `keras`, in float32; `onnx` or `litert`, an export in RUN/exports; `openvino`, faster on a CPU; `auto`,
            an export if it is up to date, else Keras, and for many images what is faster in a trial and agrees.
        device: `auto`, `gpu` or `cpu`, as in `train`.

    Returns:
        One result a file, in the order found: a `Prediction` with `path`, `probabilities` (in the order of the RUN's
        `config.classes`), `ood_score` and `overlay`; or an `UnusableFile` with `path` and `reason`.

    Raises:
        UserError: the RUN is unfinished or damaged, there is no image, or there is no such device.
    """
    from contextlib import ExitStack

    from fastmri_cls.foundation.atomic import new_directory
    from fastmri_cls.foundation.option_checks import check_range
    from fastmri_cls.hub.cached import open_run
    from fastmri_cls.inference.predictor import PredictOptions, Predictor, find_images

    check_range("--batch-size", batch_size, 1)
    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    files = find_images([Path(path) for path in given])
    with ExitStack() as stack:
        folder = stack.enter_context(new_directory(Path(gradcam))) if gradcam else None
        options = PredictOptions(batch_size, calibrated, flips, folder, engine, device)
        predictor = Predictor(open_run(run), options, files)
        return list(predictor.predict(files))


def compare(runs: "Sequence[Run | StrPath]", out: StrPath, *, overwrite: bool = False) -> "Comparison":
    """Compare RUNs: accuracy with intervals, paired tests, figures and disagreements, in tables and one HTML report.

    Args:
        runs: finished RUNs or their folders, or folders that `evaluate` made of other models, of the same test images.
            RUNs that differ in seed or fold alone are repeats of one system.
        out: the folder to make.
        overwrite: replace `out`, an earlier comparison.

    Returns:
        The systems, their numbers, tables and findings, and the test images on which they disagree.

    Raises:
        UserError: a RUN is unfinished or damaged, two were evaluated on different images, or `out` exists.
    """
    from fastmri_cls.comparison.report import compare_runs
    from fastmri_cls.runs.run import Run

    folders = [run.results if isinstance(run, Run) else Path(run) for run in runs]
    return compare_runs(folders, Path(out), force=overwrite)


def export_model(
    run: "Run | StrPath",
    format: str,
    out: StrPath | None = None,
    *,
    dataset: "Dataset | StrPath | None" = None,
    device: str = "auto",
) -> "Agreement":
    """Export a trained model with its preprocessing, labels and a card, checked in its own runtime on real images.

    Args:
        run: a finished RUN, or its folder.
        format: `saved_model`, `onnx`, `litert`, `litert-dynamic` or `litert-int8`.
        out: the folder to make; None for RUN/exports/FORMAT, where `predict` finds onnx and litert.
        dataset: for check and calibration; None for the one the RUN was trained on, in the folder where it was.
        device: `auto`, `gpu` or `cpu`, as in `train`: where the RUN's own model computes.

    Returns:
        How far the exported model agrees with the RUN's own.

    Raises:
        UserError: the RUN or the dataset is not fit, the format is unknown, an extra is missing, `out` exists, there is
            no such device, or the two models do not agree; then nothing is written.
    """
    from fastmri_cls.foundation.gpus import use_device
    from fastmri_cls.foundation.quiet import import_tensorflow

    import_tensorflow()
    use_device(device)
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.export.run import export_run
    from fastmri_cls.runs.exports import export_folder
    from fastmri_cls.runs.run import Run

    opened = run if isinstance(run, Run) else Run(run)
    data = dataset if isinstance(dataset, Dataset) or dataset is None else Dataset(dataset, verify=True)
    return export_run(opened, format, Path(out) if out else export_folder(opened.path, format), data)
