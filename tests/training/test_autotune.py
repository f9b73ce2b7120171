"""`auto`: which policy is chosen by the times of steps, when none is measured, and what a measurement leaves behind."""

import json
from dataclasses import replace
from itertools import repeat

import keras
import numpy as np
import pytest

from fastmri_cls.dataset import Dataset
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.protocol import resolve_protocol
from fastmri_cls.training import autotune
from fastmri_cls.training.autotune import describe_measurement, measure, resolve_policy, step_seconds
from fastmri_cls.training.precision import ComputePolicy, default_policy
from fastmri_cls.training.run import train

pytestmark = pytest.mark.slow

LONG = 1e9  # steps: any trial is worth it


@pytest.fixture(autouse=True)
def a_device_with_bfloat16(monkeypatch, tmp_path):
    monkeypatch.setattr(autotune, "lower_precision", lambda: "mixed_bfloat16")
    monkeypatch.setenv("FASTMRI_CLS_CACHE", str(tmp_path / "cache"))


def timed(measured, plain=1.0, lower=1.0, xla=1.0, compiling=0.0):
    """A timer that needs no time: a step takes `plain` seconds times the factor of what is switched on.

    The first step of a policy takes `compiling` steps more.
    """

    def step_times(policy):
        yield plain * (1 + compiling)
        factor = (1 if policy.precision == "float32" else lower) * (xla if policy.xla else 1)
        for seconds in repeat(plain * factor):
            measured.append(policy)
            yield seconds

    return step_times


@pytest.mark.parametrize(
    ("lower", "xla", "expected"),
    [
        (0.7, 0.7, ComputePolicy("mixed_bfloat16", xla=True)),
        (0.7, 3.6, ComputePolicy("mixed_bfloat16", xla=False)),
        (1.2, 0.8, ComputePolicy("float32", xla=True)),
        (0.97, 0.97, ComputePolicy("float32", xla=False)),  # within noise
    ],
)
def test_another_policy_is_taken_where_it_is_clearly_faster(lower, xla, expected):
    choice = measure("auto", "auto", timed([], lower=lower, xla=xla), LONG)
    assert (choice.precision, choice.xla) == (expected.precision, expected.xla)
    assert choice.lower_ratio == pytest.approx(1 / lower)
    assert choice.xla_ratio == pytest.approx(1 / xla)


@pytest.mark.parametrize(("steps", "expected"), [(300, False), (500, True)])
def test_xla_is_taken_only_for_a_training_that_gains_the_time_it_compiles(steps, expected, dataset):
    """A step saves half a second, and the training compiles twice for 101 seconds: 404 steps."""
    choice = measure("float32", "auto", timed([], xla=0.5, compiling=100.0), LONG)
    assert choice.break_even == pytest.approx(404)
    assert choice.policy(steps).xla is expected
    options = TrainOptions(dataset, "small-cnn", dataset, resolve_protocol("strict", {}), precision="float32")
    said = describe_measurement(choice, options, steps)
    assert ("404 steps to regain" in said) is not expected
    assert said.startswith(f"xla auto: {'on' if expected else 'off'} (2.00x")


def test_what_was_asked_for_is_kept_and_only_the_rest_is_tried():
    measured = []
    choice = measure("mixed_float16", "auto", timed(measured, xla=0.5), LONG)
    assert (choice.precision, choice.xla, choice.lower) == ("mixed_float16", True, None)
    assert {one.precision for one in measured} == {"mixed_float16"}
    measured.clear()
    assert measure("auto", "on", timed(measured, lower=0.5), LONG).xla
    assert all(one.xla for one in measured)


def test_a_hopeless_candidate_is_measured_for_one_step():
    measured = []
    measure("auto", "auto", timed(measured, lower=0.9, xla=2.5), LONG)
    assert sum(one.xla for one in measured) == 1


class BusyMachine:
    """Steps on a machine whose other processes slow everything, two to three times, for a while and again."""

    def __init__(self, seed, lower):
        self.rng = np.random.default_rng(seed)
        self.lower = lower
        self.now = 0.0
        self.busy = self._later()

    def _later(self):
        start = self.now + self.rng.uniform(0, 3)
        return start, start + self.rng.uniform(0.3, 3), self.rng.uniform(2, 3)

    def step_times(self, policy):
        while True:
            start, end, slower = self.busy
            seconds = 0.3 * (1 if policy.precision == "float32" else self.lower) * self.rng.uniform(1, 1.02)
            seconds *= slower if start < self.now < end else 1
            self.now += seconds
            self.busy = self._later() if self.now > end else self.busy
            yield seconds


