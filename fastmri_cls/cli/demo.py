"""`fastmri-cls demo`."""

import shutil
import time
from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Where sources, dataset and run are laid.")] = Path("fastmri-cls-demo"),
) -> None:
    """Run the whole chain on drawn brain slices: build, train, evaluate, report; minutes on two cores.

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
    print("1. drawing two sources of phantom slices, some files of which are broken")
    with new_directory(out / "sources") as folder:
        names = list(write_phantom_sources(folder, training=120, testing=40))
    print("2. build-tfrecords alpha=… beta=… --image-size 128")
    sources = parse_sources([f"{name}={out / 'sources' / name}" for name in names])
    workers = available_cores()
    build_dataset(sources, ClassNames(), BuildOptions(image_size=128), out / "dataset", workers)
    print_dataset(Dataset(out / "dataset"))

    # Imported after the build: its worker processes do without TensorFlow.
    from fastmri_cls.evaluate import run_experiment
    from fastmri_cls.runs.options import TrainOptions
    from fastmri_cls.runs.protocol import resolve_protocol

    print("3. train --model small-cnn --phase1-epochs 12 --phase2-epochs 3 --batch-size 16, then evaluate and report")
    protocol = resolve_protocol("strict", {"phase1_epochs": 12, "phase2_epochs": 3, "batch_size": 16})
    metrics = run_experiment(TrainOptions(out / "dataset", "small-cnn", out / "run", protocol))
    print_metrics(metrics)
    print(f"report: {out / 'run' / 'report.html'}  ({time.monotonic() - started:.0f} s in all)")


def _make_room(out: Path) -> None:
    """Remove an earlier demo, and nothing else."""
    from fastmri_cls.foundation.errors import UserError

    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / "sources" / "alpha").is_dir():
        raise UserError(f"{out}: exists and holds no earlier demo; choose another --out")
    shutil.rmtree(out)
