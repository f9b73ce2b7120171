"""Feature views: the frozen trunk runs once over K augmented views of each training image, and once over validation.

A view is one draw of the augmentation and of the drop-connect of the frozen layers (EfficientNetV2S has it, and Keras
leaves it on in a frozen phase): what a live step sees, drawn once. Example i meets view (i + e) mod K in epoch e.
Views are drawn from their number and split alone, not from the run's seed, and kept as feature_store.py says: other
seeds, folds and heads find them there.

Refreshed, epoch e has the views e R .. e R + K - 1: R of the oldest make room for new ones before every epoch but the
first. Those beyond the first K belong to the run and lie in its folder only while they are needed.
"""

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from fastmri_cls.augment.batch import Augmentation
from fastmri_cls.models.cut import CutClassifier
from fastmri_cls.models.head import Classifier
from fastmri_cls.pipeline.batches import EvaluationBatches, SlidingWindowBatches
from fastmri_cls.pipeline.examples import Element, Examples, Position, input_options
from fastmri_cls.pipeline.tiers import in_order_indices, pick_files, shuffled_indices
from fastmri_cls.training.data import TrainingData
from fastmri_cls.training.feature_store import FeatureStore, Joined, Source


@dataclass(frozen=True)
class ViewOptions:
    """How many views there are, what share of them is drawn anew each epoch, and the folder of those."""

    count: int
    refreshed_share: float
    folder: Path

    @property
    def refreshed(self) -> int:
        """The views drawn anew before each epoch."""
        return math.ceil(self.refreshed_share * self.count)


@dataclass(frozen=True)
class FeatureData:
    """The batches of a training on features: `phase1` on pooled ones, `phase2` on those at the cut."""

    phase1: TrainingData
    phase2: TrainingData


class Views:
    """The views of a selection by number, opened (and computed) when a pass needs them.

    Args:
        open_view: opens one by its number.
    """

    def __init__(self, open_view: Callable[[int], dict[str, Joined]], options: ViewOptions) -> None:
        self._open_view = open_view
        self._options = options
        self._open = {number: open_view(number) for number in range(options.count)}

    @property
    def example(self) -> dict[str, Joined]:
        """Any of them."""
        return next(iter(self._open.values()))

    def of_passes(self, passes: range) -> dict[int, dict[str, Joined]]:
        """Return the views that `passes` meet, and drop what none of them does."""
        firsts = [number * self._options.refreshed for number in passes]
        needed = {number for first in firsts for number in range(first, first + self._options.count)}
        self._open = {
            number: self._open[number] if number in self._open else self._open_view(number) for number in sorted(needed)
        }
        if self._options.refreshed:
            for path in self._options.folder.glob("*"):
                if int(path.name) not in needed:
                    shutil.rmtree(path)
        return self._open

    def numbers(self, indices: tf.Tensor, passes: tf.Tensor) -> tf.Tensor:
        """Return which view each example meets in its pass, int64 [batch]."""
        first = passes * self._options.refreshed
        return first + (indices + passes - first) % self._options.count


class FeatureExamples:
    """Features in place of images, read from memory-mapped files; a cache tier like the others.

    Args:
        name: `cut` or `pooled`. dtype: what the stored bits are.
        files: returns the names of the images they are of, in the same order.
    """

    def __init__(self, views: Views, name: str, dtype: tf.DType, files: Callable[[], list[str]]) -> None:
        self.files = files
        self._views = views
        self._name = name
        self._dtype = dtype
        labels = views.example["labels"]
        self.count = len(labels)
        self._labels = tf.constant(labels[np.arange(self.count)])

    def fetch(self, element: Element) -> Element:
        return element

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        order = in_order_indices(self.count, batch_size)
        return self._gather(order.map(lambda indices: (indices, tf.zeros_like(indices))), range(1))

    def shuffled(self, start: Position, batch_size: int, steps: int, seed: int) -> tf.data.Dataset:
        order = shuffled_indices(self.count, start, batch_size, steps, seed)
        place = start.number * self.count + start.offset  # in the endless sequence of passes
        end = place + steps * batch_size
        places = tf.data.Dataset.range(place, end).batch(batch_size)
        passes = range(start.number, -(-end // self.count))
        return self._gather(tf.data.Dataset.zip(order, places.map(lambda at: at // self.count)), passes)

    def files_of_batch(self, start: Position, batch_size: int, seed: int) -> list[str]:
        return pick_files(self.files(), start, batch_size, seed)

    def _gather(self, order: tf.data.Dataset, passes: range) -> tf.data.Dataset:
        """`order`: indices and passes, int64 [batch]."""
        arrays = {number: view[self._name] for number, view in self._views.of_passes(passes).items()}
        example = self._views.example[self._name]
        shape, stored = example.shape, example.dtype

        def read(indices: np.ndarray, numbers: np.ndarray) -> np.ndarray:
            rows = np.empty((len(indices), *shape), stored)
            for number in np.unique(numbers):
                rows[numbers == number] = arrays[number][indices[numbers == number]]
            return rows

        def batch(indices: tf.Tensor, passes: tf.Tensor) -> Element:
            numbers = self._views.numbers(indices, passes)
            rows = tf.ensure_shape(tf.numpy_function(read, (indices, numbers), stored, stateful=False), [None, *shape])
            image = rows if stored == self._dtype.as_numpy_dtype else tf.bitcast(rows, self._dtype)
            return {"image": image, "label": tf.gather(self._labels, indices)}

        return order.map(batch, num_parallel_calls=2).with_options(input_options())


def make_feature_data(
    classifier: Classifier,
    parts: CutClassifier,
    data: TrainingData,
    source: Source,
    augment: Augmentation,
    options: ViewOptions,
    facts: dict[str, Any],
) -> FeatureData:
    """Compute the views of `data`, or find them in the cache, and return the batches of both phases.

    Args:
        source: where `data` is from.
        facts: what else the features depend on (dataset fingerprint, policy), JSON values.

    Raises:
        UserError: too little disk space, or features that float16 cannot hold.
    """
    store = FeatureStore(classifier, parts, source, augment, facts)
    trained, validated = data.training.examples, data.validation.examples
    store.check_space((options.count + options.refreshed) * trained.count + validated.count)

    def open_view(number: int) -> dict[str, Joined]:
        return store.open(source.training, number, None if number < options.count else options.folder / str(number))

    train = Views(open_view, options)
    val = Views(lambda _: store.open(source.validation, None), replace(options, count=1, refreshed_share=0.0))

    def phase(name: str, dtype: tf.DType) -> TrainingData:
        training = FeatureExamples(train, name, dtype, trained.files)
        validation = FeatureExamples(val, name, dtype, validated.files)
        return TrainingData(replace(data.training, examples=training), _over(data.validation, validation))

    return FeatureData(phase("pooled", tf.float32), phase("cut", store.dtype))


def _over(
    batches: EvaluationBatches | SlidingWindowBatches, examples: Examples
) -> EvaluationBatches | SlidingWindowBatches:
    if isinstance(batches, SlidingWindowBatches):
        return replace(batches, whole=replace(batches.whole, examples=examples))
    return replace(batches, examples=examples)
