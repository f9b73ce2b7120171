"""Every private name of TensorFlow and Keras that this package uses; no other module may use one.

A private name can vanish in any release. tests/foundation/test_private_api.py checks all of them against the pinned
versions, so that an update fails there and not in a user's run.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
from keras.src.applications.convnext import LayerScale
from keras.src.legacy.preprocessing.image import DirectoryIterator, ImageDataGenerator
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group
from keras.src.trainers.data_adapters.py_dataset_adapter import OrderedEnqueuer
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.lite.python import schema_py_generated as tflite_schema
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.tools import flatbuffer_utils
from tensorflow.python.framework import op_def_registry
from tensorflow.python.framework.config import disable_op_determinism, is_op_determinism_enabled
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow.python.util import _pywrap_util_port
from tensorflow.tsl.profiler.protobuf import xplane_pb2

__all__ = [
    "DirectoryIterator",
    "ImageDataGenerator",
    "LayerScale",
    "OrderedEnqueuer",
    "all_layers",
    "convert_variables_to_constants_v2",
    "deterministic_ops",
    "flatbuffer_utils",
    "has_onednn",
    "is_stateful",
    "mlir_quantize",
    "num_consumers",
    "producer",
    "producer_inputs",
    "rerun",
    "save_weights_to_hdf5_group",
    "saved_model_pb2",
    "skip_gradient_reduction",
    "tflite_schema",
    "xplane_pb2",
]


def producer(tensor: keras.KerasTensor) -> keras.Operation:
    """Return the layer or operation of a functional model whose output `tensor` is."""
    return tensor._keras_history.operation


def producer_inputs(tensor: keras.KerasTensor) -> list[keras.KerasTensor]:
    """Return the inputs from which the producer of `tensor` computed it."""
    history = tensor._keras_history
    return list(history.operation._inbound_nodes[history.node_index].input_tensors)


def num_consumers(operation: keras.Operation) -> int:
    """Return how many operations of functional models take an output of `operation`."""
    return len(operation._outbound_nodes)


def all_layers(layer: keras.Layer) -> list[keras.Layer]:
    """Return a layer or model with all layers inside it, at any depth."""
    return list(layer._flatten_layers())


def rerun(model: keras.Model, inputs: Any, call: Callable[..., Any]) -> Any:
    """Return the outputs of a functional or sequential model for `inputs`; `call(layer, ...)` calls each layer."""
    if isinstance(model, keras.Sequential):
        for layer in model.layers:
            inputs = call(layer, inputs)
        return inputs
    return model._run_through_graph(inputs, call_fn=call)


def is_stateful(operation: str) -> bool:
    """Return whether a TensorFlow operation has a state or reaches outside of its graph; True for an unknown one."""
    definition = op_def_registry.get(operation)
    return definition is None or bool(definition.is_stateful)


def skip_gradient_reduction(optimizer: keras.optimizers.Optimizer) -> None:
    """Let `optimizer`, and the one inside a LossScaleOptimizer, take gradients as already summed over replicas."""
    for part in (optimizer, getattr(optimizer, "inner_optimizer", None)):
        if part is not None:
            part._all_reduce_sum_gradients = lambda pairs: pairs


def has_onednn() -> bool:
    """Return whether TensorFlow computes with oneDNN on the CPU, as was decided when it was imported."""
    return bool(_pywrap_util_port.IsMklEnabled())


@contextmanager
def deterministic_ops(wanted: bool) -> Iterator[None]:
    """Let TensorFlow choose deterministic kernels in the block where `wanted`; its public switch cannot be undone."""
    before = is_op_determinism_enabled()
    if wanted:
        tf.config.experimental.enable_op_determinism()
    try:
        yield
    finally:
        if wanted and not before:
            disable_op_determinism()
