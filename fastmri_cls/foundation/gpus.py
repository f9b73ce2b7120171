"""GPUs: memory growth, names, float32 without TF32, and a warning about one that TensorFlow cannot use."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from fastmri_cls.foundation.progress import log

_NVIDIA_DEVICE = Path("/dev/nvidia0")
_HIDDEN = ("", "-1")  # values of CUDA_VISIBLE_DEVICES that hide every GPU on purpose


def prepare_gpus() -> None:
    """Let each GPU's memory grow with what is used of it; warn of a GPU that TensorFlow cannot use.

    Without this TensorFlow takes a whole card at once, and a second process on it runs out of memory.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        with suppress(RuntimeError):  # the importing program has used it already
            tf.config.experimental.set_memory_growth(gpu, True)
    if not gpus and _NVIDIA_DEVICE.exists() and os.environ.get("CUDA_VISIBLE_DEVICES") not in _HIDDEN:
        _warn_of_unusable_gpu()


@cache  # once a process: several parts of a command import TensorFlow
def _warn_of_unusable_gpu() -> None:
    log.warning(
        "note: this machine has an NVIDIA GPU, which TensorFlow cannot use: all work is done on the CPU. Install "
        "the CUDA libraries with pip install -e '.[gpu]'; TF_CPP_MIN_LOG_LEVEL=0 shows what does not load"
    )


def gpu_names() -> list[str]:
    """Return the names of the GPUs that TensorFlow can use, as "NVIDIA H100 80GB HBM3"; empty before its import."""
    tf = sys.modules.get("tensorflow")
    if tf is None:
        return []
    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    return [found.get("device_name", "unknown GPU") for found in details]


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
