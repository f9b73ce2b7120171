"""A classifier for LiteRT: model.tflite, in float32, with int8 weights, or with int8 activations too."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.export.quantize import quantize
from fastmri_cls.export.saved_model import pixels_archive

LITERT_FILE = "model.tflite"


def write_litert(model: keras.Model, folder: Path) -> None:
    """Write model.tflite: image float32 [1, size, size, channels] -> probabilities float32 [1, classes] and the pooled
    features of the backbone [1, d]."""
    (folder / LITERT_FILE).write_bytes(_convert(model, folder, with_features=True))


def write_litert_dynamic(model: keras.Model, folder: Path) -> None:
    """Write model.tflite with int8 weights: image float32 [1, size, size, channels] -> probabilities float32
    [1, classes].

    Where the runtime can, it rounds every layer's input to int8 too, to the range which that has on the image at hand.
    """
    (folder / LITERT_FILE).write_bytes(_convert(model, folder, [tf.lite.Optimize.DEFAULT]))


def write_litert_int8(model: keras.Model, calibration: np.ndarray, folder: Path) -> None:
    """Write model.tflite in int8: image uint8 [1, size, size, channels] -> probabilities float32 [1, classes].

    Args:
        calibration: uint8 [n, size, size, channels], which show the range of every layer.

    Raises:
        UserError: LiteRT is not installed.
    """
    (folder / LITERT_FILE).write_bytes(quantize(_convert(model, folder), calibration))


def _convert(
    model: keras.Model, folder: Path, optimizations: Sequence[tf.lite.Optimize] = (), *, with_features: bool = False
) -> bytes:
    between = folder / "saved_model"
    pixels_archive(model, batch=1, with_features=with_features).write_out(str(between), verbose=False)
    try:
        converter = tf.lite.TFLiteConverter.from_saved_model(str(between), signature_keys=["pixels"])
        converter.optimizations = list(optimizations)
        return bytes(converter.convert())
    finally:
        shutil.rmtree(between)
