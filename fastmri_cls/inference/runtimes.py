"""Exported models in ONNX Runtime (extra `onnx`) and LiteRT (extra `litert`), which need no TensorFlow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastmri_cls.foundation.cpu import available_cores
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.extras import missing_extra
from fastmri_cls.foundation.quiet import without_native_output

_ERRORS_ONLY = 3  # ONNX Runtime's log severity


class Outputs(NamedTuple):
    """What a classifier gives for images.

    Attributes:
        probabilities: float32 [n, classes].
        features: pooled features of the backbone, float32 [n, d]; None for a format that leaves them out.
    """

    probabilities: np.ndarray
    features: np.ndarray | None = None


# images uint8 [n, size, size, channels] -> Outputs
Forward = Callable[[np.ndarray], Outputs]


def open_onnx(file: Path) -> Forward:
    """Open a .onnx with the input `image` and the outputs `probabilities` and `features`.

    Raises:
        UserError: ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise UserError(f"{file}: {missing_extra('onnx')}") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    options.log_severity_level = _ERRORS_ONLY
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def run(images: np.ndarray) -> Outputs:
        return Outputs(*session.run(Outputs._fields, {"image": images.astype(np.float32)}))

    return run


def open_litert(model: bytes) -> Forward:
    """Open a .tflite with the signature `pixels`, which takes one image at a time.

    Raises:
        UserError: LiteRT is not installed.
    """
    with without_native_output():
        interpreter = litert_interpreter().Interpreter(model_content=model, num_threads=available_cores())
        interpreter.allocate_tensors()
    signature = interpreter.get_signature_runner("pixels")
    dtype = signature.get_input_details()["image"]["dtype"]

    def run(images: np.ndarray) -> Outputs:
        assert interpreter is not None  # the signature lives as long as it does
        found = [signature(image=one[None].astype(dtype)) for one in images]
        return Outputs(**{name: np.concatenate([one[name] for one in found]) for name in found[0]})

    return run


def litert_interpreter() -> Any:
    """Return LiteRT's module with the interpreter.

    Raises:
        UserError: it is not installed.
    """
    try:
        import ai_edge_litert.interpreter as interpreter
    except ImportError:
        raise UserError(f"LiteRT {missing_extra('litert')}") from None
    return interpreter
