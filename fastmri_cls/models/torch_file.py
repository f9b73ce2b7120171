"""Reads tensors of a PyTorch checkpoint in the format before version 1.6, without torch and without running its code.

The file is four pickles (a magic number, the protocol version 1001, facts about the machine, the state dict), a pickled
list of storage keys, and for each key an int64 count and the raw little-endian values. A pickle can run any code it
names; a state dict names four globals, and nothing else is resolved here.
"""

import pickle
import pickletools
import struct
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fastmri_cls.foundation.errors import UserError

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
# What pickle and numpy raise when bytes make no sense.
_DAMAGED = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError,
    struct.error, MemoryError, RecursionError, UnicodeDecodeError,
)  # fmt: skip


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype
    size: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a checkpoint by name.

    Raises:
        UserError: the file is not such a checkpoint, names something that a state dict does not need, or is damaged.
    """
    with path.open("rb") as file:
        try:
            return _read(file, path.stat().st_size)
        except _DAMAGED as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{path}: not a PyTorch state dict, or damaged ({reason}); get it again") from None


def _read(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
    if (_load(file), _load(file)) != (_MAGIC, _PROTOCOL):
        raise pickle.UnpicklingError("another format")
    _load(file)  # facts about the machine
    tensors = _load(file)
    if not isinstance(tensors, dict) or not all(isinstance(tensor, _Tensor) for tensor in tensors.values()):
        raise pickle.UnpicklingError("holds something else than tensors")
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    values = {}
    for key in _load(file):
        storage = storages[key]
        (count,) = struct.unpack("<q", file.read(8))
        if count != storage.size or not 0 <= count * storage.dtype.itemsize <= size:
            raise pickle.UnpicklingError(f"storage {key} has another size")
        values[key] = np.frombuffer(file.read(count * storage.dtype.itemsize), storage.dtype)
    return {name: _view(values[tensor.storage.key], tensor) for name, tensor in tensors.items()}


def _load(file: BinaryIO) -> Any:
    """Return the object of the next pickle.

    A pickle numbers the objects that it refers to later, and Python makes room up to the largest number: one damaged
    byte could take all memory. Whatever writes a pickle numbers them in order, so another order is refused.
    """
    start, numbered = file.tell(), 0
    for operation, number, _ in pickletools.genops(file):
        if operation.name.endswith("PUT"):
            if not isinstance(number, int) or number > numbered:
                raise pickle.UnpicklingError(f"refers to object {number} of {numbered}")
            numbered += 1
        elif operation.name == "MEMOIZE":
            numbered += 1
    file.seek(start)
    return _Unpickler(file).load()


def _view(values: np.ndarray, tensor: _Tensor) -> np.ndarray:
    """Return a copy of the part of a storage that a tensor shows; strides are in elements."""
    if len(tensor.shape) != len(tensor.strides) or min((tensor.offset, *tensor.shape, *tensor.strides)) < 0:
        raise ValueError("a tensor with a negative size")
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if 0 in tensor.shape or last >= len(values):
        raise ValueError("a tensor reaches beyond its storage")
    if np.prod(tensor.shape, dtype=np.float64) > len(values):
        raise ValueError("a tensor with more elements than its storage")
    steps = tuple(step * values.itemsize for step in tensor.strides)
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, steps).copy()


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *unused: object
) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


class _Unpickler(pickle.Unpickler):
    """Resolves the globals of a state dict and no other."""

    def find_class(self, module: str, name: str) -> object:
        """Return what stands for a global, or refuse it."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"names {module}.{name}, which no state dict needs")

    def persistent_load(self, pid: object) -> _Storage:
        """Return the storage that ("storage", dtype, key, device, number of elements, None) stands for."""
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage" and isinstance(pid[1], np.dtype)):
            raise pickle.UnpicklingError("another kind of reference")
        return _Storage(str(pid[2]), pid[1], int(pid[4]))
