"""A float32 .tflite -> the same in int8, its ranges taken from images so that a few odd ones do not spoil them.

TensorFlow's quantizer does the work; its own calibration spans every value that occurs. One scan in twenty drives the
last layers of a trained DenseNet121 up to 70 times as far as the others do, and leaves those a handful of the 256
levels. So a tensor's range is a quantile of its extremes over the images: what lies beyond it is clipped.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from fastmri_cls.export.litert_ranges import extremes
from fastmri_cls.foundation.private_api import flatbuffer_utils, mlir_quantize
from fastmri_cls.foundation.private_api import tflite_schema as schema
from fastmri_cls.inference.runtimes import open_litert

# Which quantile is best differs from model to model: all are tried.
_QUANTILES = (1.0, 0.98, 0.95, 0.9)
# Where a LayerNormalization computes its statistics, sums and element-wise products stay float32: ConvNeXt-Tiny comes
# nearly three times as close, and is no slower.
_LAYER_NORM, _KEPT_FLOAT = "SQUARED_DIFFERENCE", ("SQUARED_DIFFERENCE", "MEAN", "RSQRT", "SUB", "MUL", "ADD")


def quantize(model: bytes, images: np.ndarray) -> bytes:
    """Return `model`, which takes float32 images and gives probabilities, in int8: it takes uint8 images.

    Weights have a scale a channel, activations one a tensor; in a network with LayerNormalization only what goes into
    and comes out of convolutions and Dense layers is rounded. Of several ranges those are chosen under which the
    probabilities of `images` come closest to `model`'s, by their mean squared difference.

    Args:
        model: a float32 .tflite with the signature `pixels`.
        images: uint8 [n, size, size, channels], as the model will meet them; a hundred are enough.

    Raises:
        UserError: LiteRT is not installed.
    """
    expected = open_litert(model)(images).probabilities

    def distance(candidate: bytes) -> float:
        return float(np.square(open_litert(candidate)(images).probabilities - expected).mean())

    return min(_candidates(model, images), key=distance)


def _candidates(model: bytes, images: np.ndarray) -> Iterator[bytes]:
    contents = flatbuffer_utils.convert_bytearray_to_object(model)
    (graph,) = contents.subgraphs
    computed = sorted({tensor for operator in graph.operators for tensor in operator.outputs})
    activations = [tensor for tensor in computed if graph.tensors[tensor].type == schema.TensorType.FLOAT32]
    kinds = {flatbuffer_utils.opcode_to_name(contents, operator.opcodeIndex) for operator in graph.operators}
    kept_float = list(_KEPT_FLOAT) if _LAYER_NORM in kinds else None
    lowest, greatest = extremes(model, images, activations)
    for quantile in _QUANTILES:
        ranges = np.quantile(lowest, 1 - quantile, axis=1), np.quantile(greatest, quantile, axis=1)
        for tensor, low, high in zip(activations, *ranges, strict=True):
            graph.tensors[tensor].quantization = _range(low, high)
        for tensor in graph.inputs:
            graph.tensors[tensor].quantization = _range(0, 255)  # so that uint8 pixels are taken as they are
        with_ranges = flatbuffer_utils.convert_object_to_bytearray(contents)
        yield bytes(mlir_quantize(with_ranges, input_data_type=tf.uint8, denylisted_ops=kept_float))


def _range(low: float, high: float) -> schema.QuantizationParametersT:
    parameters = schema.QuantizationParametersT()
    if low == high:  # a dead layer's; without any width LiteRT's kernels refuse it
        high += 1
    parameters.min, parameters.max = [float(low)], [float(high)]
    return parameters
