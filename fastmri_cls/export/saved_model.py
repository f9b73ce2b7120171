"""A classifier as a SavedModel: for TensorFlow Serving, and what the other formats are converted from."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.export.serving import decode_files
from fastmri_cls.inference.runtimes import Forward, Outputs
from fastmri_cls.models.surgery import split_classifier

# TensorFlow Serving wants versions as folders of a model's folder; a string input's name ends with _bytes, so that its
# REST API takes {"b64": ...}.
SAVED_MODEL_VERSION = "1"


def write_saved_model(model: keras.Model, resize: str, folder: Path) -> None:
    """Write a SavedModel with the signatures `serving_default` (image_bytes: string [batch], the bytes of image files,
    resized by `resize`) and `pixels` (image: float32 [batch, size, size, channels]); both give `probabilities`, float32
    [batch, classes]."""
    _, size, _, channels = model.input_shape

    def of_files(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        images = decode_files(image_bytes, size, channels, resize)
        return {"probabilities": model(images, training=False)}

    archive = pixels_archive(model, batch=None)
    archive.add_endpoint("serving_default", of_files, [tf.TensorSpec([None], tf.string, name="image_bytes")])
    archive.write_out(str(folder / SAVED_MODEL_VERSION), verbose=False)


def pixels_archive(model: keras.Model, batch: int | None, *, with_features: bool = False) -> keras.export.ExportArchive:
    """Return what can be written out as a SavedModel, with the signature `pixels` alone; any batch size is None.

    `with_features` adds the output `features`, the pooled features of the backbone.
    """
    # Without track(model): the endpoints bring their variables, and tracked ones would be saved a second time
    # (keras-team/keras issue 23553).
    archive = keras.export.ExportArchive()
    spec = pixels_spec(model, batch)
    forward = split_classifier(model).forward if with_features else None

    def of_pixels(image: tf.Tensor) -> dict[str, tf.Tensor]:
        if forward is None:
            return {"probabilities": model(image, training=False)}
        features, probabilities = forward(image, training=False)
        return {"probabilities": probabilities, "features": features}

    archive.add_endpoint("pixels", of_pixels, [spec])
    return archive


def pixels_spec(model: keras.Model, batch: int | None) -> tf.TensorSpec:
    """Return what `model` takes: float32 [batch, size, size, channels]."""
    return tf.TensorSpec([batch, *model.input_shape[1:]], tf.float32, name="image")


def open_saved_model(folder: Path) -> Forward:
    """Open the signature `pixels`."""
    loaded = tf.saved_model.load(str(folder / SAVED_MODEL_VERSION))
    signature = loaded.signatures["pixels"]

    def run(images: np.ndarray) -> Outputs:
        assert loaded is not None  # its variables live as long as it does
        return Outputs(np.asarray(signature(image=tf.constant(images, tf.float32))["probabilities"]))

    return run


def open_saved_model_files(folder: Path) -> Callable[[list[bytes]], np.ndarray]:
    """Open the signature that takes the bytes of image files."""
    loaded = tf.saved_model.load(str(folder / SAVED_MODEL_VERSION))
    signature = loaded.signatures["serving_default"]

    def run(files: list[bytes]) -> np.ndarray:
        assert loaded is not None
        return np.asarray(signature(image_bytes=tf.constant(files))["probabilities"])

    return run
