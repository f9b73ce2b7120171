"""TensorFlow's start without its C++ greetings, which `TF_CPP_MIN_LOG_LEVEL` does not reach before it is running."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def import_tensorflow() -> None:
    """Import TensorFlow and find its devices, and show nothing it says meanwhile if the log level asks for quiet."""
    if int(os.environ.get("TF_CPP_MIN_LOG_LEVEL") or 0) < 2:
        return
    with _stderr_to_nowhere():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextmanager
def _stderr_to_nowhere() -> Iterator[None]:
    """Redirect the process's descriptor 2: what C++ writes never passes through sys.stderr."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
