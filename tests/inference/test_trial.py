"""An engine takes the place of a RUN's own only if it says the same of the same images; for `auto` if it is faster."""

import time

import numpy as np
import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.inference.runtimes import Engine, Outputs, in_batches_of
from fastmri_cls.inference.trial import Preview, checked, faster

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 1), np.uint8)


def engine(
    name: str, precision: str = "float32", off: float = 0.0, turned: float = 0.0, seconds: float = 0.0
) -> Engine:
    """An engine whose probabilities and features are off, and that takes some time."""

    def forward(images: np.ndarray) -> Outputs:
        time.sleep(seconds)
        first = images.mean(axis=(1, 2, 3)) / 255 + off
        angle = first + turned
        return Outputs(np.stack([first, 1 - first], axis=1), np.stack([np.cos(angle), np.sin(angle)], axis=1))

    return Engine(name, f"{name}'s file, {precision}", forward, precision=precision)


def test_an_engine_that_agrees_is_taken_and_says_how_far_it_agrees():
    found = checked(engine("keras"), [engine("openvino", "bfloat16", off=0.001)], IMAGES)
    assert (found.name, found.precision) == ("openvino", "bfloat16")
    assert "on 6 images the class is the same on all; no probability differs by more than 1.0e-03" in found.origin


@pytest.mark.parametrize("wrong", [{"off": 0.001}, {"turned": 0.001}])
def test_float32_may_differ_by_rounding_alone_in_probabilities_and_features(wrong):
    with pytest.raises(UserError, match=r"--engine openvino: in float32, beside keras, .*; choose --engine keras"):
        checked(engine("keras"), [engine("openvino", **wrong)], IMAGES)


def test_the_next_precision_is_tried_if_one_is_too_far_off():
    candidates = [engine("openvino", "bfloat16", off=0.3), engine("openvino", off=1e-6)]
    assert checked(engine("keras"), candidates, IMAGES).precision == "float32"


def test_auto_takes_what_is_faster_and_says_by_how_much():
    found = faster(engine("keras", seconds=0.05), [engine("openvino", "bfloat16")], IMAGES)
    assert found.name == "openvino"
    assert "times as fast as keras in float32" in found.origin


def test_auto_goes_on_after_a_slow_or_wrong_one():
    others = [engine("openvino", seconds=0.1), engine("openvino", off=0.1), engine("keras", "bfloat16", off=0.001)]
    found = faster(engine("keras", seconds=0.05), others, IMAGES)
    assert (found.name, found.precision) == ("keras", "bfloat16")


def test_auto_keeps_its_own_engine_if_the_other_is_slower_or_wrong_or_none(caplog):
    own = engine("keras", seconds=0.01)
    caplog.set_level("INFO")
    assert faster(own, [engine("openvino", seconds=0.05)], IMAGES) is own
    assert "openvino in float32 was tried: 0." in caplog.text
    assert faster(own, [engine("openvino", off=0.1)], IMAGES) is own
    assert "note: --engine openvino: in float32" in caplog.text
    caplog.clear()
    assert faster(own, [], IMAGES) is own
    assert not caplog.text


def test_auto_is_not_misled_by_one_slow_pass():
    pauses = iter([0, 0.3, 0.01, 0.01])  # the second pass of the own engine coincides with other work

    def own_forward(images: np.ndarray) -> Outputs:
        time.sleep(next(pauses))
        return engine("keras").forward(images)

    own = engine("keras")._replace(forward=own_forward)
    assert faster(own, [engine("openvino", seconds=0.05)], IMAGES) is own


def test_a_trial_is_for_many_pixels():
    assert not Preview(999, lambda: IMAGES).is_worth_a_trial(224)
    assert Preview(1000, lambda: IMAGES).is_worth_a_trial(224)
    assert not Preview(1000, lambda: IMAGES).is_worth_a_trial(112)
    assert Preview(4000, lambda: IMAGES).is_worth_a_trial(112)


def test_batches_of_one_size_give_what_one_batch_gives():
    sizes = []

    def forward(images: np.ndarray) -> Outputs:
        sizes.append(len(images))
        return engine("keras").forward(images)

    for found, expected in zip(in_batches_of(4, forward)(IMAGES), engine("keras").forward(IMAGES), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert sizes == [4, 4]
