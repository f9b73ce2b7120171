"""The cache tiers: `none` streams from shards, `ram` keeps decoded images in memory, `device` on the accelerator.

Both caches hold one uint8 array and shuffle exactly: a pass is a fresh permutation of the whole set, a batch a gather.
With `device` a step moves indices and labels alone; the images are gathered where the step computes.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.memory import free_memory
from fastmri_cls.foundation.private_api import accelerator_memory
from fastmri_cls.foundation.progress import log
from fastmri_cls.pipeline.examples import (
    PARALLEL_CALLS,
    SINGLE_WORKER,
    Element,
    Examples,
    Position,
    Selection,
    StreamedExamples,
    WorkerShard,
    input_options,
    pass_seed,
)
from fastmri_cls.records.manifest import Manifest

TIERS = ("none", "ram", "device")
_MEMORY_SHARE = 0.4  # of what is free in memory or on the device; the rest is for the model and its activations
_ALIGNMENT = 64  # bytes; what TensorFlow's kernels ask of a tensor they did not allocate
_READ_BATCH = 256


def open_examples(
    directory: Path, manifest: Manifest, selection: Selection, tier: str, worker: WorkerShard = SINGLE_WORKER
) -> Examples:
    """Return the examples of `selection` in the tier `none`, `ram` or `device`.

    With `ram` every worker keeps all images: any of them may be in its slice of a later batch.
    """
    if tier == "none":
        return StreamedExamples(directory, manifest, selection, worker)
    streamed = StreamedExamples(directory, manifest, selection)
    return CachedExamples(streamed, manifest, worker) if tier == "ram" else ResidentExamples(streamed, manifest)


def choose_tier(requested: str, pixels_bytes: int, *, replicas: int = 1) -> str:
    """Return the tier that `requested` means for images of `pixels_bytes` decoded; `auto` says what it chose and why.

    auto: `device` where an accelerator has room, else `ram` where memory has, else `none`. On 2 cores a gather from
    memory gives 300 000 images/s, reading raw records 22 000 and decoding JPEG 10 000; on the CPU itself `device` has
    no advantage over `ram`. That `device` is best on an accelerator was never measured on one. With several replicas
    it is out: the images would be in the memory of one of them.

    Raises:
        UserError: `ram` or `device` was asked for and does not fit, or `device` for several replicas.
    """
    if requested == "device" and replicas > 1:
        raise UserError(f"--cache device: is for one device, and there are {replicas} replicas; choose --cache ram")
    memory, accelerator = free_memory(), accelerator_memory() if replicas == 1 else 0
    size = pixels_bytes / 2**30
    if requested == "auto":
        if pixels_bytes <= _MEMORY_SHARE * accelerator:
            chosen, room = "device", f"the accelerator's {accelerator / 2**30:.1f} GiB"
        elif pixels_bytes <= _MEMORY_SHARE * memory:
            chosen, room = "ram", f"{memory / 2**30:.1f} GiB of free memory"
        else:
            chosen, room = "none", f"too much for {memory / 2**30:.1f} GiB of free memory"
        log.info(f"cache: {chosen} (decoded images take {size:.2f} GiB; {room})")
        return chosen
    room_for = {"ram": memory, "device": accelerator or memory}
    if requested in room_for and pixels_bytes > room_for[requested]:
        raise UserError(
            f"--cache {requested}: the decoded images take {size:.1f} GiB, {room_for[requested] / 2**30:.1f} GiB are "
            "free; choose --cache none"
        )
    return requested


class CachedExamples:
    """Examples decoded once into one array in memory, gathered from by the input pipeline."""

    def __init__(self, examples: StreamedExamples, manifest: Manifest, worker: WorkerShard = SINGLE_WORKER) -> None:
        self.count = examples.count
        self._worker = worker
        self._streamed = examples
        self._images, self._labels = _decode(examples, manifest)

    def fetch(self, element: Element) -> Element:
        return element

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        return self._gather(self._worker.of(in_order_indices(self.count, batch_size), batch_size))

    def shuffled(self, start: Position, batch_size: int, steps: int, seed: int) -> tf.data.Dataset:
        order = shuffled_indices(self.count, start, batch_size, steps, seed)
        return self._gather(self._worker.of(order, batch_size))

    def files(self) -> list[str]:
        return self._streamed.files()

    def files_of_batch(self, start: Position, batch_size: int, seed: int) -> list[str]:
        return pick_files(self.files(), start, batch_size, seed)

    def _gather(self, order: tf.data.Dataset) -> tf.data.Dataset:
        return order.map(
            lambda indices: {"image": tf.gather(self._images, indices), "label": tf.gather(self._labels, indices)},
            num_parallel_calls=PARALLEL_CALLS,
        ).with_options(_options())


class ResidentExamples:
    """Examples decoded once into one array on the accelerator (or in memory where there is none), gathered within the
    step."""

    def __init__(self, examples: StreamedExamples, manifest: Manifest) -> None:
        self.count = examples.count
        self._streamed = examples
        images, self._labels = _decode(examples, manifest)
        accelerators = tf.config.list_logical_devices("GPU")
        if accelerators:
            with tf.device(accelerators[0].name):
                images = tf.identity(images)
        # Under XLA, since TensorFlow's own gather knows no uint8 on GPUs; on a CPU both take 7 us an image.
        self._gather = tf.function(lambda indices: tf.gather(images, indices), jit_compile=True)

    def fetch(self, element: Element) -> Element:
        others = {name: tensor for name, tensor in element.items() if name != "index"}
        return {"image": self._gather(element["index"]), **others}

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        return self._index(in_order_indices(self.count, batch_size))

    def shuffled(self, start: Position, batch_size: int, steps: int, seed: int) -> tf.data.Dataset:
        return self._index(shuffled_indices(self.count, start, batch_size, steps, seed))

    def files(self) -> list[str]:
        return self._streamed.files()

    def files_of_batch(self, start: Position, batch_size: int, seed: int) -> list[str]:
        return pick_files(self.files(), start, batch_size, seed)

    def _index(self, order: tf.data.Dataset) -> tf.data.Dataset:
        return order.map(
            lambda indices: {"index": indices, "label": tf.gather(self._labels, indices)},
        ).with_options(_options())


def _decode(examples: Examples, manifest: Manifest) -> tuple[tf.Tensor, tf.Tensor]:
    """Return all images, uint8 [count, size, size, channels], and labels, int64 [count], taking little more memory."""
    shape = (examples.count, manifest.image_size, manifest.image_size, manifest.channels)
    images = _aligned(shape)
    labels = np.empty(examples.count, np.int64)
    start = 0
    for batch in examples.in_order(_READ_BATCH).as_numpy_iterator():
        part = slice(start, start + len(batch["label"]))
        images[part], labels[part] = batch["image"], batch["label"]
        start = part.stop
    # By DLPack TensorFlow takes the array as it is; tf.constant would copy it twice.
    return tf.experimental.dlpack.from_dlpack(images.__dlpack__()), tf.constant(labels)


def _aligned(shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape))
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % _ALIGNMENT
    return memory[first : first + size].reshape(shape)


def in_order_indices(count: int, batch_size: int) -> tf.data.Dataset:
    """Return batches of the indices 0..count - 1, int64 [batch]."""
    return tf.data.Dataset.range(count).batch(batch_size)


def shuffled_indices(count: int, start: Position, batch_size: int, steps: int, seed: int) -> tf.data.Dataset:
    """Return `steps` batches of indices, int64 [batch], from `start` on; pass k is a permutation by (seed, k)."""
    needed = start.offset + steps * batch_size
    passes = range(start.number, start.number + -(-needed // count))
    orders = [np.random.default_rng(pass_seed(seed, k)).permutation(count) for k in passes]
    order = np.concatenate(orders)[start.offset : needed]
    return tf.data.Dataset.from_tensor_slices(order.reshape(steps, batch_size))


def pick_files(files: list[str], start: Position, batch_size: int, seed: int) -> list[str]:
    """Return those of the first batch of `shuffled_indices`, out of all in the order written."""
    (indices,) = shuffled_indices(len(files), start, batch_size, 1, seed).as_numpy_iterator()
    return [files[index] for index in indices]


def _options() -> tf.data.Options:
    """tf.data's graph optimisation writes captured tensors into a protocol buffer: 0.5 GB of images take 3.7 s an epoch
    and twice their memory, and more than 2 GB do not fit into one. There is nothing to optimise in one gather."""
    options = input_options()
    options.experimental_optimization.apply_default_optimizations = False
    return options
