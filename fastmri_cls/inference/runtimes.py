"""What an engine is; exported models in ONNX Runtime (extra `onnx`) and LiteRT (extra `litert`), without TensorFlow."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastmri_cls.foundation.cpu import available_cores
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.extras import missing_extra
from fastmri_cls.foundation.gpus import CPU_BATCH
from fastmri_cls.foundation.quiet import without_native_output

if TYPE_CHECKING:
    import keras

    from fastmri_cls.inference.gradcam import Explain

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


class Engine(NamedTuple):
    """A RUN's model, ready to predict.

    Attributes:
        name: one of ENGINES in engines.py, not `auto`.
        origin: where it is from, and what is known of its numbers, for people.
        forward: images uint8 [n, size, size, channels] -> probabilities and features.
        explain: images and classes -> heat maps; None if they are not wanted.
        precision: `float32` or `bfloat16`.
        source: what OpenVINO can read of it: a file in ONNX, or a model in Keras; None if nothing.
        batch_size: images in one forward pass, unless the user says otherwise.
    """

    name: str
    origin: str
    forward: Forward
    explain: "Explain | None" = None
    precision: str = "float32"
    source: "Path | keras.Model | None" = None
    batch_size: int = CPU_BATCH


def in_batches_of(size: int, forward: Forward) -> Forward:
    """Return a forward pass of any number of images by one, with features, that always gets `size` images.

    A graph is then compiled once, and a result does not depend on the rest of its batch.
    """

    def run(images: np.ndarray) -> Outputs:
        missing = -len(images) % size
        padded = np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0)))
        found = [forward(padded[start : start + size]) for start in range(0, len(padded), size)]
        return Outputs(
            probabilities=np.concatenate([one.probabilities for one in found])[: len(images)],
            features=np.concatenate([one.features for one in found if one.features is not None])[: len(images)],
        )

    return run


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
