"""What `fastmri-cls build-tfrecords` costs beside a plain loop that only decodes and resizes the same files.

python benchmarks/build.py --json
    images a second on 512 px JPEG files of drawn slices, with 1 and 2 workers
python benchmarks/build.py --source DIR --json
    the same on the class folders of DIR
python benchmarks/build.py --source NAME=DIR NAME=DIR --growth --json
    seconds of builds of 1 000, 5 000 and all images: whether the cost stays linear

`pil-loop` opens a file with Pillow, resizes it to 224 px (bilinear) and takes its pixels, in one process;
`pil-loop-grey` makes it grey first, as the stored images are. `pass-N` does what a build does with every file: decode
any kind, hash, fingerprint in four orientations, resize, encode, spool, with N workers, whose start counts. `build-N`
is the whole build: the pass, the search for copies, the split, shards, checksums, fsync.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fastmri_cls.foundation.environment import describe
from fastmri_cls.foundation.progress import show_log
from fastmri_cls.records.catalogue import Spool, collect
from fastmri_cls.records.ingest import StorageForm, ingest
from fastmri_cls.records.options import BuildOptions
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import Source, SourceFile, parse_sources
from fastmri_cls.sources.scan import scan

SIZE = 224
DRAWN_SIZE = 512
BASELINE = "pil-loop"
GROWTH = (1_000, 5_000)  # and all


def write_jpegs(folder: Path, count: int) -> Path:
    """Draw `count` slices into class folders, as RGB JPEG files like most of the public sets'."""
    # Imported where it is used: the workers import this file, as they import the small main module of the command.
    from fastmri_cls.sources.phantom import CLASSES, draw_phantom

    for number in range(count):
        label = CLASSES[number % len(CLASSES)]
        pixels, _ = draw_phantom(label, np.random.default_rng(number), DRAWN_SIZE)
        path = folder / label / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).convert("RGB").save(path, quality=90)
    return folder


def pil_loop(files: Sequence[SourceFile], *, grey: bool) -> None:
    """Decode and resize every file, and nothing else."""
    for file in files:
        with Image.open(file.path) as image:
            opened = image.convert("L") if grey else image
            np.asarray(opened.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def one_pass(files: Sequence[SourceFile], workers: int) -> None:
    """Do what a build does with every file."""
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder))
        collect(ingest(files, StorageForm(SIZE, "bilinear", 0, "raw"), workers), spool)
        spool.close()


def whole_build(sources: list[Source], workers: int) -> None:
    """Build a dataset and throw it away."""
    from fastmri_cls.records.build import build_dataset

    with tempfile.TemporaryDirectory() as folder:
        options = BuildOptions(max_rejected=1.0, allow_missing_classes=True)
        build_dataset(sources, ClassNames(), options, Path(folder) / "dataset", workers)


def measure_speed(sources: list[Source], files: Sequence[SourceFile], repeats: int) -> list[dict[str, Any]]:
    """Let all take turns, `repeats` times after a first reading of the files; return the medians."""
    candidates: dict[str, Callable[[], None]] = {
        BASELINE: lambda: pil_loop(files, grey=False),
        "pil-loop-grey": lambda: pil_loop(files, grey=True),
        "pass-1": lambda: one_pass(files, 1),
        "pass-2": lambda: one_pass(files, 2),
        "build-1": lambda: whole_build(sources, 1),
        "build-2": lambda: whole_build(sources, 2),
    }
    pil_loop(files, grey=False)
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(repeats):
        for name, candidate in candidates.items():
            started = time.perf_counter()
            candidate()
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return [
        {"name": name, "images_per_second": len(files) / median, "ratio": medians[BASELINE] / median}
        for name, median in medians.items()
    ]


def measure_growth(sources: list[Source], files: Sequence[SourceFile], workers: int) -> list[dict[str, Any]]:
    """Time whole builds of growing random subsets, linked into folders of their own."""
    order = np.random.default_rng(0).permutation(len(files))
    rows = []
    for count in (*(size for size in GROWTH if size < len(files)), len(files)):
        with tempfile.TemporaryDirectory() as folder:
            for number in order[:count]:
                link = Path(folder) / files[number].source / files[number].filename
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(files[number].path)
            subset = [Source(source.name, Path(folder) / source.name) for source in sources]
            started = time.perf_counter()
            whole_build(subset, workers)
            seconds = time.perf_counter() - started
        rows.append(
            {"name": f"build-{count}", "images": count, "seconds": seconds, "images_per_second": count / seconds}
        )
    return [row | {"ratio": row["images_per_second"] / rows[0]["images_per_second"]} for row in rows]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", nargs="+", metavar="[NAME=]DIR", help="class folders; by default drawn slices")
    parser.add_argument("--images", type=int, default=3000, help="slices to draw: as many as a public set has")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--growth", action="store_true", help="time builds of 1 000, 5 000 and all images")
    parser.add_argument("--workers", type=int, default=2, help="for --growth")
    parser.add_argument("--json", action="store_true", help="print a JSON object as the last line")
    arguments = parser.parse_args()
    show_log()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with tempfile.TemporaryDirectory() as folder:
        named = arguments.source or [f"drawn={write_jpegs(Path(folder) / 'drawn', arguments.images)}"]
        sources = parse_sources(named)
        files = scan(sources, ClassNames()).files
        if arguments.growth:
            rows = measure_growth(sources, files, arguments.workers)
        else:
            rows = measure_speed(sources, files, arguments.repeats)
    environment = describe()
    print(f"{len(files)} files; {environment['processor']}, {environment['cores']} cores, {environment['platform']}")
    for row in rows:
        print(f"{row['name']:16} {row['images_per_second']:9.0f} images/s   {row['ratio']:5.2f} x")
    if arguments.json:
        baseline = rows[0]["name"]
        print(json.dumps({"rows": rows, "baseline": baseline, "environment": environment}))


if __name__ == "__main__":
    main()
