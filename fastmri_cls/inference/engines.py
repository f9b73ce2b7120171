"""What computes the predictions of a RUN: Keras, an export in RUN/exports, or OpenVINO, which reads either of them.

An export answers without TensorFlow, and gives the same probabilities and features within the tolerance that `export`
checked on real images. `auto` also tries a faster engine on images that it is asked to predict; see trial.py.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.gpus import CPU_BATCH, has_nvidia_device, inference_batch, use_device
from fastmri_cls.foundation.openvino import is_installed
from fastmri_cls.foundation.progress import log
from fastmri_cls.foundation.quiet import import_tensorflow
from fastmri_cls.inference import openvino
from fastmri_cls.inference.runtimes import Engine, Forward, open_litert, open_onnx
from fastmri_cls.inference.trial import Preview, checked, faster
from fastmri_cls.runs import files
from fastmri_cls.runs.exports import export_folder, find_export
from fastmri_cls.runs.run import Run

# Float32 formats alone: int8 changes probabilities visibly. In the order in which `auto` tries them.
_OPENERS: Mapping[str, Callable[[Path], Forward]] = {
    "onnx": open_onnx,
    "litert": lambda file: open_litert(file.read_bytes()),
}
ENGINES = ("auto", "keras", *_OPENERS, "openvino")


def open_engine(
    run: Run, requested: str, device: str, batch_size: int | None, *, explain: bool, preview: Preview | None = None
) -> Engine:
    """Open the engine `requested`; `auto` is the RUN's own engine, or a faster one that says the same.

    The own one is an export that is up to date, else Keras. It is Keras too for heat maps, which need gradients, and
    where a GPU is asked for or there; then nothing else is tried.

    Args:
        run: a finished RUN.
        requested: one of ENGINES.
        device: where to compute: `auto`, `gpu` or `cpu`. Engines other than Keras run on the CPU.
        batch_size: images in one forward pass; None for what suits the device.
        explain: whether heat maps are wanted.
        preview: what will be predicted; None if that is not known.

    Raises:
        UserError: the RUN or its export is damaged or missing, the runtime is not installed, or OpenVINO is requested
            and does not say what the RUN's own engine says.
    """
    if requested not in ENGINES:
        raise UserError(f"--engine {requested}: unknown; choose one of {', '.join(ENGINES)}")
    if requested not in ("auto", "keras"):
        if explain:
            raise UserError(f"--engine {requested}: --gradcam needs gradients; choose --engine keras")
        if device == "gpu":
            raise UserError(f"--engine {requested}: computes on the CPU; for --device gpu choose --engine keras")
    if requested in _OPENERS:
        try:
            return _open_export(run, requested)
        except FileNotFoundError:
            folder = export_folder(run.path, requested)
            raise UserError(f"{folder}: is not there; run fastmri-cls export {run.path} --format {requested}") from None
    wants_gpu = device == "gpu" or (device == "auto" and has_nvidia_device())
    if requested == "openvino":
        openvino.check_installed()
        if preview is None or not len(images := preview.images()):
            raise UserError("--engine openvino: there are no images to compare it on with the model; give some")
        own = _find_export(run, ("onnx",)) or _open_keras(run, "cpu", batch_size)
        model = openvino.OpenVino(own.source, batch_size or CPU_BATCH)
        return checked(own, (_in_openvino(own, model, precision) for precision in model.precisions), images)
    if requested == "keras" or explain or wants_gpu:
        return _open_keras(run, device, batch_size, explain=explain)
    own = _find_export(run, _OPENERS) or _open_keras(run, device, batch_size)
    if preview is None or not preview.is_worth_a_trial(run.config.image_size) or not len(images := preview.images()):
        return own
    return faster(own, _candidates(run, own, batch_size), images)


def _candidates(run: Run, own: Engine, batch_size: int | None) -> Iterator[Engine]:
    """Yield engines that may be faster than a RUN's own one on this CPU."""
    if own.source is not None and is_installed():
        try:
            model = openvino.OpenVino(own.source, batch_size or CPU_BATCH)
            yield _in_openvino(own, model, model.precisions[0])
        except UserError as error:
            log.warning(f"note: {error}")
    if own.name == "keras":
        from fastmri_cls.training.precision import lower_precision

        if lower_precision() == "mixed_bfloat16":
            yield _open_keras(run, "cpu", batch_size, precision="bfloat16")


def _in_openvino(own: Engine, model: openvino.OpenVino, precision: str) -> Engine:
    """Return the model of a RUN's own engine as OpenVINO has read it."""
    where = own.origin.partition(",")[0]
    return Engine("openvino", f"{where}, {precision}", model.compile(precision), precision=precision)


def _find_export(run: Run, names: Iterable[str]) -> Engine | None:
    """Return the first export of these formats that can be used, and say what is wrong with the others."""
    for name in names:
        try:
            return _open_export(run, name)
        except FileNotFoundError:
            continue
        except UserError as error:
            log.warning(f"note: {error}; meanwhile Keras answers")
    return None


def _open_export(run: Run, name: str) -> Engine:
    file, record = find_export(run.path, name)
    checked = f"{record.largest_difference:.0e} from {files.MODEL} at most on {record.checked_images} images"
    source = file if name == "onnx" else None
    return Engine(name, f"{file}, float32, {checked}", _OPENERS[name](file), source=source)


def _open_keras(
    run: Run, device: str, batch_size: int | None, *, explain: bool = False, precision: str = "float32"
) -> Engine:
    import_tensorflow()
    use_device(device)
    from fastmri_cls.inference.gradcam import make_explain
    from fastmri_cls.inference.keras_engine import make_forward

    model = run.model()
    explained = make_explain(model) if explain else None
    policy = "float32" if precision == "float32" else f"mixed_{precision}"
    size = batch_size or inference_batch()
    forward = make_forward(model, size, policy)
    return Engine("keras", f"{run.model_file}, {precision}", forward, explained, precision, model, size)
