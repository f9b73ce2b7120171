"""The arithmetic a device has for a step: precision and XLA, and what `auto` means where nothing was measured.

trials.py measures; see there.
"""

from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf


@dataclass(frozen=True)
class Arithmetic:
    """How a step computes: Keras' dtype policy, and whether XLA compiles forward and backward."""

    precision: str
    xla: bool


def unmeasured(precision: str, xla: str) -> Arithmetic:
    """Return what is asked for, `auto` by what measurements elsewhere showed.

    XLA: on GPUs (never run on one), not on a CPU, where it makes EfficientNetV2S 3.6 times slower and leaves
    DenseNet121 as it is (2 cores).
    """
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    return Arithmetic(
        (lower_precision() or "float32") if precision == "auto" else precision, on_gpu if xla == "auto" else xla == "on"
    )


def lower_precision() -> str | None:
    """Return the mixed precision this device computes in, None for none.

    mixed_bfloat16 on a GPU of compute capability 8 or more and on a CPU with avx512_bf16 or amx_bf16 (DenseNet121 33
    images/s against 24, EfficientNetV2S 33 against 26 on such a CPU), mixed_float16 on a GPU of capability 7. The GPU
    lines were never run on one.
    """
    capabilities = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    if capabilities:
        weakest = min(capabilities)
        return "mixed_bfloat16" if weakest >= (8, 0) else "mixed_float16" if weakest >= (7, 0) else None
    return "mixed_bfloat16" if cpu_flags() & {"avx512_bf16", "amx_bf16"} else None


def cpu_flags() -> set[str]:
    """Return what the CPU says it can do, empty where the system does not tell."""
    flags = next((line for line in _lines(Path("/proc/cpuinfo")) if line.startswith("flags")), "")
    return set(flags.split())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
