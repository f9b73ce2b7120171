"""TensorFlow without the messages that its C++ code prints regardless of `TF_CPP_MIN_LOG_LEVEL`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from fastmri_cls.foundation.compile_cache import keep_compiled_programs
from fastmri_cls.foundation.gpus import prepare_gpus
from fastmri_cls.foundation.onednn import prefer_onednn


def import_tensorflow() -> None:
    """Import TensorFlow and find its devices, without its messages unless `TF_CPP_MIN_LOG_LEVEL` is below 2."""
    keep_compiled_programs()
    prefer_onednn()
    with without_native_output():
        import tensorflow as tf

        tf.config.list_physical_devices()
    prepare_gpus()


@contextmanager
def without_native_output() -> Iterator[None]:
    """Hide what C++ code writes to stderr in this block, unless `TF_CPP_MIN_LOG_LEVEL` is below 2.

    What Python writes to `sys.stderr`, such as a progress bar, is still seen.
    """
    if not _hides_warnings(os.environ.get("TF_CPP_MIN_LOG_LEVEL", "")):
        yield
        return
    # C++ writes to descriptor 2 of the process, never through sys.stderr.
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    before = sys.stderr
    visible = os.fdopen(os.dup(kept), "w", buffering=1, encoding=getattr(before, "encoding", None), errors="replace")
    try:
        if _descriptor(before) == 2:
            sys.stderr = visible
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        sys.stderr = before
        visible.close()
        os.close(nowhere)
        os.close(kept)


def _hides_warnings(level: str) -> bool:
    """Return whether a value of `TF_CPP_MIN_LOG_LEVEL` is 2 or more; TensorFlow takes a word such as ERROR for 0."""
    return level.isdecimal() and int(level) >= 2


def _descriptor(stream: TextIO) -> int | None:
    """Return the descriptor that a stream writes to; None for one of a notebook or a test."""
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None
