"""Precision and XLA: what this device supports, and what `auto` means without a measurement (autotune.py measures)."""

from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from fastmri_cls.foundation.gpus import visible_gpus


@dataclass(frozen=True)
class ComputePolicy:
    """How a step computes.

    Attributes:
        precision: Keras' dtype policy.
        xla: whether XLA compiles forward and backward.
    """

    precision: str
    xla: bool


def default_policy(precision: str, xla: str) -> ComputePolicy:
    """Return the requested policy, with `auto` resolved by a rule.

    Precision: the lowest that the device computes fast, see `lower_precision`. XLA: on for GPUs, off for CPUs, where it
    makes EfficientNetV2S 3.6 times slower and does not change DenseNet121 (2 cores).

    Args:
        precision: auto, float32, mixed_bfloat16 or mixed_float16.
        xla: auto, on or off.
    """
    if precision == "auto":
        precision = lower_precision() or "float32"
    uses_xla = bool(visible_gpus()) if xla == "auto" else xla == "on"
    return ComputePolicy(precision, uses_xla)


def lower_precision() -> str | None:
    """Return the mixed precision that this device computes fast, or None.

    mixed_bfloat16 on GPUs of compute capability 8 or more and on CPUs with avx512_bf16 or amx_bf16 (on such a CPU
    DenseNet121 trains 33 images/s instead of 24, EfficientNetV2S 33 instead of 26); mixed_float16 on GPUs of
    capability 7.
    """
    capabilities = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) for gpu in visible_gpus()
    ]
    if capabilities:
        weakest = min(capabilities)
        if weakest >= (8, 0):
            return "mixed_bfloat16"
        return "mixed_float16" if weakest >= (7, 0) else None
    return "mixed_bfloat16" if cpu_flags() & {"avx512_bf16", "amx_bf16"} else None


def cpu_flags() -> set[str]:
    """Return the CPU's feature flags; empty on systems that do not report them."""
    flags = next((line for line in _lines(Path("/proc/cpuinfo")) if line.startswith("flags")), "")
    return set(flags.split())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
