"""`benchmark input`: our three cache tiers and other input pipelines, from files to equal float batches."""

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from fastmri_cls.augment.batch import Batch
from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.benchmark import baselines
from fastmri_cls.benchmark.baselines import BATCH_SIZE, CONTRAST, MEAN, SIZE, STD
from fastmri_cls.benchmark.measure import Candidate, Result, Timing, run
from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.cpu import available_cores
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log
from fastmri_cls.pipeline.batches import TrainingBatches
from fastmri_cls.pipeline.examples import Element
from fastmri_cls.records.build import build_dataset
from fastmri_cls.records.options import BuildOptions, SplitOptions
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import Source
from fastmri_cls.sources.scan import scan

_PASSES = 200  # epochs that a tier can deliver in a round, more than any round needs
_SUFFIXES = (".jpg", ".jpeg", ".png")  # formats that all baselines can read
_TIER_NAMES = {
    "none": "ours, streamed from JPEG shards",
    "ram": "ours, decoded once into memory",
    "device": "ours, resident on the device",
}


def benchmark_input(source: Path, timing: Timing) -> Result:
    """Measure all candidates on the class folders `source` (or its Training).

    Raises:
        UserError: `source` has no class folders.
    """
    with prepare(source, "jpeg") as material:
        candidates = [
            baselines.generator(material.files),
            baselines.generator_with_workers(material.files),
            baselines.keras_directory(material.files),
            baselines.keras_cv_chain(material.files),
            baselines.torch_albumentations(material.files),
            *(open_tier(material.dataset, name) for name in _TIER_NAMES),
            *floors(material.dataset),
        ]
        count = material.dataset.count("train")
        title = f"Input: {count} images, {SIZE} px, batches of {BATCH_SIZE}, augmented and normalised float32 RGB"
        return run(title, [candidate for candidate in candidates if candidate], timing)


def open_tier(dataset: Dataset, name: str) -> Candidate:
    """Return one of our cache tiers on `dataset`; it is opened, and its cache filled, here and only once."""
    examples = dataset.examples("train", name)
    steps = _PASSES * examples.count // BATCH_SIZE
    training = TrainingBatches(examples, BATCH_SIZE, steps, [1.0] * len(dataset.classes), seed=0, endless=True)
    deliver = _delivery(training, len(dataset.classes))
    rounds = itertools.count()
    return Candidate(name, lambda: deliver(next(rounds)), _TIER_NAMES[name], kind="ours")


def _delivery(training: TrainingBatches, num_classes: int) -> Any:
    """Return a function from epoch to an iterator over backbone inputs, made by the functions that training calls."""
    augment = make_augmentation("paper", contrast=CONTRAST)

    @tf.function(jit_compile=True)
    def normalise(images: tf.Tensor) -> tf.Tensor:
        return (images * (1 / 255) - tf.constant(MEAN)) / tf.constant(STD)  # grey becomes RGB here, as in the model

    def finish(step: tf.Tensor, element: Element) -> tuple[tf.Tensor, tf.Tensor]:
        element = training.examples.fetch(element)
        targets = tf.one_hot(element["label"], num_classes)
        batch = augment(Batch(element["image"], targets, element["weight"]), tf.stack([0, tf.cast(step, tf.int32)]))
        return normalise(batch.images), targets

    def deliver(epoch: int) -> Iterator[Any]:
        batches = training.epoch(epoch).enumerate().map(finish, num_parallel_calls=available_cores())
        return iter(batches.prefetch(tf.data.AUTOTUNE))

    return deliver


def floors(dataset: Dataset) -> list[Candidate]:
    """Return two lower bounds on the time: reading the bytes of the shards, and writing the delivered batches once."""
    train = dataset.splits["train"]
    shards = [dataset.path / shard.name for shard in train.shards]
    size = sum(shard.bytes for shard in train.shards)
    part = BATCH_SIZE * size // train.num_examples  # bytes of an average batch

    def read() -> Iterator[bytes]:
        while True:
            for shard in shards:
                with shard.open("rb") as file:
                    while chunk := file.read(part):
                        yield chunk

    def copy() -> Iterator[np.ndarray]:
        batch = np.ones((BATCH_SIZE, SIZE, SIZE, 3), np.float32)
        target = np.empty_like(batch)
        while True:
            np.copyto(target, batch)
            yield target

    return [
        Candidate("floor-read", read, "reading the shards' bytes (from the page cache)", kind="floor"),
        Candidate("floor-copy", copy, "copying a delivered batch in memory, one core", kind="floor"),
    ]


def class_folder(source: Path) -> Path:
    """Return the folder that contains the class folders: `source` or its Training.

    Raises:
        UserError: neither contains class folders.
    """
    for folder in (source / "Training", source):
        if folder.is_dir() and any(child.is_dir() and any(child.iterdir()) for child in folder.iterdir()):
            return folder
    raise UserError(f"{source}: no class folders in it; give a folder of class folders, or one with Training")


@dataclass(frozen=True)
class Material:
    """The same images twice: a dataset for our tiers, and class folders of links for the baselines."""

    dataset: Dataset
    files: Path


@contextmanager
def prepare(source: Path, encoding: str) -> Iterator[Material]:
    """Yield the images of the class folders `source` (or its Training) in both forms; removed afterwards.

    Files that cannot be used are left out of both forms, since the baselines stop at the first one.

    Args:
        source: a folder of class folders, or one with Training.
        encoding: of the dataset's shards.

    Raises:
        UserError: `source` has no class folders.
    """
    folder = class_folder(source)
    options = BuildOptions(
        image_size=SIZE,
        encoding=encoding,
        splitting=SplitOptions(val_fraction=0.0, test_fraction=0.0, keep_copies=True),
    )
    with tempfile.TemporaryDirectory() as name:
        parent = Path(name)
        log.info(f"building {encoding} shards")
        named = Source("source", folder.absolute())
        manifest = build_dataset([named], ClassNames(), options, parent / "dataset", workers=1)
        rejected = {entry["path"] for entry in manifest.rejected}
        for number, file in enumerate(scan([named], ClassNames()).files):
            if f"{named.name}/{file.filename}" not in rejected and file.path.suffix.lower() in _SUFFIXES:
                link = parent / "files" / file.label / f"{number}{file.path.suffix}"
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(file.path)
        yield Material(Dataset(parent / "dataset"), parent / "files")
