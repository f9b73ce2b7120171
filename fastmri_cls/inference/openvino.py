"""A classifier in OpenVINO (extra `openvino`), which needs no TensorFlow where the RUN has an ONNX export."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.extras import missing_extra
from fastmri_cls.foundation.openvino import compile_for_cpu, fast_precisions, is_installed, read_frozen
from fastmri_cls.foundation.quiet import without_native_output
from fastmri_cls.inference.runtimes import Forward, Outputs, in_batches_of

if TYPE_CHECKING:
    import keras


def check_installed() -> None:
    """Refuse to go on without OpenVINO.

    Raises:
        UserError: it is not installed.
    """
    if not is_installed():
        raise UserError(f"--engine openvino: {missing_extra('openvino')}")


class OpenVino:
    """A classifier that OpenVINO has read.

    Args:
        source: an ONNX export of a RUN, or its model in Keras.
        batch_size: images in one forward pass.

    Raises:
        UserError: OpenVINO cannot read the model.
    """

    def __init__(self, source: "Path | keras.Model", batch_size: int) -> None:
        import openvino

        self._core = openvino.Core()
        try:
            self._model, self._names = _read(self._core, source)
            shape = self._model.input().partial_shape
            shape[0] = batch_size
            self._model.reshape(shape)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"--engine openvino: cannot read the model ({reason}); choose --engine keras") from None
        self._batch_size = batch_size

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions in which this CPU computes fast, the fastest first."""
        return fast_precisions(self._core)

    def compile(self, precision: str) -> Forward:
        """Return the forward pass in a precision."""
        compiled = compile_for_cpu(self._core, self._model, precision)

        def run(images: np.ndarray) -> Outputs:
            found = compiled(images.astype(np.float32))
            return Outputs(*(found[name].copy() for name in self._names))

        return in_batches_of(self._batch_size, run)


def _read(core: Any, source: "Path | keras.Model") -> tuple[Any, Sequence[str]]:
    """Return a model and the names of its outputs, in the order of `Outputs`."""
    if isinstance(source, Path):
        return core.read_model(source), Outputs._fields
    from fastmri_cls.models.for_inference import frozen_forward

    with without_native_output():  # TensorFlow's remarks on devices
        frozen = frozen_forward(source)
    return read_frozen(core, frozen), [tensor.name for tensor in frozen.outputs]
