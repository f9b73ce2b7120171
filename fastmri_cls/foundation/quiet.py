"""TensorFlow without the messages that its C++ code prints regardless of `TF_CPP_MIN_LOG_LEVEL`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from fastmri_cls.foundation.gpus import prepare_gpus


def import_tensorflow() -> None:
    """Import TensorFlow and find its devices, without its messages unless `TF_CPP_MIN_LOG_LEVEL` is below 2."""
    with without_native_output():
        import tensorflow as tf

        tf.config.list_physical_devices()
    prepare_gpus()


@contextmanager
def without_native_output() -> Iterator[None]:
    """Hide what C++ code writes to stderr in this block, unless `TF_CPP_MIN_LOG_LEVEL` is below 2."""
    if int(os.environ.get("TF_CPP_MIN_LOG_LEVEL") or 0) < 2:
        yield
        return
    # C++ writes to descriptor 2 of the process, never through sys.stderr.
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
