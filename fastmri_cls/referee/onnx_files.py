"""An ONNX file that somebody else made (extra `onnx`), checked before ONNX Runtime opens it.

ONNX can keep tensors in other files, named by a path in the model. A path out of the model's folder would read any file
of this machine, so it is refused. Operators must be ONNX's or ONNX Runtime's own; others need a library of the author.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.extras import missing_extra

_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
_DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}  # fmt: skip
_PROBABILITIES = "probabilities"


class OnnxModel(NamedTuple):
    """An opened model.

    Attributes:
        shape: of its images, int or None [4], batch first.
        dtype: of its images.
        class_names: what its metadata names, as our own exports do; None if nothing.
        run: images of that shape and dtype -> outputs [n, outputs].
    """

    shape: tuple[int | None, ...]
    dtype: type[np.generic]
    class_names: tuple[str, ...] | None
    run: Callable[[np.ndarray], np.ndarray]


def open_onnx_file(path: Path) -> OnnxModel:
    """Open an ONNX classifier in ONNX Runtime, on the CPU.

    Raises:
        UserError: the extra is missing; the file is damaged, refers to files outside its folder, needs operators of its
            author, or is no classifier of images.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError:
        raise UserError(f"{path}: {missing_extra('onnx')}") from None
    try:
        proto = onnx.load_model(path, load_external_data=False)
    except DecodeError:
        raise UserError(f"{path}: is not an ONNX file, or damaged; get it again") from None
    fault = _fault(proto, path.parent)
    if fault:
        raise UserError(f"{path}: {fault}; the model was not opened; do not trust it")
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's classes are private
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: ONNX Runtime cannot open it ({reason})") from None
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in _DTYPES:
        shapes = ", ".join(f"{each.name} {each.type} {each.shape}" for each in inputs)
        raise UserError(f"{path}: takes {shapes}; a classifier of images takes one tensor of four dimensions")
    tables = [each.name for each in outputs if len(each.shape) == 2]
    scores = [_PROBABILITIES] if _PROBABILITIES in tables else tables  # our own exports give features as well
    if len(scores) != 1:
        shapes = ", ".join(f"{each.name} {each.shape}" for each in outputs)
        raise UserError(
            f"{path}: gives {shapes}; a classifier gives one table of images x classes, or names it {_PROBABILITIES}"
        )

    def run(images: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(session.run(scores, {inputs[0].name: images})[0])
        except Exception as error:  # onnxruntime's classes are private
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{path}: ONNX Runtime cannot run it on images {images.shape} ({reason})") from None

    names = next((entry.value for entry in proto.metadata_props if entry.key == "classes"), "")
    return OnnxModel(
        shape=tuple(size if isinstance(size, int) and size > 0 else None for size in inputs[0].shape),
        dtype=_DTYPES[inputs[0].type],
        class_names=tuple(names.split("\n")) if names else None,
        run=run,
    )


def _fault(proto: Any, folder: Path) -> str | None:
    """Return why a model must not be opened, None if it may."""
    for used in proto.opset_import:
        if used.domain not in _DOMAINS:
            return f"it needs operators of its author ({used.domain})"
    if proto.functions:
        return "it brings functions of its author"
    for tensor in _tensors(proto.graph):
        for entry in tensor.external_data:
            if entry.key == "location" and not _is_inside(folder, entry.value):
                return f"its tensor {tensor.name} is in the file {entry.value!r}, which is not in the model's folder"
    return None


def _is_inside(folder: Path, location: str) -> bool:
    place = folder.resolve()
    return (place / location).resolve().is_relative_to(place) and not Path(location).is_absolute()


def _tensors(graph: Any) -> Iterator[Any]:
    """Yield every tensor of a graph and of the graphs in it."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer:
                    yield from _tensors(inner)
