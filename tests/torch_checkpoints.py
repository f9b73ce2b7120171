"""Writes PyTorch checkpoints as torch below 1.6 does, sound ones and bent ones, without torch."""

import io
import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C


class Global:
    """Pickles as a reference to a global that need not exist here."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Rebuilt:
    """Pickles as torch pickles a tensor."""

    def __init__(self, key: str, dtype: str, size: int, offset: int, shape: tuple, strides: tuple) -> None:
        self.storage = ("storage", Global("torch", dtype), key, "cpu", size, None)
        self.arguments = (offset, shape, strides, False, OrderedDict())


class _Pickler(pickle._Pickler):
    """Writes globals by name, as torch's own pickles have them."""

    def persistent_id(self, obj):
        return obj if isinstance(obj, tuple) and obj[:1] == ("storage",) else None

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Global):
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Rebuilt):
            self.save(Global("torch._utils", "_rebuild_tensor_v2"))
            self.save((obj.storage, *obj.arguments))
            self.write(pickle.REDUCE)
        else:
            super().save(obj, save_persistent_id)


def write_checkpoint(path: Path, tensors: dict[str, np.ndarray], state: object = None) -> Path:
    """Write a checkpoint of contiguous tensors, as torch below 1.6 does."""
    buffer = io.BytesIO()
    for value in (MAGIC, 1001, {"little_endian": True}):
        pickle.dump(value, buffer, protocol=2)
    rebuilt = OrderedDict()
    for key, (name, value) in enumerate(tensors.items()):
        kind = {"f": "FloatStorage", "i": "LongStorage"}[value.dtype.kind]
        strides = tuple(step // value.itemsize for step in value.strides)
        rebuilt[name] = Rebuilt(str(key), kind, value.size, 0, value.shape, strides)
    _Pickler(buffer, protocol=2).dump(rebuilt if state is None else state)
    pickle.dump([str(key) for key in range(len(tensors))], buffer, protocol=2)
    for value in tensors.values():
        buffer.write(struct.pack("<q", value.size) + value.tobytes())
    path.write_bytes(buffer.getvalue())
    return path
