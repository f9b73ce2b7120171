"""An exported model run by its own runtime, without Keras: what a check, or a user's program, does with the files."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models.export import LITERT_FILE, ONNX_FILE, SAVED_MODEL_VERSION

# uint8 [n, size, size, channels] -> float32 [n, classes]
Run = Callable[[np.ndarray], np.ndarray]


def open_saved_model(folder: Path) -> Run:
    """Open the signature `pixels`."""
    loaded = tf.saved_model.load(str(folder / SAVED_MODEL_VERSION))
    signature = loaded.signatures["pixels"]

    def run(images: np.ndarray) -> np.ndarray:
        assert loaded is not None  # its variables live as long as it does
        return np.asarray(signature(image=tf.constant(images, tf.float32))["probabilities"])

    return run


def open_saved_model_files(folder: Path) -> Callable[[list[bytes]], np.ndarray]:
    """Open the signature that takes the bytes of image files."""
    loaded = tf.saved_model.load(str(folder / SAVED_MODEL_VERSION))
    signature = loaded.signatures["serving_default"]

    def run(files: list[bytes]) -> np.ndarray:
        assert loaded is not None
        return np.asarray(signature(image_bytes=tf.constant(files))["probabilities"])

    return run


def open_onnx(folder: Path) -> Run:
    """Open model.onnx in ONNX Runtime.

    Raises:
        UserError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise UserError("--format onnx: needs the extra onnx; pip install 'fastmri-cls[onnx]'") from None
    session = onnxruntime.InferenceSession(folder / ONNX_FILE, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run(["probabilities"], {"image": images.astype(np.float32)})[0])


def open_litert(folder: Path) -> Run:
    """Open model.tflite in LiteRT, one image at a time.

    Raises:
        UserError: it is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise UserError("--format litert: needs the extra litert; pip install 'fastmri-cls[litert]'") from None
    interpreter = Interpreter(str(folder / LITERT_FILE))
    interpreter.allocate_tensors()
    signature = interpreter.get_signature_runner("pixels")
    dtype = signature.get_input_details()["image"]["dtype"]

    def run(images: np.ndarray) -> np.ndarray:
        assert interpreter is not None
        return np.concatenate([signature(image=one[None].astype(dtype))["probabilities"] for one in images])

    return run


RUNTIMES: Mapping[str, Callable[[Path], Run]] = {
    "saved_model": open_saved_model,
    "onnx": open_onnx,
    "litert": open_litert,
    "litert-int8": open_litert,
    "litert-16x8": open_litert,
}
