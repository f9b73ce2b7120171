"""oneDNN's kernels, with which TensorFlow computes faster on a CPU than with its own.

By itself TensorFlow uses them only on processors with AVX-512 VNNI, bfloat16 or AMX. With AVX2 alone, which
is what many laptops and older servers have, they make training steps 1.4 to 2.2 times as fast as well
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
