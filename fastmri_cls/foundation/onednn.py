"""Switches on oneDNN, a library of faster kernels for CPUs, where TensorFlow leaves it off.

By itself TensorFlow uses it only on processors with AVX-512 VNNI, bfloat16 or AMX. On one that has no more than AVX2,
as many laptops and older servers, it made training steps of the three backbones 1.4 to 2.2 times as fast
(docs/benchmarks.md, Processors without AVX-512).
"""

import os
import platform
import sys

_SWITCH = "TF_ENABLE_ONEDNN_OPTS"  # TensorFlow reads it when it is imported


def prefer_onednn() -> None:
    """Make TensorFlow use oneDNN on every x86 processor once it is imported; the user's own setting stays."""
    if platform.machine().lower() in ("x86_64", "amd64"):
        os.environ.setdefault(_SWITCH, "1")


def uses_onednn() -> bool | None:
    """Return whether TensorFlow uses oneDNN; None before TensorFlow's import."""
    if "tensorflow" not in sys.modules:
        return None
    from fastmri_cls.foundation.private_api import has_onednn

    return has_onednn()
