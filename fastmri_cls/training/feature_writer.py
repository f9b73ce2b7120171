"""Writes the arrays of one view of features, batch after batch, in a thread behind the device that computes them.

While batch n is copied from the device, written and hashed here, the device computes batch n + 1. Arrays are .npy
files, whose rows are appended, and their sha256 sums are of the bytes as they are written.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from fastmri_cls.foundation.atomic import naming

_WAITING = 3  # batches that are computed and not yet written

Rows = dict[str, np.ndarray]  # the next rows of each array


class FeatureWriter:
    """Open within a `with` block; at its end everything is written.

    Args:
        directory: an existing folder.
        arrays: the whole shape and the dtype of each array, by name.

    Raises:
        Exception: of `rows`, or of the disk; at the latest at the end of the block.
    """

    def __init__(self, directory: Path, arrays: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> None:
        self._stack = ExitStack()
        self._files = {name: self._stack.enter_context((directory / f"{name}.npy").open("wb")) for name in arrays}
        self._hashes = {name: hashlib.sha256() for name in arrays}
        self._thread = self._stack.enter_context(ThreadPoolExecutor(1))
        self._waiting: deque[Future[None]] = deque()
        for name, (shape, dtype) in arrays.items():
            self._write(name, _header(shape, dtype))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._stack:
            while self._waiting and error is None:
                self._waiting.popleft().result()

    @property
    def sums(self) -> dict[str, str]:
        """The sha256 of each file as 64 hexadecimal digits, by file name, once all is written."""
        return {f"{name}.npy": found.hexdigest() for name, found in self._hashes.items()}

    def append(self, rows: Callable[[], Rows]) -> None:
        """Write what `rows` returns, after all before it; `rows` is called in the thread, and may wait for a device."""

        def write() -> None:
            for name, values in rows().items():
                self._write(name, np.ascontiguousarray(values).data)

        self._waiting.append(self._thread.submit(write))
        if len(self._waiting) > _WAITING:
            self._waiting.popleft().result()

    def _write(self, name: str, content: bytes | memoryview) -> None:
        with naming(Path(self._files[name].name)):
            self._files[name].write(content)
        self._hashes[name].update(content)


def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return the beginning of a .npy file of this shape and dtype."""
    file = BytesIO()
    description = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, description)
    return file.getvalue()
