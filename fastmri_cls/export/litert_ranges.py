"""How far the tensors of a .tflite reach on images, by LiteRT's interpreter (extra `litert`)."""

import numpy as np

from fastmri_cls.inference.runtimes import litert_interpreter


def extremes(model: bytes, images: np.ndarray, tensors: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the greatest value of each of `tensors` (by number) on each image: float32 [tensor, image].

    Raises:
        UserError: LiteRT is not installed.
    """
    module = litert_interpreter()
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
