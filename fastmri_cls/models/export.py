"""A classifier -> files for other runtimes: SavedModel, ONNX (extra `onnx`), LiteRT in float32, int8 and 16x8.

Every one takes plain 0..255 images; preprocessing is inside. Nothing is checked here, see exporting/.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models.serving import decode_files

# TensorFlow Serving wants versions as folders of a model's folder; a string input's name ends with _bytes, so that its
# REST API takes {"b64": ...}.
SAVED_MODEL_VERSION = "1"
ONNX_FILE, LITERT_FILE = "model.onnx", "model.tflite"
_OPSET = 18
# A LayerNormalization's statistics stay float32: in int8 ConvNeXt's probabilities are off by .20, so by .02.
_LAYER_NORM_OPS = ("MEAN", "SQUARED_DIFFERENCE", "RSQRT", "SUB")


@dataclass(frozen=True)
class Exported:
    """What is exported: `model`, the class names, how files are resized, and uint8 images [n, size, size, channels]
    that show int8 and 16x8 the range of every layer."""

    model: keras.Model
    classes: tuple[str, ...]
    resize: str
    calibration: np.ndarray


def write_saved_model(exported: Exported, folder: Path) -> None:
    """Write a SavedModel with the signatures `serving_default` (image_bytes: string [batch], the bytes of image files)
    and `pixels` (image: float32 [batch, size, size, channels]); both give probabilities [batch, classes]."""
    model = exported.model
    _, size, _, channels = model.input_shape

    def of_files(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        images = decode_files(image_bytes, size, channels, exported.resize)
        return {"probabilities": model(images, training=False)}

    archive = _pixels_endpoint(model, batch=None)
    archive.add_endpoint("serving_default", of_files, [tf.TensorSpec([None], tf.string, name="image_bytes")])
    archive.write_out(str(folder / SAVED_MODEL_VERSION), verbose=False)


def write_onnx(exported: Exported, folder: Path) -> None:
    """Write model.onnx: image float32 [batch, size, size, channels] -> probabilities [batch, classes].

    Raises:
        UserError: tf2onnx is not installed.
    """
    try:
        import tf2onnx
    except ImportError:
        raise UserError("--format onnx: needs the extra onnx; pip install 'fastmri-cls[onnx]'") from None
    function = tf.function(lambda image: exported.model(image, training=False))
    # Frozen here: tf2onnx's from_function would take ConvNeXt's captured constants for inputs.
    frozen = convert_variables_to_constants_v2(
        function.get_concrete_function(_image_spec(exported.model, batch=None)), lower_control_flow=False
    )
    names = {frozen.inputs[0].name: "image", frozen.outputs[0].name: "probabilities"}
    model, _ = tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(),
        input_names=[frozen.inputs[0].name],
        output_names=[frozen.outputs[0].name],
        opset=_OPSET,
        custom_op_handlers={"Erfc": (_erfc, [])},
        tensors_to_rename=names,
    )
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    model.metadata_props.add(key="classes", value="\n".join(exported.classes))
    (folder / ONNX_FILE).write_bytes(model.SerializeToString())


def _erfc(graph: Any, node: Any, name: str, _: Any) -> None:
    """ONNX has erf alone (ConvNeXt's exact GELU): erfc(x) = 1 - erf(x)."""
    one = graph.make_const(f"{name}_one", np.float32(1))
    erf = graph.make_node("Erf", node.input, name=f"{name}_erf")
    result = graph.make_node("Sub", [one.output[0], erf.output[0]], name=f"{name}_erfc")
    graph.replace_all_inputs(node.output[0], result.output[0])
    graph.remove_node(node.name)


def write_litert(exported: Exported, folder: Path) -> None:
    """Write model.tflite: image float32 [1, size, size, channels] -> probabilities float32 [1, classes]."""
    (folder / LITERT_FILE).write_bytes(_convert(exported, folder, lambda converter: bytes(converter.convert())))


def write_litert_int8(exported: Exported, folder: Path) -> None:
    """Write model.tflite in int8: image uint8 [1, size, size, channels] -> probabilities float32 [1, classes].

    Weights have a scale a channel; the range of every activation is that of the calibration images.
    """

    def convert(converter: Any) -> bytes:
        _calibrate(converter, exported, [tf.lite.OpsSet.TFLITE_BUILTINS_INT8])
        converter.inference_input_type = tf.uint8
        if not _has_layer_norm(exported.model):
            return bytes(converter.convert())
        converter.target_spec.supported_ops.append(tf.lite.OpsSet.TFLITE_BUILTINS)
        mixed = tf.lite.experimental.QuantizationDebugger(
            converter=converter,
            debug_dataset=converter.representative_dataset,
            debug_options=tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=list(_LAYER_NORM_OPS)),
        )
        return bytes(mixed.get_nondebug_quantized_model())

    (folder / LITERT_FILE).write_bytes(_convert(exported, folder, convert))


def write_litert_16x8(exported: Exported, folder: Path) -> None:
    """Write model.tflite in 16x8: image float32 [1, size, size, channels] -> probabilities float32 [1, classes].

    Weights are int8 as in write_litert_int8, activations int16: where 256 levels are too few (DenseNet121). The file is
    as small, but slow on CPUs, for which TensorFlow has only its reference kernels.

    Raises:
        UserError: the model has a LayerNormalization.
    """
    if _has_layer_norm(exported.model):
        raise UserError(
            "--format litert-16x8: LiteRT cannot compute this network's LayerNormalization in 16 bits; choose "
            "litert-int8 or litert"
        )
    ops = [
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
        tf.lite.OpsSet.TFLITE_BUILTINS,
    ]

    def convert(converter: Any) -> bytes:
        _calibrate(converter, exported, ops)
        return bytes(converter.convert())

    (folder / LITERT_FILE).write_bytes(_convert(exported, folder, convert))


def _calibrate(converter: Any, exported: Exported, ops: list[Any]) -> None:
    def representative() -> Iterator[list[np.ndarray]]:
        yield from ([image[None].astype(np.float32)] for image in exported.calibration)

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = ops
    converter.representative_dataset = representative


def _has_layer_norm(model: keras.Model) -> bool:
    return any(
        isinstance(layer, layers.LayerNormalization) or (isinstance(layer, keras.Model) and _has_layer_norm(layer))
        for layer in model.layers
    )


def _convert(exported: Exported, folder: Path, convert: Callable[[Any], bytes]) -> bytes:
    between = folder / "saved_model"
    _pixels_endpoint(exported.model, batch=1).write_out(str(between), verbose=False)
    try:
        return convert(tf.lite.TFLiteConverter.from_saved_model(str(between), signature_keys=["pixels"]))
    finally:
        shutil.rmtree(between)


def _pixels_endpoint(model: keras.Model, batch: int | None) -> keras.export.ExportArchive:
    # Without track(model): the endpoints bring their variables, and tracked ones would be saved a second time
    # (keras-team/keras issue 23553).
    archive = keras.export.ExportArchive()
    spec = _image_spec(model, batch)
    archive.add_endpoint("pixels", lambda image: {"probabilities": model(image, training=False)}, [spec])
    return archive


def _image_spec(model: keras.Model, batch: int | None) -> tf.TensorSpec:
    return tf.TensorSpec([batch, *model.input_shape[1:]], tf.float32, name="image")


WRITERS: Mapping[str, Callable[[Exported, Path], None]] = {
    "saved_model": write_saved_model,
    "onnx": write_onnx,
    "litert": write_litert,
    "litert-int8": write_litert_int8,
    "litert-16x8": write_litert_16x8,
}
