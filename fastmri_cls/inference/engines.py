"""What computes the predictions of a RUN: Keras, or an export in RUN/exports, which answers without TensorFlow.

An export gives the same probabilities and features within the tolerance that `export` checked on real images.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.gpus import has_nvidia_device, use_device
from fastmri_cls.foundation.progress import log
from fastmri_cls.foundation.quiet import import_tensorflow
from fastmri_cls.inference.runtimes import Forward, open_litert, open_onnx
from fastmri_cls.runs import files
from fastmri_cls.runs.exports import export_folder, find_export
from fastmri_cls.runs.run import Run

if TYPE_CHECKING:
    from fastmri_cls.inference.gradcam import Explain

# Float32 formats alone: int8 changes probabilities visibly. In the order in which `auto` tries them.
_OPENERS: Mapping[str, Callable[[Path], Forward]] = {
    "onnx": open_onnx,
    "litert": lambda file: open_litert(file.read_bytes()),
}
ENGINES = ("auto", "keras", *_OPENERS)


class Engine(NamedTuple):
    """A RUN's model, ready to predict.

    Attributes:
        name: one of ENGINES, not `auto`.
        origin: where it is from, for people.
        forward: images uint8 [n, size, size, channels] -> probabilities and features.
        explain: images and classes -> heat maps; None if they are not wanted.
    """

    name: str
    origin: str
    forward: Forward
    explain: "Explain | None" = None


def open_engine(run: Run, requested: str, device: str, batch_size: int, *, explain: bool) -> Engine:
    """Open the engine `requested`; `auto` is an export that is up to date, else Keras.

    `auto` is Keras too for heat maps, which need gradients, and where a GPU is asked for or there.

    Args:
        run: a finished RUN.
        requested: one of ENGINES.
        device: where to compute: `auto`, `gpu` or `cpu`. Exports run on the CPU.
        batch_size: images at most in one forward pass.
        explain: whether heat maps are wanted.

    Raises:
        UserError: the RUN or its export is damaged or missing, or the runtime is not installed.
    """
    if requested not in ENGINES:
        raise UserError(f"--engine {requested}: unknown; choose one of {', '.join(ENGINES)}")
    if requested in _OPENERS:
        if explain:
            raise UserError(f"--engine {requested}: --gradcam needs gradients; choose --engine keras")
        if device == "gpu":
            raise UserError(f"--engine {requested}: computes on the CPU; for --device gpu choose --engine keras")
        try:
            return _open_export(run, requested)
        except FileNotFoundError:
            folder = export_folder(run.path, requested)
            raise UserError(f"{folder}: is not there; run fastmri-cls export {run.path} --format {requested}") from None
    wants_gpu = device == "gpu" or (device == "auto" and has_nvidia_device())
    if requested == "auto" and not explain and not wants_gpu:
        for name in _OPENERS:
            try:
                return _open_export(run, name)
            except FileNotFoundError:
                continue
            except UserError as error:
                log.warning(f"note: {error}; meanwhile Keras answers")
    return _open_keras(run, device, batch_size, explain=explain)


def _open_export(run: Run, name: str) -> Engine:
    file, record = find_export(run.path, name)
    checked = f"{record.largest_difference:.0e} from {files.MODEL} at most on {record.checked_images} images"
    return Engine(name, f"{file}, float32, {checked}", _OPENERS[name](file))


def _open_keras(run: Run, device: str, batch_size: int, *, explain: bool) -> Engine:
    import_tensorflow()
    use_device(device)
    from fastmri_cls.inference.gradcam import make_explain
    from fastmri_cls.inference.keras_engine import make_forward

    model = run.model()
    explained = make_explain(model) if explain else None
    return Engine("keras", f"{run.model_file}, float32", make_forward(model, batch_size), explained)
