"""What a classifier can be exported to: how each format is written, run again, and how far off it may be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from fastmri_cls.export.litert import LITERT_FILE, write_litert, write_litert_dynamic, write_litert_int8
from fastmri_cls.export.onnx import ONNX_FILE, write_onnx
from fastmri_cls.export.saved_model import open_saved_model, write_saved_model
from fastmri_cls.inference.runtimes import Forward, open_litert, open_onnx


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
        file: name of the file that holds the model; None for several files.
        tolerance: the largest difference of a probability. float32 formats sum in another order; int8 has 256 levels
            in every layer, which differ from image to image (dynamic) or not.
        write: writes it to a folder; raises UserError where an extra is missing.
        open: that folder -> its own runtime, without Keras.
    """

    title: str
    file: str | None
    tolerance: float
    write: Callable[[Exported, Path], None]
    open: Callable[[Path], Forward]


def _open_onnx(folder: Path) -> Forward:
    return open_onnx(folder / ONNX_FILE)


def _open_litert(folder: Path) -> Forward:
    return open_litert((folder / LITERT_FILE).read_bytes())


FORMATS: Mapping[str, Format] = {
    "saved_model": Format(
        title="TensorFlow SavedModel",
        file=None,
        tolerance=1e-5,
        write=lambda one, to: write_saved_model(one.model, one.resize, to),
        open=open_saved_model,
    ),
    "onnx": Format(
        title="ONNX",
        file=ONNX_FILE,
        tolerance=1e-4,
        write=lambda one, to: write_onnx(one.model, one.classes, to),
        open=_open_onnx,
    ),
    "litert": Format(
        title="LiteRT, float32",
        file=LITERT_FILE,
        tolerance=1e-4,
        write=lambda one, to: write_litert(one.model, to),
        open=_open_litert,
    ),
    "litert-dynamic": Format(
        title="LiteRT, int8 weights",
        file=LITERT_FILE,
        tolerance=0.1,
        write=lambda one, to: write_litert_dynamic(one.model, to),
        open=_open_litert,
    ),
    "litert-int8": Format(
        title="LiteRT, int8",
        file=LITERT_FILE,
        tolerance=0.2,
        write=lambda one, to: write_litert_int8(one.model, one.calibration, to),
        open=_open_litert,
    ),
}
