"""What `auto` means for precision and XLA, with the measurement each choice rests on."""

from pathlib import Path

import tensorflow as tf


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


def _cpu_flags() -> set[str]:
    flags = next((line for line in _lines(Path("/proc/cpuinfo")) if line.startswith("flags")), "")
    return set(flags.split())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
