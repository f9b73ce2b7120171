"""`benchmark memory`: what a tier takes beyond TensorFlow itself, by the size of the set.

A pass yields the uint8 batches a step takes; what the step makes of them is the step's. Every figure is the peak of a
process of its own; larger sets are the same shards listed several times.
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
    """Bytes: `peak` beyond what the process took before it opened the set, `pixels` of the whole set as uint8."""

    tier: str
    images: int
    peak: int
    pixels: int


def benchmark_memory(source: Path) -> list[Usage]:
    """Measure the tiers none and ram at 10 000 and 40 000 images of `source`, repeated as often as it takes.

    Raises:
        UserError: there are no class folders in it, or this is not Linux.
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
    """Go through a whole shuffled pass and report the peak."""
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
    for one in usages:
        sizes = (f"{one.peak / _MIB:,.0f}", f"{one.pixels / _MIB:,.0f}", f"{one.peak / one.pixels:.2f}")
        table.add_row(one.tier, f"{one.images:,}", *sizes)
    Console().print(table)


def to_json(usages: list[Usage]) -> str:
    """Return the object that `--json` prints as the last line; `ratio` is to the set's pixels."""
    rows = [
        {"name": f"{u.tier}-{u.images}", "bytes": u.peak, "pixels": u.pixels, "ratio": round(u.peak / u.pixels, 3)}
        for u in usages
    ]
    return json.dumps({"rows": rows, "baseline": "set as uint8", "environment": describe()})
