"""`profile`: some training steps under TensorFlow's profiler; the time of each part of a step, and what to change.

The parts run one after the other, each waited for, so that their times add up. TensorBoard's profile page (extra
`profile`) shows the same steps operation by operation; trace.py reads the slowest from the trace, without the plugin.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from fastmri_cls.benchmark.trace import Operations
from fastmri_cls.dataset import Dataset
from fastmri_cls.models.head import ClassifierOptions, build_classifier
from fastmri_cls.models.registry import find_model
from fastmri_cls.pipeline.batches import prefetch_to_accelerator
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.training.data import load_training_data
from fastmri_cls.training.engine import make_engine
from fastmri_cls.training.precision import ComputePolicy

PARTS = ("input", "augmentation", "forward and backward")
_WARM_UP = 3  # steps that trace, compile and fill the prefetch
_MAX_OVERHEAD = 0.15  # fraction of a step that input or augmentation may take without advice


@dataclass(frozen=True)
class StepTimes:
    """How long steps took.

    Attributes:
        seconds: float64 [steps, parts], in the order of PARTS.
        batch_size: images per step.
    """

    seconds: np.ndarray
    batch_size: int

    @property
    def shares(self) -> dict[str, float]:
        """The fraction of the total time by part."""
        return dict(zip(PARTS, (self.seconds.sum(axis=0) / self.seconds.sum()).tolist(), strict=True))

    @property
    def images_per_second(self) -> float:
        """At the median step."""
        return float(self.batch_size / np.median(self.seconds.sum(axis=1)))


def profile_steps(options: TrainOptions, dataset: Dataset, phase: int, steps: int) -> StepTimes:
    """Run some training steps under the profiler, which writes its trace into `options.out`.

    The weights are as initialised, which does not change the time.

    Args:
        options: resolved, without `auto`.
        dataset: to train on.
        phase: 1 or 2.
        steps: to record.

    Raises:
        UserError: a shard is missing or changed, or the model is unknown.
    """
    keras.utils.set_random_seed(options.seed)
    backbone, protocol = find_model(options.model), options.protocol
    built = ClassifierOptions.for_dataset(dataset, protocol.preprocessing, options.precision)
    engine = make_engine(
        build_classifier(backbone, built),
        protocol,
        phase,
        ComputePolicy(options.precision, options.xla == "on"),
        seed=options.seed,
        from_scratch=backbone.default_weights == "none",
    )
    training = load_training_data(dataset, protocol, options.cache, options.seed).training
    batches = iter(prefetch_to_accelerator(training.stream(0), training.examples))
    parts = engine.step_parts(training.examples, epoch=0)
    seconds = np.zeros((steps, len(PARTS)))
    for step in range(-_WARM_UP, steps):
        if step == 0:
            tf.profiler.experimental.start(str(options.out))
        marks = [time.perf_counter()]
        with tf.profiler.experimental.Trace("train", step_num=max(step, 0), _r=1):
            with _part(PARTS[0], marks):
                batch = parts.fetch(next(batches))
                _wait(batch.images)
            with _part(PARTS[1], marks):
                batch = parts.augment(batch, tf.constant(step + _WARM_UP))
                _wait(batch.images)
            with _part(PARTS[2], marks):
                _wait(parts.train(batch))
        if step >= 0:
            seconds[step] = np.diff(marks)
    tf.profiler.experimental.stop()
    return StepTimes(seconds, protocol.batch_size)


@contextmanager
def _part(name: str, marks: list[float]) -> Iterator[None]:
    with tf.profiler.experimental.Trace(name):
        yield
    marks.append(time.perf_counter())


def _wait(tensor: tf.Tensor) -> None:
    """Read one value, which waits for all it depends on: devices work ahead of Python."""
    tf.reshape(tensor, [-1])[0].numpy()


def advice(times: StepTimes, options: TrainOptions, phase: int) -> list[str]:
    """Return what to change about a training, the most rewarding first.

    Args:
        times: of its steps.
        options: resolved, without `auto`.
        phase: 1 or 2.
    """
    waiting, augmenting, _ = times.shares.values()
    found = []
    if waiting > _MAX_OVERHEAD:
        faster = {"none": "--cache ram, which decodes once", "ram": "--cache device, if the dataset fits"}
        cure = faster.get(options.cache, "a larger --batch-size")
        found.append(f"{waiting:.0%} of a step waits for input: choose {cure}")
    if augmenting > _MAX_OVERHEAD:
        found.append(f"{augmenting:.0%} of a step augments ({options.protocol.augment}): choose a cheaper --augment")
    if found:
        return found
    found.append("the model limits the speed, not input or augmentation")
    if options.precision == "float32":
        found.append("try --precision mixed_bfloat16 if the device supports it")
    if phase == 1 and find_model(options.model).default_weights != "none":
        found.append("--feature-views runs the frozen layers once instead of in every epoch")
    return found


def print_profile(times: StepTimes, operations: Operations, sentences: Sequence[str]) -> None:
    """Print the parts of a step, the slowest operations and the advice on stdout."""
    out = Console(highlight=False)
    parts = Table("part of a step", box=None, header_style="bold", pad_edge=False)
    parts.add_column("share", justify="right")
    parts.add_column("ms", justify="right")
    for (name, share), milliseconds in zip(times.shares.items(), 1000 * times.seconds.mean(axis=0), strict=True):
        parts.add_row(name, f"{share:.1%}", f"{milliseconds:.1f}")
    out.print(parts)
    out.print(f"{times.images_per_second:.0f} images/s, part after part\n")
    slow = Table("slowest operations", box=None, header_style="bold", pad_edge=False)
    for name in ("share", "ms a step", "calls"):
        slow.add_column(name, justify="right")
    slow.add_column("most of it in", no_wrap=True)
    for operation in operations.slowest:
        per_step = f"{1000 * operation.seconds / len(times.seconds):.2f}"
        place = "/".join(operation.place.split("/")[-2:])  # layer and operation
        name = operation.type.removeprefix("_MklNative")
        slow.add_row(name, f"{operation.share:.1%}", per_step, str(operation.calls), place)
    out.print(slow)
    if operations.unnamed:
        out.print(f"{operations.unnamed:.0%} of the device's time is in kernels that name no operation of the network")
    for sentence in sentences:
        out.print(f"- {sentence}", markup=False, soft_wrap=True)
