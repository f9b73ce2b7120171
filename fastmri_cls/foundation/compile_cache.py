"""What XLA compiles for NVIDIA GPUs is kept in the cache folder: compiling a network takes a minute, and every process
would compile the same again. TensorFlow reads the flags for this when it is imported.

Programs for CPUs are not kept: they take seconds, and TensorFlow 2.21 warns that one made on another CPU may crash.
"""

import hashlib
import os
import sys
from importlib import metadata
from pathlib import Path

from fastmri_cls.foundation.cache import cache_directory

_GPUS = Path("/proc/driver/nvidia/gpus")
_DRIVER = Path("/proc/driver/nvidia/version")
_PROGRAMS = "--tf_xla_persistent_cache_directory"
_CHOICES = "--xla_gpu_per_fusion_autotune_cache_dir"  # of the fastest of several kernels


def keep_compiled_programs() -> None:
    """Set the flags on a machine with NVIDIA GPUs, before TensorFlow is imported; the user's own flags stay."""
    if "tensorflow" in sys.modules or not _GPUS.is_dir():
        return
    folder = cache_directory() / "xla" / _machine()
    _add("TF_XLA_FLAGS", _PROGRAMS, folder / "programs", "--tf_xla_persistent_cache_device_types=GPU")
    _add("XLA_FLAGS", _CHOICES, folder / "autotuning")


def _add(variable: str, flag: str, folder: Path, *more: str) -> None:
    flags = os.environ.get(variable, "")
    if flag in flags:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # without a cache, programs are compiled again; what needs the folder itself says what is wrong with it
    os.environ[variable] = " ".join([*flags.split(), f"{flag}={folder}", *more])


def _machine() -> str:
    """Return a name for what a compiled program fits: the models of the GPUs, the driver and TensorFlow's version."""
    models = [
        line.partition(":")[2].strip()
        for file in sorted(_GPUS.glob("*/information"))
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith("Model")
    ]
    driver = _DRIVER.read_text(encoding="utf-8") if _DRIVER.exists() else ""
    facts = "\n".join([*models, driver, metadata.version("tensorflow")])
    return hashlib.sha256(facts.encode()).hexdigest()[:16]
