"""A SavedModel that somebody else made, checked before TensorFlow loads it.

A SavedModel is a program of TensorFlow operations, and some of them read and write files or call Python. So the
operations are read before anything runs, and only those that an image classifier needs are accepted. Loading runs the
initialisers of tables and other resources, which a classifier does not need: they are refused.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.private_api import is_stateful, saved_model_pb2

_FILE = "saved_model.pb"
# Operations that reach outside of the graph, though TensorFlow does not call them stateful.
_OUTSIDE = {"ReadFile", "MatchingFiles", "PyFuncStateless", "ImmutableConst"}
# Stateful operations that a classifier has: variables, calls, conditions, and random numbers (dropout in training).
_STATEFUL = {
    "VarHandleOp", "ReadVariableOp", "AssignVariableOp", "VarIsInitializedOp", "AssignAddVariableOp",
    "AssignSubVariableOp", "StatefulPartitionedCall", "If", "While", "Case", "Assert", "RandomUniform",
    "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal", "StatefulUniform",
}  # fmt: skip
# What TensorFlow writes into every SavedModel to save and restore the variables; images must not pass through it.
_CHECKPOINTS = {"DisableCopyOnRead", "SaveV2", "RestoreV2", "MergeV2Checkpoints"}


class SavedModel(NamedTuple):
    """An opened model.

    Attributes:
        shape: of its images, int or None [4], batch first.
        dtype: of its images.
        run: images of that shape and dtype -> outputs [n, outputs].
    """

    shape: tuple[int | None, ...]
    dtype: type[np.generic]
    run: Callable[[np.ndarray], np.ndarray]


def saved_model_folder(path: Path) -> Path | None:
    """Return the folder of saved_model.pb: `path`, or its newest version `path`/N; None if it is no SavedModel."""
    versions = sorted((child for child in path.glob("*/") if child.name.isdigit()), key=lambda child: int(child.name))
    return next((folder for folder in (path, *reversed(versions)) if (folder / _FILE).is_file()), None)


def open_saved_model_of(folder: Path) -> SavedModel:
    """Load the signature that takes images, after reading the operations.

    Args:
        folder: holds saved_model.pb.

    Raises:
        UserError: the file is damaged, has an operation that no classifier needs, or no signature takes images.
    """
    _refuse(folder, _fault(folder / _FILE))
    try:
        loaded = tf.saved_model.load(str(folder))
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RuntimeError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder}: TensorFlow cannot load it ({reason}); get it again") from None
    for signature in loaded.signatures.values():
        _, inputs = signature.structured_input_signature
        outputs = [name for name, spec in signature.structured_outputs.items() if spec.shape.rank == 2]
        if len(inputs) == len(outputs) == 1:
            ((name, spec),) = inputs.items()
            if spec.shape.rank == 4 and (spec.dtype.is_floating or spec.dtype.is_integer):
                _refuse(folder, _unfit(_operations(signature.graph.as_graph_def()), _STATEFUL))
                run = _run(loaded, signature, name, outputs[0])
                return SavedModel(tuple(spec.shape), spec.dtype.as_numpy_dtype, run)
    names = ", ".join(loaded.signatures) or "none"
    raise UserError(f"{folder}: no signature takes images and gives classes (it has: {names})")


def _run(loaded: Any, signature: Any, name: str, output: str) -> Callable[[np.ndarray], np.ndarray]:
    def run(images: np.ndarray) -> np.ndarray:
        assert loaded is not None  # its variables live as long as it does
        return np.asarray(signature(**{name: tf.constant(images)})[output])

    return run


def _refuse(folder: Path, fault: str | None) -> None:
    if fault:
        raise UserError(f"{folder}: {fault}; nothing of it was run; ask its author for an ONNX file")


def _fault(file: Path) -> str | None:
    """Return why a SavedModel must not be loaded, None if it may."""
    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString(file.read_bytes())
    except DecodeError:
        return f"its {file.name} is damaged"
    for meta in saved.meta_graphs:
        if not meta.object_graph_def.nodes:
            return "it is of TensorFlow 1, which runs operations while it loads"
        if any(node.WhichOneof("kind") in ("resource", "asset") for node in meta.object_graph_def.nodes):
            return "it has tables or files that are filled while it loads"
        fault = _unfit(_operations(meta.graph_def), _STATEFUL | _CHECKPOINTS)
        if fault:
            return fault
    return None


def _operations(graph: Any) -> set[str]:
    """Return the operations of a graph and its functions, calls of its own functions left out."""
    functions = {function.signature.name for function in graph.library.function}
    nodes = (graph.node, *(function.node_def for function in graph.library.function))
    return {node.op for some in nodes for node in some} - functions


def _unfit(operations: set[str], stateful: set[str]) -> str | None:
    """Return the first operation that no classifier needs, in a sentence."""
    unfit = sorted(op for op in operations if op in _OUTSIDE or (op not in stateful and is_stateful(op)))
    return f"its graph has the operation {unfit[0]}, which no classifier of images needs" if unfit else None
