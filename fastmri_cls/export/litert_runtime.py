"""LiteRT's interpreter (extra `litert`): what a .tflite says of images, and how far its tensors reach meanwhile."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.extras import missing_extra


def load(model: bytes) -> Callable[[np.ndarray], np.ndarray]:
    """Load a .tflite with the signature `pixels`: uint8 [n, size, size, channels] -> float32 [n, classes].

    Raises:
        UserError: LiteRT is not installed.
    """
    interpreter = _interpreter().Interpreter(model_content=model)
    interpreter.allocate_tensors()
    signature = interpreter.get_signature_runner("pixels")
    dtype = signature.get_input_details()["image"]["dtype"]

    def run(images: np.ndarray) -> np.ndarray:
        assert interpreter is not None  # the signature lives as long as it does
        return np.concatenate([signature(image=one[None].astype(dtype))["probabilities"] for one in images])

    return run


def extremes(model: bytes, images: np.ndarray, tensors: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the greatest value of each of `tensors` (by number) on each image: float32 [tensor, image].

    Raises:
        UserError: LiteRT is not installed.
    """
    module = _interpreter()
    interpreter = module.Interpreter(
        model_content=model,
        experimental_preserve_all_tensors=True,
        # A delegate would keep what lies between its operations to itself.
        experimental_op_resolver_type=module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    (image,) = interpreter.get_input_details()
    found = np.empty((2, len(tensors), len(images)), np.float32)
    for column, one in enumerate(images):
        interpreter.set_tensor(image["index"], one[None].astype(np.float32))
        interpreter.invoke()
        for row, tensor in enumerate(tensors):
            values = interpreter.get_tensor(tensor)
            found[:, row, column] = values.min(), values.max()
    lowest, greatest = found
    return lowest, greatest


def _interpreter() -> Any:
    try:
        import ai_edge_litert.interpreter as interpreter
    except ImportError:
        raise UserError(f"--format litert: {missing_extra('litert')}") from None
    return interpreter