@pytest.mark.parametrize(("lower", "expected"), [(1.3, "float32"), (1.0, "float32"), (0.7, "mixed_bfloat16")])
def test_a_busy_machine_does_not_change_the_choice(lower, expected):
    found = [measure("auto", "off", BusyMachine(seed, lower).step_times, LONG).precision for seed in range(300)]
    assert found.count(expected) >= 297


def test_a_device_without_a_lower_precision_says_so(monkeypatch, dataset):
    monkeypatch.setattr(autotune, "lower_precision", lambda: None)
    choice = measure("auto", "off", timed([]), LONG)
    options = TrainOptions(dataset, "small-cnn", dataset, resolve_protocol("strict", {}), xla="off")
    assert (choice.precision, choice.lower_ratio) == ("float32", None)
    assert describe_measurement(choice, options, LONG) == "precision auto: float32 (this device has no faster one)"


def test_nothing_more_is_tried_where_the_training_is_shorter_than_the_trial():
    measured = []
    assert measure("auto", "auto", timed(measured, plain=1e-9), steps=10) is None
    assert set(measured) == {ComputePolicy("float32", xla=False)}


@pytest.fixture
def asked(dataset, monkeypatch):
    """Options whose training is long enough, and the policies whose steps were timed."""
    measured = []
    monkeypatch.setattr(autotune, "step_seconds", lambda one, *_: timed(measured, 100.0, lower=0.5)(one))
    monkeypatch.setattr(autotune, "_MIN_IMAGES", 0)
    return TrainOptions(dataset, "small-cnn", dataset, resolve_protocol("strict", {})), measured


def test_a_choice_is_kept_and_found_again_for_the_same_machine_model_and_sizes(asked, dataset, caplog, tmp_path):
    options, measured = asked
    opened = Dataset(dataset)
    first = resolve_policy(options, opened)
    assert first == ComputePolicy("mixed_bfloat16", xla=False)
    count = len(measured)
    assert resolve_policy(replace(options, seed=3), opened) == first
    assert len(measured) == count
    for other in (
        replace(options, model="densenet121-imagenet"),
        replace(options, protocol=replace(options.protocol, batch_size=8)),
        replace(options, xla="off"),
    ):
        resolve_policy(other, opened)
        assert len(measured) > count
        count = len(measured)
    kept = tmp_path / "cache" / "autotune.json"
    assert len(json.loads(kept.read_text())) == 4
    kept.write_text("{")
    assert resolve_policy(options, opened) == first
    assert len(measured) > count


def test_a_short_training_takes_what_is_known_of_the_device_without_measuring(asked, dataset, monkeypatch):
    options, measured = asked
    monkeypatch.setattr(autotune, "_MIN_IMAGES", 3000)
    assert resolve_policy(options, Dataset(dataset)) == default_policy("auto", "auto")
    assert not measured


def test_a_trial_changes_nothing_in_a_run_that_comes_to_the_same_choice(asked, dataset, monkeypatch, tmp_path):
    options, measured = asked
    monkeypatch.setattr(autotune, "step_seconds", step_seconds_then(measured))
    options = replace(options, protocol=resolve_protocol("strict", {"phase1_epochs": 1, "phase2_epochs": 0}))
    train(replace(options, out=tmp_path / "tried", xla="off"))
    assert len(measured) == 2
    config = json.loads((tmp_path / "tried" / "config.json").read_text())
    assert (config["precision"], config["xla"]) == ("float32", "off")
    train(replace(options, out=tmp_path / "told", precision="float32", xla="off"))
    models = [keras.models.load_model(tmp_path / name / "model.keras") for name in ("tried", "told")]
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def step_seconds_then(measured):
    """The real step, run, with the times of a device that is slower in bfloat16."""

    def step_times(policy, options, dataset):
        measured.append(policy)
        yield next(step_seconds(policy, options, dataset))
        yield from repeat(100.0 if policy.precision == "float32" else 130.0)

    return step_times
