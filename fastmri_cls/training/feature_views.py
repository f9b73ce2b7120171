"""Feature views: the frozen trunk runs once over K augmented views of each training image, and once over validation.

A view is one draw of the augmentation: what a live training step would see, drawn once. Where the protocol's
`frozen_mode` keeps the drop-connect of frozen layers (EfficientNetV2S has it), as Keras does, that is drawn too. In
epoch e example i is trained on view (i + e) mod K. Views depend on their number and their split, not on the run's seed,
so other seeds, folds and heads find them in the cache (feature_store.py). Runs that differ only in the seed therefore
share their augmentation draws.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from fastmri_cls.augment.batch import Augmentation
from fastmri_cls.foundation.gpus import free_gpu_memory
from fastmri_cls.models.head import Classifier
from fastmri_cls.models.surgery import CutClassifier
from fastmri_cls.pipeline.batches import SlidingWindowBatches, accelerator_names
from fastmri_cls.pipeline.examples import Element, Examples
from fastmri_cls.pipeline.tiers import MEMORY_FRACTION, IndexedExamples
from fastmri_cls.training.data import TrainingData, ValidationBatches
from fastmri_cls.training.feature_store import Features, FeatureStore, Source


@dataclass(frozen=True)
class FeatureData:
    """The batches of a training on features.

    Attributes:
        phase1: batches of pooled features.
        phase2: batches of features at the cut.
    """

    phase1: TrainingData
    phase2: TrainingData


class FeatureExamples(IndexedExamples):
    """Features in place of images, read from memory-mapped files; a cache tier like the others.

    Args:
        views: the views of the same examples, in order.
        name: `cut` or `pooled`.
        dtype: the type of the stored bits.
        files: returns the names of the images, in the order of the features.
    """

    def __init__(self, views: Sequence[Features], name: str, dtype: tf.DType, files: Callable[[], list[str]]) -> None:
        labels = views[0]["labels"]
        super().__init__(tf.constant(labels[np.arange(len(labels))]), files)
        self._arrays = [view[name] for view in views]
        self._dtype = dtype

    def _written(self) -> tf.data.Dataset:
        return _with_epoch(super()._written(), tf.constant(0, tf.int64))

    def _shuffled(self, epoch: tf.Tensor, seed: int) -> tf.data.Dataset:
        return _with_epoch(super()._shuffled(epoch, seed), epoch)

    def _read(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Read the features of `batches`: indices and epochs, int64 [batch]."""
        arrays = self._arrays
        shape, stored = arrays[0].shape, arrays[0].dtype

        def read(indices: np.ndarray, numbers: np.ndarray) -> np.ndarray:
            rows = np.empty((len(indices), *shape), stored)
            for number in np.unique(numbers):
                rows[numbers == number] = arrays[number][indices[numbers == number]]
            return rows

        def batch(indices: tf.Tensor, epochs: tf.Tensor) -> Element:
            numbers = (indices + epochs) % len(arrays)
            rows = tf.ensure_shape(tf.numpy_function(read, (indices, numbers), stored, stateful=False), [None, *shape])
            image = rows if stored == self._dtype.as_numpy_dtype else tf.bitcast(rows, self._dtype)
            return {"image": image, "label": tf.gather(self._labels, indices)}

        return batches.map(batch, num_parallel_calls=2)

    def _names(self, batches: tf.data.Dataset) -> list[str]:
        return super()._names(batches.map(lambda indices, _: indices))


class ResidentFeatures(FeatureExamples):
    """Features that are kept on the only GPU, and gathered there within the step."""

    is_resident = True

    def __init__(
        self, views: Sequence[Features], name: str, dtype: tf.DType, files: Callable[[], list[str]], device: str
    ) -> None:
        super().__init__(views, name, dtype, files)
        with tf.device(device):
            whole = tf.concat([tf.constant(array[np.arange(len(array))]) for array in self._arrays], axis=0)
            stored = self._arrays[0].dtype
            self._whole = whole if stored == dtype.as_numpy_dtype else tf.bitcast(whole, dtype)

    def fetch(self, element: Element) -> Element:
        others = {name: tensor for name, tensor in element.items() if name != "index"}
        return {"image": tf.gather(self._whole, element["index"]), **others}

    def _read(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        def batch(indices: tf.Tensor, epochs: tf.Tensor) -> Element:
            view = (indices + epochs) % len(self._arrays)
            return {"index": view * self.count + indices, "label": tf.gather(self._labels, indices)}

        return batches.map(batch)


def open_features(
    views: Sequence[Features], name: str, dtype: tf.DType, files: Callable[[], list[str]]
) -> FeatureExamples:
    """Return features on the GPU if it is the only one and has room, else from the files they are in.

    Reading rows of a file gives 2200 images/s (ConvNeXt-Tiny's cut, 150 kB a row); a GPU trains on several times as
    many.
    """
    accelerators = accelerator_names()
    size = sum(len(view[name]) * int(np.prod(view[name].shape)) * view[name].dtype.itemsize for view in views)
    # Twice the size while the views are joined.
    if len(accelerators) == 1 and 2 * size <= MEMORY_FRACTION * free_gpu_memory():
        return ResidentFeatures(views, name, dtype, files, accelerators[0])
    return FeatureExamples(views, name, dtype, files)


def _with_epoch(indices: tf.data.Dataset, epoch: tf.Tensor) -> tf.data.Dataset:
    return tf.data.Dataset.zip(indices, tf.data.Dataset.from_tensors(epoch).repeat())


def make_feature_data(
    classifier: Classifier,
    parts: CutClassifier,
    data: TrainingData,
    source: Source,
    augment: Augmentation,
    views: int,
    facts: dict[str, object],
    *,
    keras_alone: bool = False,
) -> FeatureData:
    """Compute the features of `data`, or find them in the cache, and return the batches of both phases.

    Args:
        classifier: the whole model, whose weights identify the features.
        parts: its parts.
        data: the batches of images, which the batches of features copy in order and number.
        source: the dataset that `data` is from.
        augment: the augmentation that each view draws.
        views: the number of augmented views of each training image.
        facts: what else the features depend on (dataset fingerprint, policy), JSON values.
        keras_alone: see `FeatureStore`.

    Raises:
        UserError: too little disk space, or features that float16 cannot hold.
    """
    store = FeatureStore(classifier, parts, source, augment, facts, keras_alone=keras_alone)
    *train, validate = store.provide([*((source.training, view) for view in range(views)), (source.validation, None)])

    def phase(name: str, dtype: tf.DType) -> TrainingData:
        training = open_features(train, name, dtype, data.training.examples.files)
        validation = open_features([validate], name, dtype, data.validation.examples.files)
        return TrainingData(replace(data.training, examples=training), _over(data.validation, validation))

    return FeatureData(phase("pooled", tf.float32), phase("cut", store.dtype))


def _over(batches: ValidationBatches, examples: Examples) -> ValidationBatches:
    if isinstance(batches, SlidingWindowBatches):
        return replace(batches, whole=replace(batches.whole, examples=examples))
    return replace(batches, examples=examples)
