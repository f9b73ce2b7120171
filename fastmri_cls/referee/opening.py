"""Somebody else's model, opened by its kind: images of its own size in, one row of outputs an image out."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.foundation.checksums import file_sha256
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.gpus import inference_batch
from fastmri_cls.referee.keras_files import open_keras
from fastmri_cls.referee.onnx_files import open_onnx_file
from fastmri_cls.referee.saved_models import open_saved_model_of, saved_model_folder
from fastmri_cls.runs.model_evaluation import Kind

_LABELS = "labels.txt"  # one class a line, as our exports and many others have it
_FORMS = "a RUN, a .keras, .h5 or .onnx file, a SavedModel folder, or a .csv file of predictions"

Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class OpenedModel:
    """A model, ready to run.

    Attributes:
        name: of the file, folder or function.
        kind: what it is.
        sha256: of the file or of the SavedModel's files; None for a function.
        height: of its images in pixels; None for any.
        width: likewise.
        channels: 1 or 3.
        dtype: of its images.
        run: images of its dtype [batch, height, width, channels] -> outputs [batch, outputs].
        batch: images in one call; None for any number.
        class_names: of its outputs, as the file or a labels.txt beside it names them; None if nothing does.
        named_by: where these names are.
        keras_model: the model itself, if it is Keras' own kind.
    """

    name: str
    kind: Kind
    sha256: str | None
    height: int | None
    width: int | None
    channels: int
    dtype: np.dtype[Any]
    run: Run
    batch: int | None = None
    class_names: tuple[str, ...] | None = None
    named_by: str = ""
    keras_model: keras.Model | None = None

    @property
    def takes_integers(self) -> bool:
        """Whether its images are integers."""
        return bool(np.issubdtype(self.dtype, np.integer))

    def forward(self, images: np.ndarray) -> np.ndarray:
        """Return the outputs, float32 [n, outputs], for preprocessed images [n, height, width, channels].

        All batches have one size, so that a graph is traced once; the missing images of the last one are zeros.
        """
        images = images.astype(self.dtype)
        if self.batch is None:
            return np.asarray(self.run(images), np.float32)
        rows = []
        for start in range(0, len(images), self.batch):
            part = images[start : start + self.batch]
            padded = np.pad(part, ((0, self.batch - len(part)), (0, 0), (0, 0), (0, 0)))
            rows.append(np.asarray(self.run(padded), np.float32)[: len(part)])
        return np.concatenate(rows)


def open_model(path: Path) -> OpenedModel:
    """Open a model file or a SavedModel folder.

    Raises:
        UserError: it does not exist, is of another kind, is not safe to open, or is no classifier of images.
    """
    if not path.exists():
        raise UserError(f"{path}: does not exist; give {_FORMS}")
    labels = path.parent / _LABELS
    folder = saved_model_folder(path) if path.is_dir() else None
    if folder:
        saved = open_saved_model_of(folder)
        labels = next((place / _LABELS for place in (path, folder.parent) if (place / _LABELS).is_file()), labels)
        model = _of_shape(
            path.resolve().name, "saved_model", _folder_sha256(folder), saved.shape, saved.dtype, saved.run
        )
    elif path.is_dir():
        raise UserError(f"{path}: has neither config.json nor saved_model.pb; give {_FORMS}")
    elif path.suffix in (".keras", ".h5"):
        model = of_keras(open_keras(path), path.name, "keras" if path.suffix == ".keras" else "h5", file_sha256(path))
    elif path.suffix == ".onnx":
        onnx = open_onnx_file(path)
        model = _of_shape(path.name, "onnx", file_sha256(path), onnx.shape, onnx.dtype, onnx.run)
        if onnx.class_names:
            return _named(model, onnx.class_names, "its metadata")
    else:
        raise UserError(f"{path}: is of no known kind; give {_FORMS}")
    names = _read_labels(labels)
    return _named(model, names, _LABELS) if names else model


def of_keras(model: keras.Model, name: str, kind: Kind, sha256: str | None) -> OpenedModel:
    """Return a Keras model, ready to run.

    Raises:
        UserError: it has several inputs or outputs, or does not take images.
    """
    shape, outputs = model.input_shape, model.output_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or not isinstance(outputs, tuple) or len(outputs) != 2:
        raise UserError(f"{name}: takes {shape} and gives {outputs}; a classifier takes images and gives one row each")
    dtype = tf.as_dtype(model.inputs[0].dtype).as_numpy_dtype
    forward = tf.function(lambda images: tf.cast(model(images, training=False), tf.float32))

    def run(images: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(forward(tf.constant(images)))
        except (ValueError, TypeError, tf.errors.OpError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{name}: cannot run on images {images.shape} ({reason})") from None

    return replace(_of_shape(name, kind, sha256, shape, dtype, run), keras_model=model)


def of_callable(function: Callable[[Any], Any]) -> OpenedModel:
    """Return a function of RGB images [n, height, width, 3] of the dataset's size, ready to run."""
    name = getattr(function, "__name__", type(function).__name__)
    return OpenedModel(
        name="function" if name == "<lambda>" else name,
        kind="callable",
        sha256=None,
        height=None,
        width=None,
        channels=3,
        dtype=np.dtype(np.float32),
        run=lambda images: np.asarray(function(images)),
    )


def _of_shape(
    name: str, kind: Kind, sha256: str | None, shape: tuple[int | None, ...], dtype: Any, run: Run
) -> OpenedModel:
    """Return a model of images [batch, height, width, channels] or, as PyTorch has them, [batch, channels, ...]."""
    if shape[3] in (1, 3):
        batch, height, width, channels = shape
        taken = run
    elif shape[1] in (1, 3):
        batch, channels, height, width = shape

        def taken(images: np.ndarray) -> np.ndarray:
            return run(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))

    else:
        raise UserError(f"{name}: takes images of the shape {shape}; only 1 or 3 channels are known here")
    assert channels is not None
    return OpenedModel(name, kind, sha256, height, width, channels, np.dtype(dtype), taken, batch or inference_batch())


def _named(model: OpenedModel, names: tuple[str, ...], named_by: str) -> OpenedModel:
    return replace(model, class_names=names, named_by=named_by)


def _read_labels(path: Path) -> tuple[str, ...] | None:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return tuple(line.strip() for line in lines if line.strip())


def _folder_sha256(folder: Path) -> str:
    """Return the sha256 of the names and sha256 of all files in a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listed = "".join(f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)
    return hashlib.sha256(listed.encode()).hexdigest()
