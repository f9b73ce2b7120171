"""What TensorBoard shows of a RUN besides its scalars: options (HParams), augmented batches, the confusion by epoch."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont
from tensorboard.plugins.hparams import api as hparams

from fastmri_cls.augment.batch import Batch
from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.pipeline.batches import TrainingBatches
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.protocol import Protocol

_NO_OPTIONS = ("name", "resume")
_SHOWN_IMAGES = 8
_SHOWN_BATCHES = 3
_CELL = 56  # pixels of the drawn matrix
_MARGIN = 110
_BLUE = np.array([8, 48, 107])  # what a share of 1 is drawn in; 0 is white


def write_options(writer: tf.summary.SummaryWriter, options: TrainOptions) -> None:
    """Write what a run is made with for the HParams page, where the runs of a study stand side by side."""
    named = {**vars(options.protocol), **vars(options), "protocol": options.protocol.name}
    plain = {key: value for key, value in named.items() if isinstance(value, bool | int | float | str)}
    with writer.as_default():
        hparams.hparams({key: value for key, value in plain.items() if key not in _NO_OPTIONS})


def write_augmented_batches(
    writer: tf.summary.SummaryWriter, training: TrainingBatches, protocol: Protocol, seed: int
) -> None:
    """Write the first images of the first epoch's first batches as training sees them: same order, same draws."""
    augment = make_augmentation(protocol.augment, contrast=protocol.contrast)
    batches = training.epoch(0).take(_SHOWN_BATCHES)
    with writer.as_default(step=0):
        for step, element in enumerate(batches):
            element = training.examples.fetch(element)
            key = tf.random.experimental.stateless_fold_in([seed, 0], step)
            targets = tf.one_hot(element["label"], len(training.class_weights))
            images = augment(Batch(element["image"], targets, element["weight"]), key).images
            shown = tf.cast(tf.clip_by_value(images[:_SHOWN_IMAGES], 0, 255), tf.uint8)
            tf.summary.image(f"augmented/batch {step + 1}", shown, max_outputs=_SHOWN_IMAGES)


class ConfusionByEpoch(keras.callbacks.Callback):
    """Draw the validation's confusion matrix after every epoch.

    Args:
        confusion: returns the last validation's counts, int [classes, classes], truth by prediction.
        epochs_done: of the run when this begins, the offset of TensorBoard's axis.
    """

    def __init__(
        self,
        writer: tf.summary.SummaryWriter,
        classes: Sequence[str],
        confusion: Callable[[], np.ndarray],
        epochs_done: int,
    ) -> None:
        super().__init__()
        self._writer = writer
        self._classes = classes
        self._confusion = confusion
        self._epochs_done = epochs_done

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the drawing."""
        with self._writer.as_default(step=self._epochs_done):
            tf.summary.image("validation/confusion matrix", draw_confusion(self._confusion(), self._classes)[None])
        self._writer.flush()
        self._epochs_done += 1


def draw_confusion(counts: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Return uint8 [height, width, 3]: rows are the truth, columns the prediction, blue the share of the row.

    Drawn with Pillow in a few milliseconds; matplotlib would take longer than a small set's epoch.
    """
    size = len(classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = Image.new("RGB", (_MARGIN + size * _CELL, 24 + size * _CELL), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(13)
    for row, truth in enumerate(classes):
        top = 24 + row * _CELL
        draw.text((_MARGIN - 6, top + _CELL / 2), truth[:15], "black", font, anchor="rm")
        draw.text((_MARGIN + (row + 0.5) * _CELL, 12), truth[:8], "black", font, anchor="mm")
        for column in range(size):
            share, left = shares[row, column], _MARGIN + column * _CELL
            fill = tuple(np.rint(255 + share * (_BLUE - 255)).astype(int).tolist())
            draw.rectangle((left, top, left + _CELL - 1, top + _CELL - 1), fill, "#cccccc")
            ink = "white" if share > 0.5 else "black"
            draw.text((left + _CELL / 2, top + _CELL / 2), f"{counts[row, column]:.0f}", ink, font, anchor="mm")
    return np.asarray(image)
