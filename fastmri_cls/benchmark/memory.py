"""`benchmark memory`: peak memory of a cache tier beyond TensorFlow itself, by the size of the set.

One shuffled epoch of uint8 batches is read; the memory of the training step itself is not included. Every figure is the
peak of a process of its own; larger sets list the same shards several times.
"""

import json
import multiprocessing
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fastmri_cls.foundation.environment import describe
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log

_TIERS = ("none", "ram")
_SIZES = (10_000, 40_000)  # images, at least
_BATCH_SIZE = 32
_MIB = 2**20
_STATM = Path("/proc/self/statm")


@dataclass(frozen=True)
class Usage:
    """Peak memory of one tier.

    Attributes:
        tier: name of the cache tier.
        images: number of images in the set.
        peak: bytes beyond those that the process used before it opened the set.
        pixels: bytes of the whole set as uint8.
    """

    tier: str
    images: int
    peak: int
    pixels: int


def benchmark_memory(source: Path) -> list[Usage]:
    """Measure the tiers none and ram at 10 000 and 40 000 images: those of `source`, repeated as often as needed.

    Raises:
        UserError: `source` has no class folders, or this is not Linux.
    """
    if not _STATM.exists():
        raise UserError("benchmark memory: reads /proc, which only Linux has; run it on Linux")
    from fastmri_cls.benchmark.inputs import prepare

    context = multiprocessing.get_context("spawn")  # a fork would begin with this process's TensorFlow
    found = []
    with prepare(source, "raw") as material:
        count = material.dataset.count("train")
        for tier in _TIERS:
            for size in _SIZES:
                results: Any = context.SimpleQueue()
                child = context.Process(
                    target=_one_pass, args=(material.dataset.path, tier, -(-size // count), results)
                )
                child.start()
                child.join()
                if child.exitcode != 0:
                    raise RuntimeError(f"the process for tier {tier} at {size} images ended with {child.exitcode}")
                usage = results.get()
                log.info(f"{tier}, {usage.images} images: {usage.peak / _MIB:,.0f} MiB beyond TensorFlow")
                found.append(usage)
    return found


def _one_pass(dataset: Path, tier: str, copies: int, results: Any) -> None:
    """Read one shuffled epoch and put the peak into the queue `results`."""
    import resource

    from fastmri_cls.foundation.quiet import import_tensorflow

    import_tensorflow()
    from fastmri_cls.pipeline.batches import TrainingBatches
    from fastmri_cls.pipeline.examples import Selection
    from fastmri_cls.pipeline.tiers import open_examples
    from fastmri_cls.records.manifest import read_manifest

    manifest = read_manifest(dataset)
    once = manifest.splits["train"]
    split = replace(once, num_examples=once.num_examples * copies, shards=once.shards * copies)
    manifest = replace(manifest, splits={**manifest.splits, "train": split})
    before = _resident()
    examples = open_examples(dataset, manifest, Selection(("train",)), tier)
    steps = examples.count // _BATCH_SIZE
    training = TrainingBatches(examples, _BATCH_SIZE, steps, [1.0] * len(manifest.classes), seed=0)
    for element in training.epoch(0):
        examples.fetch(element)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    results.put(
        Usage(tier, split.num_examples, peak - before, split.num_examples * manifest.image_size**2 * manifest.channels)
    )


def _resident() -> int:
    """Return the bytes of this process that are in memory now."""
    return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def print_usages(usages: list[Usage]) -> None:
    """Print the table on stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Peak memory of a pass beyond TensorFlow itself", title_justify="left", box=None)
    for name in ("tier", "images", "MiB", "set as uint8, MiB", "ratio"):
        table.add_column(name, justify="left" if name == "tier" else "right")
    for usage in usages:
        sizes = (f"{usage.peak / _MIB:,.0f}", f"{usage.pixels / _MIB:,.0f}", f"{usage.peak / usage.pixels:.2f}")
        table.add_row(usage.tier, f"{usage.images:,}", *sizes)
    Console().print(table)


def to_json(usages: list[Usage]) -> str:
    """Return the document that `--json` prints; `ratio` is to the bytes of the set's pixels."""
    rows = [
        {"name": f"{u.tier}-{u.images}", "bytes": u.peak, "pixels": u.pixels, "ratio": round(u.peak / u.pixels, 3)}
        for u in usages
    ]
    return json.dumps({"rows": rows, "baseline": "set as uint8", "environment": describe()})
