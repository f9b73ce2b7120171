"""GPUs: which device is used, memory growth and free memory, names, float32 without TF32, and a warning about a GPU
that TensorFlow cannot use. Every other module asks here whether there is a GPU."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.option_checks import check_choice
from fastmri_cls.foundation.progress import log

Device = Literal["auto", "gpu", "cpu"]


class GpuSoftware(TypedDict):
    """What a result on GPUs depends on besides their names; `tf32`: products of float32 have 10 bits."""

    driver: str | None
    cuda: str
    cudnn: str
    tf32: bool


CPU_BATCH = 32  # images in a forward pass of predictions and evaluations, unless somebody says otherwise
_GPU_BATCH = 128  # with 32 a large GPU waits for kernels to be launched most of the time

_NVIDIA_DEVICE = Path("/dev/nvidia0")
_DRIVER = Path("/sys/module/nvidia/version")
_HIDDEN = ("", "-1")  # values of CUDA_VISIBLE_DEVICES that hide every GPU on purpose
_QUERY = ("nvidia-smi", "--query-gpu=memory.total,memory.used", "--format=csv,noheader,nounits")  # in MiB
_RESERVED = 2 << 30  # bytes of a GPU for CUDA's context, libraries and kernels


def prepare_gpus() -> None:
    """Let each GPU's memory grow with what is used of it; warn of a GPU that TensorFlow cannot use.

    Without this TensorFlow takes a whole card at once, and a second process on it runs out of memory.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        with suppress(RuntimeError):  # the importing program has used it already
            tf.config.experimental.set_memory_growth(gpu, True)
    if not gpus and has_nvidia_device():
        _warn_of_unusable_gpu()


def has_nvidia_device() -> bool:
    """Return whether this machine has an NVIDIA GPU that is not hidden, without asking TensorFlow."""
    return _NVIDIA_DEVICE.exists() and os.environ.get("CUDA_VISIBLE_DEVICES") not in _HIDDEN


@cache  # once a process: several parts of a command import TensorFlow
def _warn_of_unusable_gpu() -> None:
    log.warning(
        "note: this machine has an NVIDIA GPU, which TensorFlow cannot use: all work is done on the CPU. Install "
        "the CUDA libraries with pip install -e '.[gpu]'; TF_CPP_MIN_LOG_LEVEL=0 shows what does not load"
    )


def use_device(requested: str) -> None:
    """Compute on the device that `requested` names; call this before anything is computed.

    Args:
        requested: `gpu` refuses a machine without one, `cpu` leaves GPUs alone, `auto` takes what there is.

    Raises:
        UserError: there is no GPU, or TensorFlow computes on it already.
    """
    import tensorflow as tf

    check_choice("--device", requested, get_args(Device))
    if requested == "gpu" and not visible_gpus():
        raise UserError(
            "--device gpu: TensorFlow finds no GPU; check nvidia-smi and the CUDA libraries (pip install -e '.[gpu]'), "
            "or choose --device cpu"
        )
    if requested == "cpu" and visible_gpus():
        try:
            tf.config.set_visible_devices([], "GPU")
        except RuntimeError:
            raise UserError("--device cpu: TensorFlow has begun to use the GPU; start a new process") from None


def visible_gpus() -> list[Any]:
    """Return the GPUs that are used: those that TensorFlow can use and that nobody has hidden."""
    import tensorflow as tf

    return list(tf.config.get_visible_devices("GPU"))


def inference_batch() -> int:
    """Return how many images TensorFlow gets in a forward pass of predictions and evaluations on the device in use.

    Fixed for a device: another order of sums changes the last digits of a probability.
    """
    return _GPU_BATCH if visible_gpus() else CPU_BATCH


def gpu_names() -> list[str]:
    """Return the names of the GPUs that are used, as "NVIDIA H100 80GB HBM3"; empty before TensorFlow's import."""
    tf = sys.modules.get("tensorflow")
    if tf is None:
        return []
    details = map(tf.config.experimental.get_device_details, visible_gpus())
    return [found.get("device_name", "unknown GPU") for found in details]


def gpu_software() -> GpuSoftware | None:
    """Return the versions of driver, CUDA and cuDNN, and whether TF32 is on; None where no GPU is used."""
    if not gpu_names():
        return None
    import tensorflow as tf

    built = tf.sysconfig.get_build_info()
    return {
        "driver": _DRIVER.read_text(encoding="utf-8").strip() if _DRIVER.exists() else None,
        "cuda": str(built.get("cuda_version", "")),
        "cudnn": str(built.get("cudnn_version", "")),
        "tf32": tf.config.experimental.tensor_float_32_execution_enabled(),
    }


@cache  # once a process, before anything is computed: later this process itself uses some of it
def free_gpu_memory() -> int:
    """Return the bytes that are free on the fullest GPU, 0 without a GPU.

    The driver's tool is asked, since every question to TensorFlow makes a context, which takes memory itself.
    """
    if not visible_gpus():
        return 0
    which = os.environ.get("CUDA_VISIBLE_DEVICES")
    command = [*_QUERY, *([f"--id={which}"] if which else [])]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
        rows = [tuple(map(int, line.split(","))) for line in answer.splitlines()]
        free = min((total - used) * 2**20 for total, used in rows)
    except (OSError, ValueError, subprocess.SubprocessError):
        log.warning("note: nvidia-smi does not say how much memory the GPU has: no images are kept there")
        return 0
    return max(0, free - _RESERVED)


@contextmanager
def exact_float32() -> Iterator[None]:
    """Compute float32 products in float32 in the block; TensorFlow's default on recent GPUs is TF32 with 10 bits."""
    import tensorflow as tf

    switch = tf.config.experimental
    before = switch.tensor_float_32_execution_enabled()
    switch.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        switch.enable_tensor_float_32_execution(before)
