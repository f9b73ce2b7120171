"""TensorBoard pages of a RUN besides the scalars of each epoch: options and test metrics (HParams), config and command
as text, augmented batches, and the confusion matrix by epoch."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont
from tensorboard.plugins.hparams import api as hparams

from fastmri_cls.augment.batch import Batch
from fastmri_cls.augment.policies import make_augmentation, step_seed
from fastmri_cls.pipeline.batches import TrainingBatches
from fastmri_cls.runs import files
from fastmri_cls.runs.metrics import RunMetrics
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.protocol import Protocol

_OMITTED = ("name", "resume", "max_hours", "track")
_SHOWN_IMAGES = 8
_SHOWN_BATCHES = 3
_CELL = 56  # pixels of the drawn matrix
_MARGIN = 110
_BLUE = np.array([8, 48, 107])  # the colour of a fraction of 1; 0 is white


def write_options(writer: tf.summary.SummaryWriter, options: TrainOptions) -> None:
    """Write the options of a run for the HParams page, which compares the runs of a study.

    A field of a phase gets the phase's name in front, such as `phase1_learning_rate`.
    """
    protocol = options.protocol
    phases = {
        f"{name}_{field}": value
        for name, phase in (("phase1", protocol.phase1), ("phase2", protocol.phase2))
        for field, value in vars(phase).items()
    }
    named = {**vars(protocol), **phases, **vars(options), "protocol": protocol.name}
    plain = {key: value for key, value in named.items() if isinstance(value, bool | int | float | str)}
    with writer.as_default():
        hparams.hparams({key: value for key, value in plain.items() if key not in _OMITTED})


def write_texts(writer: tf.summary.SummaryWriter, run: Path) -> None:
    """Write config.json, and train.yaml with the command that repeats the training, for the text page."""
    with writer.as_default(step=0):
        for tag, name in (("config", files.CONFIG), ("command", files.TRAIN_FILE)):
            text = (run / name).read_text(encoding="utf-8")
            tf.summary.text(tag, "".join(f"    {line}\n" for line in text.splitlines()))  # Markdown's verbatim text


def write_test_metrics(run: Path, metrics: RunMetrics) -> None:
    """Write accuracy and AUC of every test set as scalars, which the HParams page shows beside the options.

    Args:
        run: the RUN folder.
        metrics: its metrics.json.
    """
    writer = tf.summary.create_file_writer(str(run / files.TENSORBOARD))
    with writer.as_default(step=metrics.timing.epochs if metrics.timing else 0):
        for name, found in metrics.tests.items():
            tf.summary.scalar(f"test/{name}/accuracy", found.accuracy.value)
            if found.auc_macro:
                tf.summary.scalar(f"test/{name}/auc_macro", found.auc_macro.value)
    writer.close()


def write_augmented_batches(
    writer: tf.summary.SummaryWriter, training: TrainingBatches, protocol: Protocol, seed: int
) -> None:
    """Write the first images of the first batches as training on images sees them: same order, same draws."""
    augment = make_augmentation(protocol.augment, contrast=protocol.contrast)
    batches = training.epoch(0).take(_SHOWN_BATCHES)
    with writer.as_default(step=0):
        for step, element in enumerate(batches):
            element = training.examples.fetch(element)
            key = step_seed(seed, 0, step)
            targets = tf.one_hot(element["label"], len(training.class_weights))
            images = augment(Batch(element["image"], targets, element["weight"]), key).images
            shown = tf.cast(tf.clip_by_value(images[:_SHOWN_IMAGES], 0, 255), tf.uint8)
            tf.summary.image(f"augmented/batch {step + 1}", shown, max_outputs=_SHOWN_IMAGES)


class ConfusionByEpoch(keras.callbacks.Callback):
    """Draws the confusion matrix of validation after every epoch.

    Args:
        writer: of the RUN.
        classes: names in label order.
        confusion: returns the counts of the last validation, int [classes, classes]; rows are the true classes.
        epochs_done: epochs of the run before this phase, the offset of TensorBoard's axis.
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

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the image."""
        with self._writer.as_default(step=self._epochs_done):
            tf.summary.image("validation/confusion matrix", draw_confusion(self._confusion(), self._classes)[None])
        self._writer.flush()
        self._epochs_done += 1


def draw_confusion(counts: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Return an image, uint8 [height, width, 3]: rows are true classes, columns predictions, blue the row's fraction.

    Pillow takes a few milliseconds; matplotlib would take longer than the epoch of a small dataset.
    """
    size = len(classes)
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = Image.new("RGB", (_MARGIN + size * _CELL, 24 + size * _CELL), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(13)
    for row, truth in enumerate(classes):
        top = 24 + row * _CELL
        draw.text((_MARGIN - 6, top + _CELL / 2), truth[:15], "black", font, anchor="rm")
        draw.text((_MARGIN + (row + 0.5) * _CELL, 12), truth[:8], "black", font, anchor="mm")
        for column in range(size):
            fraction, left = fractions[row, column], _MARGIN + column * _CELL
            fill = tuple(np.rint(255 + fraction * (_BLUE - 255)).astype(int).tolist())
            draw.rectangle((left, top, left + _CELL - 1, top + _CELL - 1), fill, "#cccccc")
            ink = "white" if fraction > 0.5 else "black"
            draw.text((left + _CELL / 2, top + _CELL / 2), f"{counts[row, column]:.0f}", ink, font, anchor="mm")
    return np.asarray(image)
