"""What a classifier can be exported to: how each format is written, run again, and how far off it may be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from fastmri_cls.export.litert import open_litert, write_litert, write_litert_dynamic, write_litert_int8
from fastmri_cls.export.onnx import open_onnx, write_onnx
from fastmri_cls.export.saved_model import open_saved_model, write_saved_model


@dataclass(frozen=True)
class Exported:
    """What is exported: a model of plain 0..255 images with its preprocessing inside, the class names, how files are
    resized, and training images, uint8 [n, size, size, channels]."""

    model: keras.Model
    classes: tuple[str, ...]
    resize: str
    calibration: np.ndarray


@dataclass(frozen=True)
class Format:
    """One format.

    Fields:
        title: for people.
        tolerance: the largest difference of a probability. float32 formats sum in another order; int8 has 256 levels
            in every layer, which differ from image to image (dynamic) or not.
        write: writes it to a folder; raises UserError where an extra is missing.
        open: that folder -> its own runtime, without Keras: uint8 [n, size, size, channels] -> float32 [n, classes].
    """

    title: str
    tolerance: float
    write: Callable[[Exported, Path], None]
    open: Callable[[Path], Callable[[np.ndarray], np.ndarray]]


FORMATS: Mapping[str, Format] = {
    "saved_model": Format(
        "TensorFlow SavedModel", 1e-5, lambda one, to: write_saved_model(one.model, one.resize, to), open_saved_model
    ),
    "onnx": Format("ONNX", 1e-4, lambda one, to: write_onnx(one.model, one.classes, to), open_onnx),
    "litert": Format("LiteRT, float32", 1e-4, lambda one, to: write_litert(one.model, to), open_litert),
    "litert-dynamic": Format(
        "LiteRT, int8 weights", 0.1, lambda one, to: write_litert_dynamic(one.model, to), open_litert
    ),
    "litert-int8": Format(
        "LiteRT, int8", 0.2, lambda one, to: write_litert_int8(one.model, one.calibration, to), open_litert
    ),
}
