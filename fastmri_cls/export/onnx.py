"""A classifier as ONNX (extra `onnx`), written by tf2onnx."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.extras import missing_extra
from fastmri_cls.inference.runtimes import Outputs
from fastmri_cls.models.for_inference import frozen_forward

ONNX_FILE = "model.onnx"
_OPSET = 18


def write_onnx(model: keras.Model, classes: Sequence[str], folder: Path) -> None:
    """Write model.onnx: image float32 [batch, size, size, channels] -> probabilities [batch, classes] and the pooled
    features of the backbone [batch, d].

    Raises:
        UserError: tf2onnx is not installed.
    """
    try:
        import tf2onnx
    except ImportError:
        raise UserError(f"--format onnx: {missing_extra('onnx')}") from None
    # Frozen here: tf2onnx's from_function would take ConvNeXt's captured constants for inputs.
    frozen = frozen_forward(model)
    names = {frozen.inputs[0].name: "image"} | dict(
        zip((tensor.name for tensor in frozen.outputs), Outputs._fields, strict=True)
    )
    converted, _ = tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(),
        input_names=[frozen.inputs[0].name],
        output_names=[tensor.name for tensor in frozen.outputs],
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
