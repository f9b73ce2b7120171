"""What `auto` means for cache tier, precision and XLA, with the measurement each choice rests on."""

import os
from pathlib import Path

import keras
import tensorflow as tf

from fastmri_cls.foundation.errors import UserError

_MEMORY_SHARE = 0.4  # of the memory that is free; the rest is for the model's activations


def choose_cache(requested: str, pixels_bytes: int) -> str:
    """Return `ram` for auto where the decoded images (`pixels_bytes`) fit well into free memory, else `none`.

    A gather from memory gives 150 000 images/s where reading raw records gives 22 000 (2 cores, 2026-11).

    Raises:
        UserError: `ram` was asked for and does not fit.
    """
    free = _free_memory()
    if requested == "auto":
        return "ram" if pixels_bytes <= _MEMORY_SHARE * free else "none"
    if requested == "ram" and pixels_bytes > free:
        raise UserError(
            f"--cache ram: the decoded images take {pixels_bytes / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free; "
            "choose --cache none"
        )
    return requested


def choose_precision(requested: str) -> str:
    """Return the Keras dtype policy.

    auto: mixed_bfloat16 on a GPU of compute capability 8 or more and on a CPU with avx512_bf16 or amx_bf16 (DenseNet121
    33 images/s against 24, EfficientNetV2S 33 against 26 on such a CPU), mixed_float16 on a GPU of capability 7, else
    float32. The GPU lines were never run on one.
    """
    if requested != "auto":
        return requested
    capabilities = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    if capabilities:
        weakest = min(capabilities)
        return "mixed_bfloat16" if weakest >= (8, 0) else "mixed_float16" if weakest >= (7, 0) else "float32"
    return "mixed_bfloat16" if _cpu_flags() & {"avx512_bf16", "amx_bf16"} else "float32"


def choose_xla(requested: str) -> bool:
    """Return whether forward and backward are compiled: on GPUs in auto (never run on one), not on a CPU.

    XLA on a CPU makes EfficientNetV2S 3.6 times slower and leaves DenseNet121 as it is (2 cores).
    """
    if requested == "auto":
        return bool(tf.config.list_physical_devices("GPU"))
    return requested == "on"


def make_optimizer(learning_rate: float, precision: str) -> keras.optimizers.Optimizer:
    """Return Adam; float16 gradients would underflow unscaled."""
    adam = keras.optimizers.Adam(learning_rate)
    return keras.optimizers.LossScaleOptimizer(adam) if precision == "mixed_float16" else adam


def _free_memory() -> int:
    """Bytes this process may still take: the machine's, or less where a control group limits it."""
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024
    limit, used = _lines(Path("/sys/fs/cgroup/memory.max")), _lines(Path("/sys/fs/cgroup/memory.current"))
    if limit and used and limit[0].isdigit():
        available = min(available, int(limit[0]) - int(used[0]))
    return available


def _cpu_flags() -> set[str]:
    flags = next((line for line in _lines(Path("/proc/cpuinfo")) if line.startswith("flags")), "")
    return set(flags.split())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
