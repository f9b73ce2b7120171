"""Feature views: the frozen trunk runs once over K augmented views of each training image, and once over validation.

A view is one draw of the augmentation and of the drop-connect of the frozen layers (EfficientNetV2S has it, and Keras
leaves it on in a frozen phase): what a live step sees, drawn once. Example i meets view (i + e) mod K in epoch e.
Views are drawn from their number alone, not from the run's seed, and kept in the cache folder under a fingerprint of
weights, data, augmentation, precision and cut: other seeds, folds and heads find them there.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from fastmri_cls.augment.batch import Augmentation, Batch
from fastmri_cls.foundation.atomic import new_directory, write_text
from fastmri_cls.foundation.checksums import file_sha256
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log, track
from fastmri_cls.models.cut import CutClassifier
from fastmri_cls.models.head import Classifier
from fastmri_cls.models.published import cache_directory
from fastmri_cls.pipeline.batches import EvaluationBatches, SlidingWindowBatches
from fastmri_cls.pipeline.examples import Element, Examples, Position, input_options
from fastmri_cls.pipeline.tiers import in_order_indices, pick_files, shuffled_indices
from fastmri_cls.training.data import TrainingData

Facts = dict[str, Any]

_BATCH = 32
_SPARE = 1 << 30  # bytes of disk left to others


@dataclass(frozen=True)
class FeatureData:
    """The batches of a training on features: `phase1` on pooled ones, `phase2` on those at the cut."""

    phase1: TrainingData
    phase2: TrainingData


class FeatureExamples:
    """Features in place of images, read from memory-mapped files; a cache tier like the others.

    Args:
        files: returns the names of the images they are of, in the same order.
    """

    def __init__(
        self, views: Sequence[np.ndarray], labels: np.ndarray, dtype: tf.DType, files: Callable[[], list[str]]
    ) -> None:
        self.files = files
        self.count = len(labels)
        self._views = views
        self._labels = tf.constant(labels)
        self._dtype = dtype

    def fetch(self, element: Element) -> Element:
        return element

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        order = in_order_indices(self.count, batch_size)
        return self._gather(order.map(lambda indices: (indices, tf.zeros_like(indices))))

    def shuffled(self, start: Position, batch_size: int, steps: int, seed: int) -> tf.data.Dataset:
        order = shuffled_indices(self.count, start, batch_size, steps, seed)
        place = start.number * self.count + start.offset  # in the endless sequence of passes
        places = tf.data.Dataset.range(place, place + steps * batch_size).batch(batch_size)
        chosen = tf.data.Dataset.zip(order, places).map(lambda i, at: (i, (i + at // self.count) % len(self._views)))
        return self._gather(chosen)

    def files_of_batch(self, start: Position, batch_size: int, seed: int) -> list[str]:
        return pick_files(self.files(), start, batch_size, seed)

    def _gather(self, order: tf.data.Dataset) -> tf.data.Dataset:
        shape, stored = self._views[0].shape[1:], self._views[0].dtype

        def read(indices: np.ndarray, views: np.ndarray) -> np.ndarray:
            rows = np.empty((len(indices), *shape), stored)
            for number in np.unique(views):
                rows[views == number] = self._views[number][indices[views == number]]
            return rows

        def batch(indices: tf.Tensor, views: tf.Tensor) -> Element:
            rows = tf.ensure_shape(tf.numpy_function(read, (indices, views), stored, stateful=False), [None, *shape])
            image = rows if stored == self._dtype.as_numpy_dtype else tf.bitcast(rows, self._dtype)
            return {"image": image, "label": tf.gather(self._labels, indices)}

        return order.map(batch, num_parallel_calls=2).with_options(input_options())


def make_feature_data(
    classifier: Classifier,
    parts: CutClassifier,
    data: TrainingData,
    augment: Augmentation,
    views: int,
    facts: dict[str, Any],
) -> FeatureData:
    """Compute the views of `data`, or find them in the cache, and return the batches of both phases.

    Args:
        facts: what else the features depend on (dataset fingerprint, selections, policy), JSON values.

    Raises:
        UserError: too little disk space, or features that float16 cannot hold.
    """
    weights = hashlib.sha256()
    for base in classifier.bases:
        for array in base.get_weights():
            weights.update(array.tobytes())
    key = facts | {"weights": weights.hexdigest(), "options": vars(classifier.options), "cut": parts.cut}
    writer = _ViewWriter(classifier, parts, augment, key)
    writer.check_space(views * data.training.examples.count + data.validation.examples.count)
    train = [writer.open(data.training.examples, "train", view) for view in range(views)]
    val = [writer.open(data.validation.examples, "val", None)]
    dtype = _storage_dtype(classifier)

    def phase(name: str, kind: tf.DType) -> TrainingData:
        training, validation = (
            FeatureExamples([folder[name] for folder in folders], folders[0]["labels"], kind, images.examples.files)
            for folders, images in ((train, data.training), (val, data.validation))
        )
        return TrainingData(replace(data.training, examples=training), _over(data.validation, validation))

    return FeatureData(phase("pooled", tf.float32), phase("cut", dtype))


def _over(
    batches: EvaluationBatches | SlidingWindowBatches, examples: Examples
) -> EvaluationBatches | SlidingWindowBatches:
    if isinstance(batches, SlidingWindowBatches):
        return replace(batches, whole=replace(batches.whole, examples=examples))
    return replace(batches, examples=examples)


class _ViewWriter:
    """Runs trunk and rest over a set, one view at a time, into a folder of the cache."""

    def __init__(
        self, classifier: Classifier, parts: CutClassifier, augment: Augmentation, key: dict[str, Any]
    ) -> None:
        self._parts = parts
        self._augment = augment
        self._key = key
        self._name = classifier.backbone.name
        self._dtype = _storage_dtype(classifier)
        self._root = cache_directory() / "features"
        self._num_classes = classifier.options.num_classes

    def check_space(self, rows: int) -> None:
        needed = rows * (int(np.prod(self._parts.trunk.output_shape[1:])) * 2 + self._parts.rest.output_shape[1] * 4)
        self._root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._root).free
        log.info(f"feature views: cut behind {self._parts.cut}, {needed / 2**30:.1f} GiB in {self._root}")
        if needed > free - _SPARE:
            raise UserError(
                f"--feature-views: the features take {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free in "
                f"{self._root}; choose fewer views, or another folder by FASTMRI_CLS_CACHE"
            )

    def open(self, examples: Examples, split: str, view: int | None) -> dict[str, np.ndarray]:
        """Return the arrays `cut`, `pooled`, `labels` of one view (None: no augmentation), computed if need be."""
        key = json.dumps(self._key | {"split": split, "view": view}, sort_keys=True)
        digest = hashlib.sha256(key.encode()).hexdigest()
        which = "clean" if view is None else f"view{view}"
        folder = self._root / f"{self._name}-{split}-{which}-{digest[:16]}"
        if not _is_sound(folder):
            with new_directory(folder, force=True) as directory:
                self._write(directory, examples, view, f"features of {split}, {which}")
                sums = {path.name: file_sha256(path) for path in directory.glob("*.npy")}
                write_text(directory / "facts.json", json.dumps({"key": key, "sha256": sums}))
        names = ("cut", "pooled", "labels")
        return {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names}

    def _write(self, directory: Path, examples: Examples, view: int | None, description: str) -> None:
        shapes = {"cut": self._parts.trunk.output_shape[1:], "pooled": self._parts.rest.output_shape[1:], "labels": ()}
        dtypes = {"cut": np.uint16, "pooled": np.float32, "labels": np.int64}
        arrays = {
            name: np.lib.format.open_memmap(
                directory / f"{name}.npy", "w+", dtypes[name], (examples.count, *shapes[name])
            )
            for name in shapes
        }
        run = tf.function(self._features)
        self._seed_layers(view)
        batches = EvaluationBatches(examples, _BATCH)
        for number, element in enumerate(track(batches.epoch(0), description, batches.count)):
            part = slice(number * _BATCH, min((number + 1) * _BATCH, examples.count))
            fetched = examples.fetch(element)
            cut, pooled, finite = run(fetched["image"], tf.constant(number), -1 if view is None else view)
            if not finite:
                raise UserError("--feature-views: features beyond float16's range; choose --precision mixed_bfloat16")
            for name, rows in (("cut", cut), ("pooled", pooled), ("labels", element["label"])):
                arrays[name][part] = rows.numpy()[: part.stop - part.start]
        for array in arrays.values():
            array.flush()

    def _features(self, images: tf.Tensor, batch: tf.Tensor, view: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        if view >= 0:
            seed = tf.random.experimental.stateless_fold_in(tf.constant([0, view]), batch)
            ones = tf.ones([_BATCH])
            no_targets = tf.zeros([_BATCH, self._num_classes])
            images = self._augment(Batch(images, no_targets, ones), seed).images
        cut = self._parts.trunk(tf.cast(images, tf.float32), training=view >= 0)
        pooled = tf.cast(self._parts.rest(cut, training=view >= 0), tf.float32)
        stored = tf.cast(cut, self._dtype)
        return tf.bitcast(stored, tf.uint16), pooled, tf.reduce_all(tf.math.is_finite(stored))

    def _seed_layers(self, view: int | None) -> None:
        """Let drop-connect draw from the view's number, whatever was drawn before."""
        for model in (self._parts.trunk, self._parts.rest):
            for number, variable in enumerate(v for v in model.variables if v.name == "seed_generator_state"):
                variable.assign([number, view or 0])


def _storage_dtype(classifier: Classifier) -> tf.DType:
    """bfloat16 keeps what was computed in it; float16 holds float32 features eight times finer."""
    return tf.bfloat16 if classifier.options.precision == "mixed_bfloat16" else tf.float16


def _is_sound(folder: Path) -> bool:
    try:
        sums = json.loads((folder / "facts.json").read_text(encoding="utf-8"))["sha256"]
        sound = all(file_sha256(folder / name) == digest for name, digest in sums.items())
    except (OSError, ValueError, KeyError):
        return False
    if not sound:
        log.info(f"{folder}: damaged, computed again")
    return sound
