"""Measures precision and XLA for `auto`: a few real steps on random images in each policy that the device supports.

float32 without XLA is the baseline; another policy is chosen only if it is clearly faster. A measurement is made once
per device, backbone, image size and batch size, and kept in autotune.json in the cache folder. `default_policy` decides
instead where a measurement would cost more than it can gain:

- before anything is measured, if fewer than _MIN_IMAGES images of 224 x 224 pixels will go through the network;
- after the baseline, if _EXPECTED_SAVING of the predicted training time is less than the baseline took.

A candidate and what it would replace are timed in turns, and the shortest time of each is compared: load of other
processes only ever slows a step, and comes and goes for both.

XLA compiles a network for seconds on a CPU and for minutes on a GPU, and a training compiles again: it is chosen only
for a training long enough to gain that time. Steps are timed in calls of several, as training makes them.

The random state needs no care: the caller sets all seeds afterwards.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation import json_files
from fastmri_cls.foundation.cache import cache_directory
from fastmri_cls.foundation.environment import describe
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.gpus import gpu_names
from fastmri_cls.foundation.onednn import uses_onednn
from fastmri_cls.foundation.progress import log
from fastmri_cls.models.head import ClassifierOptions, build_classifier
from fastmri_cls.models.registry import find_model
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.training.data import training_selection
from fastmri_cls.training.engine import make_engine
from fastmri_cls.training.precision import ComputePolicy, cpu_flags, default_policy, lower_precision

_MIN_SPEEDUP = 1.05  # of a policy over the one it replaces; the fastest of three steps varies by 2 % on a busy machine
_GIVE_UP = 2.0  # times slower at its first step: not measured further; a busy machine does less to a good one
_ROUNDS = 5  # of 300 simulated trials on a busy machine a precision that is 1.3 times slower is never chosen
_COMPILATIONS = 2  # of a training, each as long as the trial's: a step in both phases; validation is less
_MIN_IMAGES = 3000
_EXPECTED_SAVING = 0.2  # fraction of the training time
_NUMERIC_FLAGS = ("avx", "amx", "fma", "f16c", "asimd", "sve", "bf16")  # prefixes of the CPU flags that matter

# The seconds of the first step in a policy, which is traced and compiled, and then of a step in each of several calls.
StepTimes = Callable[[ComputePolicy], Iterator[float]]


@dataclass(frozen=True)
class Measurement:
    """The result of a measurement.

    Attributes:
        precision: chosen dtype policy.
        xla: whether XLA was chosen, for a training of `break_even` steps or more.
        lower: the lower precision that was tried, or None.
        lower_ratio: how many times faster it was than the baseline; None if not tried.
        xla_ratio: how many times faster XLA was than the same precision without; None if not tried.
        break_even: steps in which XLA gains the time that it compiles; 0 if it was asked for or is not chosen.
        seconds: how long the measurement took.
    """

    precision: str
    xla: bool
    lower: str | None
    lower_ratio: float | None
    xla_ratio: float | None
    break_even: float
    seconds: float

    def policy(self, steps: float) -> ComputePolicy:
        """Return the policy for a training of `steps`."""
        return ComputePolicy(self.precision, self.xla and steps >= self.break_even)


@dataclass(frozen=True)
class Conditions:
    """What a measurement depends on."""

    processor: str
    flags: list[str]
    cores: int | None
    onednn: bool | None
    gpus: list[str]
    packages: dict[str, str]
    model: str
    image: tuple[int, int, int]
    batch_size: int
    from_scratch: bool
    longer_phase: int
    unfreeze: float | str
    precision: str
    xla: str


@dataclass(frozen=True)
class _Entry:
    """One entry of autotune.json."""

    conditions: Conditions
    measurement: Measurement


def resolve_policy(options: TrainOptions, dataset: Dataset) -> ComputePolicy:
    """Return the policy that `options` request; `auto` is measured if that is likely to pay."""
    if "auto" not in (options.precision, options.xla):
        return default_policy(options.precision, options.xla)
    images = _images_to_come(options, dataset)
    if images * (dataset.image_size / 224) ** 2 < _MIN_IMAGES:
        return default_policy(options.precision, options.xla)
    conditions, path = _conditions(options, dataset), cache_directory() / "autotune.json"
    try:
        known = json_files.read(path, list[_Entry], "")
    except (OSError, UserError):
        known = []  # missing, damaged, or of another version: measure again
    found = next((entry.measurement for entry in known if entry.conditions == conditions), None)
    steps = images / options.protocol.batch_size
    if found:
        log.info(f"{describe_measurement(found, options, steps)}; measured before, in {path}")
        return found.policy(steps)
    found = measure(options.precision, options.xla, lambda policy: step_seconds(policy, options, dataset), steps)
    keras.backend.clear_session()  # layers of the run are numbered as without a measurement
    if found is None:
        return default_policy(options.precision, options.xla)
    json_files.write(path, [*known, _Entry(conditions, found)])
    log.info(f"{describe_measurement(found, options, steps)}; measured in {found.seconds:.0f} s, kept in {path}")
    return found.policy(steps)


def measure(precision: str, xla: str, step_times: StepTimes, steps: float) -> Measurement | None:
    """Measure what `auto` leaves open; return None if the training is too short to gain by it.

    Args:
        precision: auto or a dtype policy.
        xla: auto, on or off.
        step_times: runs steps.
        steps: of the training to come.
    """
    started = time.perf_counter()
    best = ComputePolicy("float32" if precision == "auto" else precision, xla == "on")
    times = step_times(best)
    _, seconds = islice(times, 2)
    spent = time.perf_counter() - started
    if _EXPECTED_SAVING * steps * seconds < spent:
        return None

    lower, lower_ratio, xla_ratio, break_even = lower_precision() if precision == "auto" else None, None, None, 0.0
    if lower:
        candidate = step_times(ComputePolicy(lower, best.xla))
        _, before, after = _compare(times, candidate)
        lower_ratio = before / after
        if lower_ratio > _MIN_SPEEDUP:
            best, times = ComputePolicy(lower, best.xla), candidate
    if xla == "auto":
        compiled, before, after = _compare(times, step_times(ComputePolicy(best.precision, xla=True)))
        xla_ratio = before / after
        if xla_ratio > _MIN_SPEEDUP:
            best = ComputePolicy(best.precision, xla=True)
            break_even = _COMPILATIONS * compiled / (before - after)
    spent = time.perf_counter() - started
    return Measurement(best.precision, best.xla, lower, lower_ratio, xla_ratio, break_even, spent)


def _compare(times: Iterator[float], candidate: Iterator[float]) -> tuple[float, float, float]:
    """Return the seconds of the candidate's first step, and of the fastest step of both."""
    compiled, after = islice(candidate, 2)
    before = next(times)
    if after < _GIVE_UP * before:
        before, after = map(min, zip(*((next(times), next(candidate)) for _ in range(_ROUNDS)), strict=True))
    return compiled, before, after


