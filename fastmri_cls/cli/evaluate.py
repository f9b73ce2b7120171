"""`fastmri-cls evaluate`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.device import DeviceOption
from fastmri_cls.cli.output import AsJson, print_document

_OTHERS = "A model that was not trained here"


def evaluate(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A finished RUN folder; or a model that was not trained here: a .keras, .h5 or .onnx file, a "
            "SavedModel folder, or a .csv file of predictions made elsewhere.",
        ),
    ],
    data: Annotated[Path, typer.Option(help="A dataset folder with the same classes.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the results. By default RUN for the dataset it was trained on, "
            "RUN/evaluations/NAME for any other, and MODEL-on-DATASET for a model that was not trained here."
        ),
    ] = None,
    preprocessing: Annotated[
        str | None,
        typer.Option(
            help="How the model expects values of 0..255 to be preprocessed: `0..255`, `0..1`, `-1..1`, `torch`, "
            "`caffe`, or `keras:MODULE` such as keras:xception. By default each of the first five is tried on "
            "validation images, and the best one is reported as a guess.",
            rich_help_panel=_OTHERS,
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Classes in the order of the model's outputs. By default as the file, or labels.txt beside it, names "
            "them.",
            rich_help_panel=_OTHERS,
        ),
    ] = None,
    trained_on: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="The model's training set: a source of the dataset, or a folder or ZIP archive. Test images that lie "
            "in it or duplicate one of its images are counted and compared with the others. By default the published "
            "Training folders of all sources.",
            rich_help_panel=_OTHERS,
        ),
    ] = None,
    device: DeviceOption = "auto",
    as_json: AsJson = False,
) -> None:
    """Evaluate a RUN, or somebody else's model, on a dataset: predictions.csv, metrics.json, figures/ and report.html.

    Results on another dataset never replace those on the RUN's own. Code that a model file brings is never run.

    Example: `fastmri-cls evaluate runs/first --data data/mri`

    Example: `fastmri-cls evaluate their.onnx --data data/mri --classes glioma,meningioma,notumor,pituitary`
    """
    import fastmri_cls as fc
    from fastmri_cls.report.tables import print_metrics
    from fastmri_cls.report.trained_on import trained_on_findings
    from fastmri_cls.runs import files
    from fastmri_cls.runs.metrics import to_json

    found = fc.evaluate(
        model,
        data,
        out,
        preprocessing=preprocessing,
        classes=[name.strip() for name in classes.split(",")] if classes else None,
        trained_on=trained_on,
        device=device,
    )
    print_metrics(found.metrics)
    for sentence in trained_on_findings(found.metrics.trained_on) if found.metrics.trained_on else ():
        print(sentence)
    print(f"report: {found.folder / files.REPORT}")
    if as_json:
        print_document(json.dumps(to_json(found.metrics)["tests"]))
