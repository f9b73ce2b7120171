"""A classifier as ONNX (extra `onnx`): written by tf2onnx, run by ONNX Runtime."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.export.saved_model import pixels_spec
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.extras import missing_extra
from fastmri_cls.foundation.private_api import convert_variables_to_constants_v2

ONNX_FILE = "model.onnx"
_OPSET = 18


def write_onnx(model: keras.Model, classes: Sequence[str], folder: Path) -> None:
    """Write model.onnx: image float32 [batch, size, size, channels] -> probabilities [batch, classes].

    Raises:
        UserError: tf2onnx is not installed.
    """
    try:
        import tf2onnx
    except ImportError:
        raise _missing_extra() from None
    function = tf.function(lambda image: model(image, training=False))
    # Frozen here: tf2onnx's from_function would take ConvNeXt's captured constants for inputs.
    frozen = convert_variables_to_constants_v2(
        function.get_concrete_function(pixels_spec(model, batch=None)), lower_control_flow=False
    )
    names = {frozen.inputs[0].name: "image", frozen.outputs[0].name: "probabilities"}
    converted, _ = tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(),
        input_names=[frozen.inputs[0].name],
        output_names=[frozen.outputs[0].name],
        opset=_OPSET,
        custom_op_handlers={"Erfc": (_erfc, [])},
        tensors_to_rename=names,
    )
    for tensor in (*converted.graph.input, *converted.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    converted.metadata_props.add(key="classes", value="\n".join(classes))
    (folder / ONNX_FILE).write_bytes(converted.SerializeToString())


def _erfc(graph: Any, node: Any, name: str, _: Any) -> None:
    """ONNX has erf alone (ConvNeXt's exact GELU): erfc(x) = 1 - erf(x)."""
    one = graph.make_const(f"{name}_one", np.float32(1))
    erf = graph.make_node("Erf", node.input, name=f"{name}_erf")
    result = graph.make_node("Sub", [one.output[0], erf.output[0]], name=f"{name}_erfc")
    graph.replace_all_inputs(node.output[0], result.output[0])
    graph.remove_node(node.name)


def open_onnx(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Open model.onnx in ONNX Runtime: uint8 [n, size, size, channels] -> float32 [n, classes].

    Raises:
        UserError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise _missing_extra() from None
    session = onnxruntime.InferenceSession(folder / ONNX_FILE, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run(["probabilities"], {"image": images.astype(np.float32)})[0])


def _missing_extra() -> UserError:
    return UserError(f"--format onnx: {missing_extra('onnx')}")