def step_seconds(policy: ComputePolicy, options: TrainOptions, dataset: Dataset) -> Iterator[float]:
    """Yield the seconds of steps of the longer phase, at the real image and batch size, as StepTimes says.

    Args:
        policy: to measure.
        options: of the training.
        dataset: to train on.
    """
    protocol, size, count = options.protocol, dataset.image_size, options.protocol.batch_size
    built = ClassifierOptions.for_dataset(dataset, protocol.preprocessing, policy.precision)
    classifier = build_classifier(find_model(options.model), built)
    engine = make_engine(
        classifier, protocol, _longer_phase(options), policy, seed=0, from_scratch=_is_from_scratch(options),
        augment=make_augmentation("none"),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    batch = {
        "image": rng.integers(0, 256, (count, size, size, dataset.channels), np.uint8),
        "label": rng.integers(0, built.num_classes, count),
        "weight": np.ones(count, np.float32),
    }
    examples = dataset.examples(training_selection(dataset.manifest, protocol, options.fold))
    yield from engine.step_seconds(examples, iter(tf.data.Dataset.from_tensors(batch).repeat()))


def describe_measurement(found: Measurement, options: TrainOptions, steps: float) -> str:
    """Return one line for people about what `auto` means."""
    parts = []
    if options.precision == "auto":
        if found.lower is None or found.lower_ratio is None:
            parts.append("precision auto: float32 (this device has no faster one)")
        elif found.precision == found.lower:
            parts.append(f"precision auto: {found.precision} ({found.lower_ratio:.2f}x float32)")
        else:
            parts.append(f"precision auto: float32 ({found.lower} {found.lower_ratio:.2f}x)")
    if options.xla == "auto":
        uses_xla = found.policy(steps).xla
        regained = f", and {found.break_even:.0f} steps to regain the time it compiles" if found.xla > uses_xla else ""
        parts.append(f"xla{'' if parts else ' auto:'} {'on' if uses_xla else 'off'} ({found.xla_ratio:.2f}x{regained})")
    return ", ".join(parts)


def _images_to_come(options: TrainOptions, dataset: Dataset) -> int:
    """Return the largest number of images that will go through the whole network."""
    protocol = options.protocol
    count = training_selection(dataset.manifest, protocol, options.fold).count(dataset.manifest)
    if options.feature_views:
        return count * options.feature_views
    per_epoch = protocol.steps_per_epoch * protocol.batch_size if protocol.steps_per_epoch else count
    return per_epoch * (protocol.phase1.max_epochs + protocol.phase2.max_epochs)


def _longer_phase(options: TrainOptions) -> int:
    return 1 if options.protocol.phase1.max_epochs >= options.protocol.phase2.max_epochs else 2


def _is_from_scratch(options: TrainOptions) -> bool:
    default = find_model(options.model).default_weights
    return "none" in (options.weights, default if options.weights == "default" else options.weights)


def _conditions(options: TrainOptions, dataset: Dataset) -> Conditions:
    machine = describe()
    return Conditions(
        processor=machine["processor"],
        flags=sorted(flag for flag in cpu_flags() if flag.startswith(_NUMERIC_FLAGS)),
        cores=machine["cores"],
        onednn=uses_onednn(),
        gpus=gpu_names(),
        packages={name: machine["packages"][name] for name in ("tensorflow", "keras")},
        model=options.model,
        image=(dataset.image_size, dataset.image_size, dataset.channels),
        batch_size=options.protocol.batch_size,
        from_scratch=_is_from_scratch(options),
        longer_phase=_longer_phase(options),
        unfreeze=options.protocol.unfreeze,
        precision=options.precision,
        xla=options.xla,
    )
