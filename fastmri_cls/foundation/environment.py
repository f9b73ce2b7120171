"""The environment of a result: versions, commit, machine. Written into config.json and the JSON of benchmarks."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import NotRequired, TypedDict

from fastmri_cls.foundation.cpu import available_cores
from fastmri_cls.foundation.gpus import GpuSoftware, gpu_names, gpu_software
from fastmri_cls.foundation.onednn import uses_onednn

_PACKAGES = ("tensorflow", "keras", "keras-cv", "scikit-learn", "numpy", "pillow")

# Versions, the commit of the checkout (None for an installed package), and the machine; the keys of the JSON.
Environment = TypedDict(
    "Environment",
    {
        "fastmri-cls": str,
        "commit": str | None,
        "python": str,
        "packages": dict[str, str],
        "platform": str,
        "processor": str,
        "cores": int | None,
        "onednn": NotRequired[bool | None],  # not in files of version 0.1; None where TensorFlow is not imported
        "gpus": NotRequired[list[str]],  # likewise
        "gpu_software": NotRequired[GpuSoftware | None],  # None where the CPU computes
    },
)


def describe() -> Environment:
    """Return versions, commit and machine as plain JSON values, without importing the packages."""
    return {
        "fastmri-cls": metadata.version("fastmri-cls"),
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": available_cores(),
        "onednn": uses_onednn(),
        "gpus": gpu_names(),
        "gpu_software": gpu_software(),
    }


def _version(package: str) -> str | None:
    """Return the version of a package, None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Return the commit of the checkout that this package runs from, None if it was installed from a wheel."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():  # else git would answer for a repository around site-packages
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
