"""`fastmri-cls demo`."""

import os
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
    from fastmri_cls.foundation.atomic import new_directory
    from fastmri_cls.records.build import BuildOptions, build_dataset
    from fastmri_cls.report.tables import print_dataset, print_metrics
    from fastmri_cls.sources.folders import ClassNames, parse_sources
    from fastmri_cls.sources.phantom import write_phantom_sources

    started = time.monotonic()
    with new_directory(out, force=(out / "run").is_dir()) as folder:
        print("1. drawing two sources of phantom slices, some files of which are broken")
        sources = write_phantom_sources(folder / "sources", training=120, testing=40)
        print("2. build-tfrecords alpha=… beta=… --image-size 128")
        arguments = [f"{name}={path}" for name, path in sources.items()]
        workers = len(os.sched_getaffinity(0))
        manifest = build_dataset(
            parse_sources(arguments), ClassNames(), BuildOptions(image_size=128), folder / "dataset", workers
        )
        print_dataset(manifest, out / "dataset")

        # Imported after the build: its worker processes do without TensorFlow.
        from fastmri_cls.experiment import run_experiment
        from fastmri_cls.training.options import TrainOptions
        from fastmri_cls.training.protocol import resolve_protocol

        print("3. train --model small-cnn, then evaluate and report")
        protocol = resolve_protocol("strict", {"phase1_epochs": 12, "phase2_epochs": 3})
        metrics = run_experiment(TrainOptions(folder / "dataset", "small-cnn", folder / "run", protocol))
    print_metrics(metrics)
    print(f"report: {out / 'run' / 'report.html'}  ({time.monotonic() - started:.0f} s in all)")
