"""`fastmri-cls predict`."""

import json
import sys
import time
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer

from fastmri_cls.cli.device import DeviceOption, import_tensorflow_for
from fastmri_cls.cli.output import AsJson, print_document


class Format(StrEnum):
    """How results are written."""

    csv = "csv"
    jsonl = "jsonl"


def predict(
    run: Annotated[Path, typer.Argument(help="A finished RUN folder, or hf://USER/NAME.")],
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Images, DICOM files, or folders or ZIP archives of them.")
    ],
    out: Annotated[Path | None, typer.Option(help="The file to write; stdout by default.")] = None,
    format_: Annotated[Format, typer.Option("--format", help="A table, or one JSON object a line.")] = Format.csv,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images in one forward pass. [default: 32; 128 on a GPU]")
    ] = None,
    calibrated: Annotated[
        bool, typer.Option("--calibrated", help="Scale by the temperature fitted on validation.")
    ] = False,
    flips: Annotated[
        bool,
        typer.Option("--flips", help="Test-time augmentation: average over the image and its mirror image."),
    ] = False,
    gradcam: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Make this folder, with the Grad-CAM heat map of each image.")
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            metavar="ENGINE",
            help="keras, in float32; onnx or litert, an export in RUN/exports, which starts without TensorFlow; "
            "openvino, faster on a CPU; auto: an export if it is up to date, else keras, and for 1000 images or more "
            "another engine if a trial shows that it is faster and agrees.",
        ),
    ] = "auto",
    device: DeviceOption = "auto",
    as_json: AsJson = False,
) -> None:
    """Predict images: a probability for each class and an out-of-distribution score (above 1: unusual).

    A file that is not a usable image gets the reason in the column `error`.

    Example: `fastmri-cls predict runs/first scans/ --out predictions.csv --gradcam heat`
    """
    from fastmri_cls.foundation.errors import UserError

    if out and gradcam and out.resolve().is_relative_to(gradcam.resolve()):
        raise UserError(f"--out {out}: lies in --gradcam {gradcam}, which is made anew; choose a file beside it")
    if device == "gpu":
        import_tensorflow_for(device)  # so that a machine without one is refused first
    from fastmri_cls.foundation.atomic import new_directory, new_file
    from fastmri_cls.foundation.progress import log, track
    from fastmri_cls.hub.cached import open_run
    from fastmri_cls.inference.predictor import PredictOptions, Predictor, UnusableFile, find_images
    from fastmri_cls.inference.writers import Row, csv_writer, jsonl_writer, row_collector
    from fastmri_cls.sources.notes import NoteCounts

    files = find_images(paths)
    with ExitStack() as stack:
        folder = stack.enter_context(new_directory(gradcam)) if gradcam else None
        options = PredictOptions(batch_size, calibrated, flips, folder, engine, device)
        predictor = Predictor(open_run(run), options, files)
        target: TextIO = sys.stdout
        if out:
            target = stack.enter_context(stack.enter_context(new_file(out)).open("w", newline="", encoding="utf-8"))
        rows: list[Row] = []
        if as_json and not out:
            write = row_collector(rows, predictor)
        else:
            write = (csv_writer if format_ is Format.csv else jsonl_writer)(target, predictor)
        failures: list[UnusableFile] = []
        notes = NoteCounts()
        started = time.perf_counter()
        for result in track(predictor.predict(files), "predicting", len(files)):
            write(result)
            if isinstance(result, UnusableFile):
                failures.append(result)
                log.warning(f"{result.path}: {result.reason}")
            else:
                notes.add(str(result.path), result.notes)
        seconds = time.perf_counter() - started
        for line in notes.lines():
            log.warning(line)
        if len(failures) == len(files):
            raise UserError(
                f"none of {len(files)} files can be used; the first, {failures[0].path}: {failures[0].reason}"
            )
    summary = {
        "images": len(files) - len(failures),
        "failed": len(failures),
        "engine": predictor.engine.name,
        "precision": predictor.engine.precision,
        "seconds": round(seconds, 3),
        "images_per_second": round((len(files) - len(failures)) / seconds, 1),
    }
    if out:
        print(f"predictions: {out}  ({summary['images']} images, {summary['failed']} failed)")
    if as_json:
        print_document(json.dumps(summary if out else {**summary, "predictions": rows}, ensure_ascii=False))
