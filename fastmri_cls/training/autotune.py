"""Precision and XLA `auto`, measured: a few real steps on random images in each arithmetic the device has.

float32 without XLA is the baseline; another one is taken only where it is clearly faster. A trial is made once per
device, backbone, image and batch size and kept in the cache folder's arithmetic.json. It is left out, and what
`precision.unmeasured` says is taken, where it would cost more than it can gain:

- before anything is measured, where fewer than _WORTHWHILE_IMAGES of 224 x 224 pixels will go through the network;
- after the baseline, where _LIKELY_GAIN of the training it foretells is less than that measurement took.

The random state needs no care: the caller sets all seeds after.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.augment.batch import Batch
from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.atomic import write_text
from fastmri_cls.foundation.environment import describe
from fastmri_cls.foundation.progress import log
from fastmri_cls.models.head import ClassifierOptions, build_classifier, freeze_for_phase
from fastmri_cls.models.hybrid import find_model
from fastmri_cls.models.pretrained import cache_directory
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.training.data import training_selection
from fastmri_cls.training.engine import Engine, StepOptions
from fastmri_cls.training.optimizers import make_optimizer
from fastmri_cls.training.precision import Arithmetic, cpu_flags, lower_precision, unmeasured

_CLEARLY = 1.05  # times faster than what it replaces; the fastest of three steps varies by 2 % on a busy machine
_HOPELESS = 1.5  # times slower at its first step: not measured further
_STEPS = 3
_WORTHWHILE_IMAGES = 3000
_LIKELY_GAIN = 0.2
_NUMERIC_FLAGS = ("avx", "amx", "fma", "f16c", "asimd", "sve", "bf16")  # how the names of CPU flags that matter begin

# The seconds of one warmed-up step after the other in an arithmetic.
StepTimes = Callable[[Arithmetic], Iterator[float]]


@dataclass(frozen=True)
class Choice:
    """What was found: the arithmetic; how many times faster than the baseline a lower precision was, and XLA than the
    same precision without (None: not tried); the seconds of all that."""

    precision: str
    xla: bool
    lower: str | None
    lower_ratio: float | None
    xla_ratio: float | None
    seconds: float


def resolve_arithmetic(options: TrainOptions, dataset: Dataset) -> Arithmetic:
    """Return what `options` mean by precision and XLA, measured where one of them is `auto` and it is worth it."""
    if "auto" not in (options.precision, options.xla):
        return unmeasured(options.precision, options.xla)
    images = _images_to_come(options, dataset)
    if images * (dataset.image_size / 224) ** 2 < _WORTHWHILE_IMAGES:
        return unmeasured(options.precision, options.xla)
    facts, path = _facts(options, dataset), cache_directory() / "arithmetic.json"
    known = _read(path)
    found = next((Choice(**entry["choice"]) for entry in known if entry["facts"] == facts), None)
    if found:
        log.info(f"{describe_choice(found, options)}; measured before, in {path}")
        return Arithmetic(found.precision, found.xla)
    steps = images / options.protocol.batch_size
    found = try_out(options.precision, options.xla, lambda one: step_seconds(one, options, dataset), steps)
    keras.backend.clear_session()  # layers of the run are numbered as without a trial
    if found is None:
        return unmeasured(options.precision, options.xla)
    write_text(path, json.dumps([*known, {"facts": facts, "choice": asdict(found)}], indent=1) + "\n")
    log.info(f"{describe_choice(found, options)}; measured in {found.seconds:.0f} s, kept in {path}")
    return Arithmetic(found.precision, found.xla)


def try_out(precision: str, xla: str, step_times: StepTimes, steps: float) -> Choice | None:
    """Measure what `auto` leaves open and return the choice; None where the training is too short to gain by it.

    Args:
        steps: of the training to come.
    """
    started = time.perf_counter()
    best = Arithmetic("float32" if precision == "auto" else precision, xla == "on")
    fastest = min(islice(step_times(best), _STEPS))
    spent = time.perf_counter() - started
    if _LIKELY_GAIN * steps * fastest < spent:
        return None

    def ratio(other: Arithmetic) -> float:
        return fastest / _fastest(step_times(other), _HOPELESS * fastest)

    lower, lower_ratio, xla_ratio = lower_precision() if precision == "auto" else None, None, None
    if lower:
        lower_ratio = ratio(Arithmetic(lower, best.xla))
        if lower_ratio > _CLEARLY:
            best, fastest = Arithmetic(lower, best.xla), fastest / lower_ratio
    if xla == "auto":
        xla_ratio = ratio(Arithmetic(best.precision, xla=True))
        if xla_ratio > _CLEARLY:
            best = Arithmetic(best.precision, xla=True)
    return Choice(best.precision, best.xla, lower, lower_ratio, xla_ratio, time.perf_counter() - started)


def _fastest(times: Iterator[float], hopeless: float) -> float:
    first = next(times)
    return first if first > hopeless else min(first, *islice(times, _STEPS - 1))


def step_seconds(arithmetic: Arithmetic, options: TrainOptions, dataset: Dataset) -> Iterator[float]:
    """Yield the seconds of steps of the phase that lasts longest, at the real image and batch size."""
    protocol = options.protocol
    phase = 1 if protocol.phase1.max_epochs >= protocol.phase2.max_epochs else 2
    size, classes, count = dataset.image_size, len(dataset.classes), protocol.batch_size
    classifier = build_classifier(
        find_model(options.model),
        ClassifierOptions(classes, size, dataset.channels, protocol.preprocessing, arithmetic.precision),
    )
    freeze_for_phase(classifier, phase, protocol.unfreeze, from_scratch=_is_from_scratch(options))
    classifier.model.compile(make_optimizer(protocol.phase1.learning_rate, arithmetic.precision))
    step = StepOptions(classes, protocol.label_smoothing, seed=0, xla=arithmetic.xla)
    examples = dataset.examples(training_selection(dataset.manifest, protocol, options.fold))
    learn = Engine(classifier.model, make_augmentation("none"), step).step_parts(examples, epoch=0).learn
    rng = np.random.default_rng(0)
    images = tf.constant(rng.uniform(0, 255, (count, size, size, dataset.channels)), tf.float32)
    batch = Batch(images, tf.one_hot(rng.integers(0, classes, count), classes), tf.ones([count]))
    learn(batch).numpy()  # traced and compiled
    while True:
        started = time.perf_counter()
        learn(batch).numpy()
        yield time.perf_counter() - started


def describe_choice(choice: Choice, options: TrainOptions) -> str:
    """Return the choice as people read it, for what was `auto`."""
    said = []
    if options.precision == "auto":
        if choice.lower is None or choice.lower_ratio is None:
            said.append("precision auto: float32 (this device has no faster one)")
        elif choice.precision == choice.lower:
            said.append(f"precision auto: {choice.precision} ({choice.lower_ratio:.2f}x float32)")
        else:
            said.append(f"precision auto: float32 ({choice.lower} {choice.lower_ratio:.2f}x)")
    if options.xla == "auto":
        said.append(f"xla{'' if said else ' auto:'} {'on' if choice.xla else 'off'} ({choice.xla_ratio:.2f}x)")
    return ", ".join(said)


def _images_to_come(options: TrainOptions, dataset: Dataset) -> int:
    """The images that will go through the whole network at most."""
    protocol = options.protocol
    count = training_selection(dataset.manifest, protocol, options.fold).count(dataset.manifest)
    an_epoch = protocol.steps_per_epoch * protocol.batch_size if protocol.steps_per_epoch else count
    return count * options.feature_views or an_epoch * (protocol.phase1.max_epochs + protocol.phase2.max_epochs)


def _is_from_scratch(options: TrainOptions) -> bool:
    default = find_model(options.model).default_weights
    return "none" in (options.weights, default if options.weights == "default" else options.weights)


def _facts(options: TrainOptions, dataset: Dataset) -> dict[str, Any]:
    """What a choice depends on."""
    machine = describe()
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return {
        "processor": machine["processor"],
        "flags": sorted(flag for flag in cpu_flags() if flag.startswith(_NUMERIC_FLAGS)),
        "cores": machine["cores"],
        "gpus": gpus,
        "packages": {name: machine["packages"][name] for name in ("tensorflow", "keras")},
        "model": options.model,
        "image": [dataset.image_size, dataset.image_size, dataset.channels],
        "batch_size": options.protocol.batch_size,
        "from_scratch": _is_from_scratch(options),
        "longer_phase": 1 if options.protocol.phase1.max_epochs >= options.protocol.phase2.max_epochs else 2,
        "unfreeze": options.protocol.unfreeze,
        "precision": options.precision,
        "xla": options.xla,
    }


def _read(path: Path) -> list[dict[str, Any]]:
    """The trials made before; a damaged file is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return [entry for entry in found if set(entry) == {"facts", "choice"}]
    except (OSError, ValueError, TypeError):
        return []
