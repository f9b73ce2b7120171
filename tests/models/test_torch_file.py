"""Reading a PyTorch checkpoint: tensors come out as they were stored, and a hostile pickle runs nothing."""

import io
import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models.torch_file import read_state_dict

MAGIC = 0x1950A86A20F9469CFC6C


class _Global:
    """Pickles as a reference to a global that need not exist here."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Rebuilt:
    """Pickles as torch pickles a tensor."""

    def __init__(self, key: str, dtype: str, size: int, offset: int, shape: tuple, strides: tuple) -> None:
        self.storage = ("storage", _Global("torch", dtype), key, "cpu", size, None)
        self.arguments = (offset, shape, strides, False, OrderedDict())


class _Pickler(pickle._Pickler):
    """Writes globals by name, as torch's own pickles have them."""

    def persistent_id(self, obj):
        return obj if isinstance(obj, tuple) and obj[:1] == ("storage",) else None

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, _Global):
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, _Rebuilt):
            self.save(_Global("torch._utils", "_rebuild_tensor_v2"))
            self.save((obj.storage, *obj.arguments))
            self.write(pickle.REDUCE)
        else:
            super().save(obj, save_persistent_id)


def write(path: Path, tensors: dict[str, np.ndarray], state: object = None) -> Path:
    """Write a checkpoint of contiguous tensors, as torch below 1.6 does."""
    buffer = io.BytesIO()
    for value in (MAGIC, 1001, {"little_endian": True}):
        pickle.dump(value, buffer, protocol=2)
    rebuilt = OrderedDict()
    for key, (name, value) in enumerate(tensors.items()):
        kind = {"f": "FloatStorage", "i": "LongStorage"}[value.dtype.kind]
        strides = tuple(step // value.itemsize for step in value.strides)
        rebuilt[name] = _Rebuilt(str(key), kind, value.size, 0, value.shape, strides)
    _Pickler(buffer, protocol=2).dump(rebuilt if state is None else state)
    pickle.dump([str(key) for key in range(len(tensors))], buffer, protocol=2)
    for value in tensors.values():
        buffer.write(struct.pack("<q", value.size) + value.tobytes())
    path.write_bytes(buffer.getvalue())
    return path


TENSORS = {"weight": np.arange(24, dtype="<f4").reshape(2, 3, 4), "tracked": np.array([7], "<i8")}


def test_tensors_come_out_as_they_were_stored(tmp_path):
    found = read_state_dict(write(tmp_path / "a.pth", TENSORS))
    assert list(found) == list(TENSORS)
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(found[name], value)
        assert found[name].dtype == value.dtype


def test_strides_and_offset_are_followed(tmp_path):
    state = OrderedDict(
        turned=_Rebuilt("0", "FloatStorage", 24, 4, (4, 3), (1, 4)), w=_Rebuilt("0", "FloatStorage", 24, 0, (24,), (1,))
    )
    path = write(tmp_path / "a.pth", {"w": TENSORS["weight"]}, state)
    np.testing.assert_array_equal(read_state_dict(path)["turned"], np.arange(4, 16).reshape(3, 4).T)


@pytest.mark.parametrize(
    "state",
    [
        {"w": _Global("os", "system")},
        {"w": _Global("builtins", "eval")},
        {"w": _Global("torch", "load")},
        {"w": _Global("fastmri_cls.models.torch_file", "read_state_dict")},
        {"w": 3},
        [1, 2],
        {"w": _Rebuilt("0", "FloatStorage", 24, 20, (8,), (1,))},
        {"w": _Rebuilt("0", "FloatStorage", 24, -1, (8,), (1,))},
        {"w": _Rebuilt("0", "FloatStorage", 24, 0, (2, 2), (1,))},
        {"w": _Rebuilt("0", "FloatStorage", 24, 0, (1 << 40, 1 << 40), (0, 0))},
        {"w": _Rebuilt("1", "FloatStorage", 24, 0, (24,), (1,))},
    ],
)
def test_what_is_no_state_dict_is_refused_and_nothing_runs(tmp_path, state):
    path = write(tmp_path / "a.pth", {"w": TENSORS["weight"]}, state)
    with pytest.raises(UserError, match=r"a\.pth: not a PyTorch state dict, or damaged"):
        read_state_dict(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_one_error_or_harmless(tmp_path, data):
    whole = write(tmp_path / "a.pth", TENSORS).read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.booleans())
    bent = whole[:place] if cut else whole[:place] + bytes([data.draw(st.integers(0, 255))]) + whole[place + 1 :]
    (tmp_path / "b.pth").write_bytes(bent)
    try:
        found = read_state_dict(tmp_path / "b.pth")
    except UserError:
        return
    assert sum(value.nbytes for value in found.values()) < 1 << 16
