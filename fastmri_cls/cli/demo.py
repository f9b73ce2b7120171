"""`fastmri-cls demo`."""

import json
import shutil
import time
from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.output import AsJson, print_document


def demo(
    out: Annotated[Path, typer.Option(help="The folder to make: sources, dataset and run.")] = Path("fastmri-cls-demo"),
    as_json: AsJson = False,
) -> None:
    """Try everything on synthetic brain slices: build, train, evaluate and report. Takes minutes on two cores.

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
        names = list(write_phantom_sources(folder, training=120, testing=40))
    print("2. build-tfrecords alpha=… beta=… --image-size 128")
    sources = parse_sources([f"{name}={out / 'sources' / name}" for name in names])
    workers = available_cores()
    build_dataset(sources, ClassNames(), BuildOptions(image_size=128), out / "dataset", workers)
    print_dataset(Dataset(out / "dataset"))

    # Imported after the build, whose worker processes need no TensorFlow.
    from fastmri_cls.experiment import run_experiment
    from fastmri_cls.runs import files
    from fastmri_cls.runs.metrics import to_json
    from fastmri_cls.runs.options import TrainOptions
    from fastmri_cls.runs.protocol import resolve_protocol

    print("3. train --model small-cnn --phase1-epochs 12 --phase2-epochs 3 --batch-size 16, then evaluate and report")
    protocol = resolve_protocol("strict", {"phase1_epochs": 12, "phase2_epochs": 3, "batch_size": 16})
    found = run_experiment(TrainOptions(out / "dataset", "small-cnn", out / "run", protocol))
    if not found:  # a worker that is not the chief
        return
    print_metrics(found.metrics)
    seconds, report = time.monotonic() - started, found.folder / files.REPORT
    print(f"report: {report}  ({seconds:.0f} s in total)")
    example = next((out / "sources").rglob("Testing"))
    print(f"next: fastmri-cls predict {out / 'run'} {example} --out {out / 'predictions.csv'}")
    if as_json:
        document = {"report": str(report), "seconds": round(seconds, 1), "tests": to_json(found.metrics)["tests"]}
        print_document(json.dumps(document))


def _make_room(out: Path) -> None:
    """Remove an earlier demo; refuse any other folder."""
    from fastmri_cls.foundation.errors import UserError

    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / "sources" / "alpha").is_dir():
        raise UserError(f"{out}: exists and is not an earlier demo; choose another --out")
    shutil.rmtree(out)
