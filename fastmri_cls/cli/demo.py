"""`fastmri-cls demo`."""

import json
import shutil
import time
from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.output import AsJson, command_line, print_document

_PRETRAINED = "efficientnet-lite0"

# Changes to the recipe: few images need higher rates and fewer epochs than the paper's.
_FINE_TUNING = {
    "phase1_epochs": 12, "phase1.learning_rate": 1e-3, "phase2_epochs": 6, "phase2.learning_rate": 3e-5,
}  # fmt: skip
_FROM_SCRATCH = {"phase1_epochs": 12, "phase2_epochs": 3, "batch_size": 16}
_FEATURE_VIEWS = 2
_MADE = ("sources", "dataset", "run")  # the folders of a demo; others beside them are the user's


def demo(
    out: Annotated[Path, typer.Option(help="The folder to make: sources, dataset and run.")] = Path("fastmri-cls-demo"),
    as_json: AsJson = False,
) -> None:
    """Try everything on synthetic brain slices: build, train, evaluate and report. Takes minutes on two cores.

    Fine-tunes EfficientNet-Lite0 with ImageNet weights if the extra lite0 is installed; otherwise it trains small-cnn
    from scratch. Some lesions are drawn so faint that the report has errors to look at.

    Example: `fastmri-cls demo`
    """
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.foundation.atomic import new_directory
    from fastmri_cls.foundation.cpu import available_cores
    from fastmri_cls.records.build import build_dataset
    from fastmri_cls.records.options import BuildOptions
    from fastmri_cls.report.tables import print_dataset, print_metrics
    from fastmri_cls.sources.classes import ClassNames
    from fastmri_cls.sources.folders import parse_sources
    from fastmri_cls.sources.phantom import write_phantom_sources

    started = time.monotonic()
    _make_room(out)
    print("1. making two sources of synthetic slices, with a few broken files")
    with new_directory(out / "sources") as folder:
        names = list(write_phantom_sources(folder, training=120, testing=40, faint=0.3))
    print("2. build-tfrecords alpha=… beta=… --image-size 128")
    sources = parse_sources([f"{name}={out / 'sources' / name}" for name in names])
    workers = available_cores()
    build_dataset(sources, ClassNames(), BuildOptions(image_size=128), out / "dataset", workers)
    print_dataset(Dataset(out / "dataset"))

    # Imported after the build, whose worker processes need no TensorFlow.
    from fastmri_cls.foundation.quiet import import_tensorflow

    import_tensorflow()
    from fastmri_cls.experiment import run_experiment
    from fastmri_cls.foundation.extras import missing_extra
    from fastmri_cls.runs import files
    from fastmri_cls.runs.metrics import to_json
    from fastmri_cls.runs.options import TrainOptions
    from fastmri_cls.runs.protocol import resolve_protocol

    protocol = resolve_protocol("strict", _FINE_TUNING if _has_pretrained() else _FROM_SCRATCH)
    if _has_pretrained():
        options = TrainOptions(out / "dataset", _PRETRAINED, out / "run", protocol, feature_views=_FEATURE_VIEWS)
    else:
        print(f"{_PRETRAINED} has no weights here: {missing_extra('lite0')}; training small-cnn from scratch instead")
        options = TrainOptions(out / "dataset", "small-cnn", out / "run", protocol)
    print(f"3. train --model {options.model}, then evaluate and report; {options.out}/train.yaml has the recipe")
    found = run_experiment(options)
    if not found:  # a worker that is not the chief
        return
    print_metrics(found.metrics)
    seconds, report = time.monotonic() - started, found.folder / files.REPORT
    print(f"report: {report}  ({seconds:.0f} s in total)")
    example = next((out / "sources").rglob("Testing"))
    print(f"next: {command_line('predict', out / 'run', example, '--out', out / 'predictions.csv')}")
    if as_json:
        document = {"report": str(report), "seconds": round(seconds, 1), "tests": to_json(found.metrics)["tests"]}
        print_document(json.dumps(document))


def _has_pretrained() -> bool:
    from fastmri_cls.models.pretrained import all_sets

    return any(published.model == _PRETRAINED and published.path.exists() for published in all_sets())


def _make_room(out: Path) -> None:
    """Remove what an earlier demo made in `out`, and nothing else; refuse a folder that no demo has written to.

    Raises:
        UserError: see above.
    """
    from fastmri_cls.foundation.errors import UserError

    if not out.exists() or not any(out.iterdir()):
        return
    if not any((out / begun).is_dir() for begun in ("sources/alpha", ".sources.incomplete")):
        raise UserError(f"{out}: exists and is not an earlier demo; choose another --out")
    for name in _MADE:
        if (out / name).exists():
            shutil.rmtree(out / name)
