"""What computes a batch of a feature view: Keras, or OpenVINO (extra `openvino`) where that says the same faster.

Both get the same draws of augmentation and drop-connect, so a view differs in rounding alone.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from fastmri_cls.augment.batch import Augmentation, Batch
from fastmri_cls.augment.keyed import fold_in
from fastmri_cls.foundation.openvino import compile_for_cpu, fast_precisions, read_frozen
from fastmri_cls.foundation.private_api import all_layers, convert_variables_to_constants_v2
from fastmri_cls.foundation.progress import log
from fastmri_cls.foundation.quiet import without_native_output
from fastmri_cls.models.fast_rows import RowsLayerNormalization
from fastmri_cls.models.frozen_values import precompute
from fastmri_cls.models.head import Classifier, build_classifier, dropouts
from fastmri_cls.models.surgery import CutClassifier, cut_classifier
from fastmri_cls.training.drops import Drops, Factors, drop_seed

# The largest difference of a number of pooled features, whose length is scaled to 1; as in inference/trial.py.
_TOLERANCES = {"float32": 1e-4, "bfloat16": 0.05}
_MIN_SPEEDUP = 1.05  # likewise
_ROUNDS = 3  # in turns, of which the shortest counts: load of other processes only ever slows a forward pass

# Images and factors -> features at the cut and pooled features.
Network = Callable[[tf.Tensor, Factors], tuple[Any, Any]]


class ViewBatch(NamedTuple):
    """The features of a batch.

    Attributes:
        cut: at the cut, uint16 [batch, ...]: the bits of the type they are stored in.
        pooled: float32 [batch, d].
        finite: whether those at the cut are, bool [].
    """

    cut: tf.Tensor
    pooled: tf.Tensor
    finite: tf.Tensor


class ViewForward:
    """Draws a view of a batch and computes its features.

    Args:
        classifier: the whole model.
        parts: the classifier, cut; its weights do not change any more.
        augment: the augmentation of a view.
        batch: number of images.
        dtype: in which features at the cut are stored, of two bytes.
    """

    def __init__(
        self, classifier: Classifier, parts: CutClassifier, augment: Augmentation, batch: int, dtype: tf.DType
    ) -> None:
        self._classifier = classifier
        self._parts = parts
        self._augment = augment
        self._batch = batch
        self._dtype = dtype
        self._drops = Drops(parts.trunk, parts.tail)
        self._by_keras = tf.function(self._compute, autograph=False)
        self._drawn = tf.function(self._draw, autograph=False)
        self._network: Network | None = None  # of OpenVINO

    @property
    def drops(self) -> bool:
        """Whether layers drop something in a view."""
        return bool(self._drops.layers)

    @property
    def engine(self) -> str:
        """What computes: `keras` or `openvino`."""
        return "keras" if self._network is None else "openvino"

    def __call__(self, images: tf.Tensor, number: int, key: tf.Tensor, *, augmented: bool) -> ViewBatch:
        """Return the features of a batch.

        Args:
            images: uint8 [batch, size, size, channels].
            number: of the batch.
            key: of the view, int32 [2].
            augmented: whether anything is drawn.
        """
        if self._network is None:
            return self._by_keras(images, tf.constant(number), key, augmented)
        return self._stored(*self._network(*self._drawn(images, tf.constant(number), key, augmented)))

    def try_openvino(self, images: tf.Tensor, key: tf.Tensor) -> None:
        """Compute by OpenVINO from now on if, on these images, it says the same and is faster; say what was found."""
        precision = self._classifier.options.precision.removeprefix("mixed_")
        other = ViewForward(self._classifier, self._parts, self._augment, self._batch, self._dtype)
        try:
            other._network = _openvino(self._classifier, self._parts, self._batch, precision)
        except RuntimeError as error:
            log.info(f"note: OpenVINO cannot read the network ({' '.join(str(error).split())[:200]})")
            return
        if other._network is None:
            return
        ours, theirs = (one(images, 0, key, augmented=True) for one in (self, other))
        difference = np.abs(_unit(ours.pooled) - _unit(theirs.pooled)).max()
        found = f"in {precision}: features, scaled to length 1, differ by at most {difference:.1e}"
        if not difference <= _TOLERANCES[precision]:
            log.info(f"note: OpenVINO is not used; {found}, and {_TOLERANCES[precision]:g} is allowed")
            return
        turns = [[_seconds(one, images, key) for one in (self, other)] for _ in range(_ROUNDS)]
        before, after = map(min, zip(*turns, strict=True))
        if before < _MIN_SPEEDUP * after:
            log.info(f"OpenVINO was tried: {before / after:.2f} times as fast as Keras, which goes on")
            return
        self._network = other._network
        log.info(f"feature views by OpenVINO {found}; {before / after:.2f} times as fast as Keras")

    def _draw(self, images: tf.Tensor, number: tf.Tensor, key: tf.Tensor, augmented: bool) -> tuple[tf.Tensor, Factors]:
        """Return images, float32, and what layers multiply by."""
        if not augmented:
            return tf.cast(images, tf.float32), tuple(tf.ones([self._batch, width]) for width in self._drops.widths)
        seed = fold_in(key, number)
        nothing, weights = tf.zeros([self._batch, self._classifier.options.num_classes]), tf.ones([self._batch])
        drawn = self._augment(Batch(images, nothing, weights), seed).images
        return tf.cast(drawn, tf.float32), self._drops.draw(drop_seed(seed), self._batch)

    def _compute(self, images: tf.Tensor, number: tf.Tensor, key: tf.Tensor, augmented: bool) -> ViewBatch:
        drawn, factors = self._draw(images, number, key, augmented)
        if augmented:
            return self._stored(*_run(self._parts, self._drops, drawn, factors))
        cut = self._parts.trunk(drawn, training=False)
        return self._stored(cut, self._parts.tail(cut, training=False))

    def _stored(self, cut: Any, pooled: Any) -> ViewBatch:
        stored = tf.cast(cut, self._dtype)
        finite = tf.reduce_all(tf.math.is_finite(stored))
        return ViewBatch(tf.bitcast(stored, tf.uint16), tf.cast(pooled, tf.float32), finite)


def _run(parts: CutClassifier, drops: Drops, images: tf.Tensor, factors: Factors) -> tuple[tf.Tensor, tf.Tensor]:
    cut = drops.forward(parts.trunk)(images, factors)
    return cut, drops.forward(parts.tail)(cut, factors)


def _openvino(classifier: Classifier, parts: CutClassifier, batch: int, precision: str) -> Network | None:
    """Return trunk and tail in OpenVINO; None where this CPU has no fast instructions for the precision.

    Raises:
        RuntimeError: OpenVINO cannot read them.
    """
    import openvino

    core = openvino.Core()
    if precision not in fast_precisions(core):
        return None
    twin = _float32_twin(classifier, parts)
    drops = Drops(twin.trunk, twin.tail)
    shapes = [twin.trunk.input_shape[1:], *((width,) for width in drops.widths)]
    signature = [tf.TensorSpec((batch, *shape), tf.float32) for shape in shapes]
    forward = tf.function(lambda images, *factors: _run(twin, drops, images, factors), autograph=False)
    with without_native_output():  # TensorFlow's remarks on devices
        frozen = convert_variables_to_constants_v2(forward.get_concrete_function(*signature), lower_control_flow=False)
        compiled = compile_for_cpu(core, read_frozen(core, frozen), precision)
    inputs, outputs = ([tensor.name for tensor in some] for some in (frozen.inputs, frozen.outputs))

    def run(images: tf.Tensor, factors: Factors) -> tuple[np.ndarray, np.ndarray]:
        arrays = [tf.cast(tensor, tf.float32).numpy() for tensor in (images, *factors)]
        found = compiled(dict(zip(inputs, arrays, strict=True)))
        cut, pooled = (found[name].copy() for name in outputs)
        return cut, pooled

    return run


def _float32_twin(classifier: Classifier, parts: CutClassifier) -> CutClassifier:
    """Return a copy of the parts in float32, from which OpenVINO makes its own precision, frozen and dropping alike."""
    options = replace(classifier.options, precision="float32")
    twin = build_classifier(classifier.backbone, options)
    twin.model.set_weights(classifier.model.get_weights())
    for ours, theirs in zip(dropouts(classifier), dropouts(twin), strict=True):
        theirs.rests_when_frozen = ours.rests_when_frozen
    twin.model.trainable = False
    cut = cut_classifier(twin, parts.unfreeze)
    for layer in all_layers(twin.model):  # OpenVINO cannot read the pattern for oneDNN, which frozen ones compute by
        if isinstance(layer, RowsLayerNormalization):
            layer.trainable = True
    precompute(twin.model)
    return cut


def _unit(features: tf.Tensor) -> np.ndarray:
    rows: np.ndarray = features.numpy()
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def _seconds(forward: ViewForward, images: tf.Tensor, key: tf.Tensor) -> float:
    started = time.perf_counter()
    forward(images, 0, key, augmented=True).pooled.numpy()
    return time.perf_counter() - started
