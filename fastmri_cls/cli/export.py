"""`fastmri-cls export`."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import fastmri_cls as fc
from fastmri_cls.cli.device import DeviceOption
from fastmri_cls.cli.output import AsJson, print_document


class Format(StrEnum):
    """Formats of an exported model."""

    saved_model = "saved_model"
    onnx = "onnx"
    litert = "litert"
    litert_dynamic = "litert-dynamic"
    litert_int8 = "litert-int8"


def export(
    run: Annotated[Path, typer.Argument(help="A finished RUN folder.")],
    format_: Annotated[
        Format,
        typer.Option(
            "--format",
            help="saved_model is for TensorFlow Serving; litert-dynamic has int8 weights; litert-int8 is for integer "
            "hardware. onnx and the litert formats need an extra.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The folder to make. [default: RUN/exports/FORMAT, where predict finds onnx and litert]"),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="The dataset of the RUN, for check and calibration. [default: the folder it was trained on]"),
    ] = None,
    device: DeviceOption = "auto",
    as_json: AsJson = False,
) -> None:
    """Export a trained model with its preprocessing, labels and a card, checked in its own runtime on real images.

    Example: `fastmri-cls export runs/first --format saved_model --out served/mri`
    """
    from fastmri_cls.runs.exports import export_folder

    out = out or export_folder(run, format_.value)
    agreement = fc.export_model(run, format_.value, out, dataset=data, device=device)
    from fastmri_cls.report.tables import terminal

    console = terminal()
    console.print(f"check: {agreement.sentence}", soft_wrap=True)
    console.print(f"{format_.value}: {out}", soft_wrap=True)
    console.print(f"next: {out / 'README.md'} says how to run it", soft_wrap=True)
    if as_json:
        print_document(json.dumps({"out": str(out), **agreement.as_json()}))
