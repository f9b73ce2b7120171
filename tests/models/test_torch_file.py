"""Reading a PyTorch checkpoint: tensors come out as they were stored, and a hostile pickle runs nothing."""

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models.torch_file import read_state_dict
from tests.torch_checkpoints import Global, Rebuilt, write_checkpoint

TENSORS = {"weight": np.arange(24, dtype="<f4").reshape(2, 3, 4), "tracked": np.array([7], "<i8")}


def test_tensors_come_out_as_they_were_stored(tmp_path):
    found = read_state_dict(write_checkpoint(tmp_path / "a.pth", TENSORS))
    assert list(found) == list(TENSORS)
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(found[name], value)
        assert found[name].dtype == value.dtype


def test_strides_and_offset_are_followed(tmp_path):
    state = OrderedDict(
        turned=Rebuilt("0", "FloatStorage", 24, 4, (4, 3), (1, 4)), w=Rebuilt("0", "FloatStorage", 24, 0, (24,), (1,))
    )
    path = write_checkpoint(tmp_path / "a.pth", {"w": TENSORS["weight"]}, state)
    np.testing.assert_array_equal(read_state_dict(path)["turned"], np.arange(4, 16).reshape(3, 4).T)


@pytest.mark.parametrize(
    "state",
    [
        {"w": Global("os", "system")},
        {"w": Global("builtins", "eval")},
        {"w": Global("torch", "load")},
        {"w": Global("fastmri_cls.models.torch_file", "read_state_dict")},
        {"w": 3},
        [1, 2],
        {"w": Rebuilt("0", "FloatStorage", 24, 20, (8,), (1,))},
        {"w": Rebuilt("0", "FloatStorage", 24, -1, (8,), (1,))},
        {"w": Rebuilt("0", "FloatStorage", 24, 0, (2, 2), (1,))},
        {"w": Rebuilt("0", "FloatStorage", 24, 0, (1 << 40, 1 << 40), (0, 0))},
        {"w": Rebuilt("1", "FloatStorage", 24, 0, (24,), (1,))},
    ],
)
def test_what_is_no_state_dict_is_refused_and_nothing_runs(tmp_path, state):
    path = write_checkpoint(tmp_path / "a.pth", {"w": TENSORS["weight"]}, state)
    with pytest.raises(UserError, match=r"a\.pth: not a PyTorch state dict, or damaged"):
        read_state_dict(path)


@pytest.mark.parametrize("number", [1, 100_000, 2**32 - 1])
@pytest.mark.parametrize("put", [b"r%b", b"p%d\n"])
def test_numbers_of_objects_take_no_memory(tmp_path, number, put):
    """Of 2**32 - 1, Python's own reader asks for 64 GiB."""
    numbered = put % (number.to_bytes(4, "little") if put[:1] == b"r" else number)
    (tmp_path / "a.pth").write_bytes(b"\x80\x02N" + numbered + b".")
    with pytest.raises(UserError, match=f"damaged .refers to object {number} of 0"):
        read_state_dict(tmp_path / "a.pth")


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_one_error_or_harmless(tmp_path, data):
    whole = write_checkpoint(tmp_path / "a.pth", TENSORS).read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.booleans())
    bent = whole[:place] if cut else whole[:place] + bytes([data.draw(st.integers(0, 255))]) + whole[place + 1 :]
    (tmp_path / "b.pth").write_bytes(bent)
    try:
        found = read_state_dict(tmp_path / "b.pth")
    except UserError:
        return
    assert sum(value.nbytes for value in found.values()) < 1 << 16
