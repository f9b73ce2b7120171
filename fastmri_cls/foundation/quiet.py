"""TensorFlow without what its C++ prints past `TF_CPP_MIN_LOG_LEVEL`: greetings at its start, what converters tell."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def import_tensorflow() -> None:
    """Import TensorFlow and find its devices, and show nothing it says meanwhile if the log level asks for quiet."""
    with without_native_output():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextmanager
def without_native_output() -> Iterator[None]:
    """Show nothing that C++ writes meanwhile if the log level asks for quiet; exceptions are not touched."""
    if int(os.environ.get("TF_CPP_MIN_LOG_LEVEL") or 0) < 2:
        yield
        return
    # The process's descriptor 2: what C++ writes never passes through sys.stderr.
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
