"""The cache tiers: `none` streams from the shards, `ram` keeps decoded images in memory, `device` on the accelerator.

Both caches hold one uint8 array and shuffle exactly: an epoch is a new permutation of the whole set, a batch a gather.
With `device` the pipeline delivers indices and labels; the images are gathered where the step computes.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.gpus import free_gpu_memory
from fastmri_cls.foundation.memory import free_memory
from fastmri_cls.foundation.progress import log
from fastmri_cls.pipeline.examples import (
    PARALLEL_CALLS,
    SINGLE_WORKER,
    Element,
    Examples,
    Selection,
    StreamedExamples,
    WorkerShard,
    epoch_seed,
    input_options,
)
from fastmri_cls.records.manifest import Manifest

TIERS = ("none", "ram", "device")
MEMORY_FRACTION = 0.4  # of the free memory, of the host or the device; the rest is for the model and its activations
_ALIGNMENT = 64  # bytes; TensorFlow's kernels need it of a tensor they did not allocate
_READ_BATCH = 256


def open_examples(
    directory: Path, manifest: Manifest, selection: Selection, tier: str, worker: WorkerShard = SINGLE_WORKER
) -> Examples:
    """Open the examples of a dataset in one tier.

    Args:
        directory: the dataset folder.
        manifest: its dataset.json.
        selection: which examples.
        tier: `none`, `ram` or `device`.
        worker: the slice of each batch that is delivered. With `ram` every worker still keeps all images, because any
            of them may be in its slice of a later batch.
    """
    if tier == "none":
        return StreamedExamples(directory, manifest, selection, worker)
    streamed = StreamedExamples(directory, manifest, selection)
    return CachedExamples(streamed, manifest, worker) if tier == "ram" else ResidentExamples(streamed, manifest)


def choose_tier(requested: str, pixels_bytes: int, *, replicas: int = 1, device: bool = True) -> str:
    """Return the tier to use; `auto` logs its choice and the reason.

    auto: `device` if the accelerator has room, else `ram` if the host has, else `none`. On 2 cores a gather from memory
    gives 300 000 images/s, reading raw records 22 000 and decoding JPEG 10 000; on the CPU itself `device` has no
    advantage over `ram`.

    Args:
        requested: `auto`, `none`, `ram` or `device`.
        pixels_bytes: size of all images decoded.
        replicas: devices that train. With several, `device` is excluded: one of them would hold all images.
        device: whether the caller can use `device`, so whether it calls `fetch` on the device.

    Raises:
        UserError: `ram` or `device` is requested and does not fit, or `device` is excluded.
    """
    if requested == "device" and not device:
        raise UserError("--cache device: is for the training of fastmri-cls itself; choose --cache ram")
    if requested == "device" and replicas > 1:
        raise UserError(f"--cache device: is for one device, and there are {replicas} replicas; choose --cache ram")
    memory, accelerator = free_memory(), free_gpu_memory() if device and replicas == 1 else 0
    size = pixels_bytes / 2**30
    if requested == "auto":
        if pixels_bytes <= MEMORY_FRACTION * accelerator:
            chosen, room = "device", f"the accelerator's {accelerator / 2**30:.1f} GiB"
        elif pixels_bytes <= MEMORY_FRACTION * memory:
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


class IndexedExamples(Examples):
    """Examples whose keys are indices into arrays; an epoch is an exact permutation of the whole set.

    Args:
        labels: int64 [count].
        files: returns the files of the examples, as SOURCE/FILENAME, in the same order.
    """

    def __init__(self, labels: tf.Tensor, files: Callable[[], list[str]]) -> None:
        self.count = int(labels.shape[0])
        self._labels = labels
        self._files = files

    @property
    def options(self) -> tf.data.Options:
        """The usual options without tf.data's graph optimisation.

        That writes captured tensors into a protocol buffer: 0.5 GB of images take 3.7 s per epoch and twice their
        memory, and more than 2 GB do not fit. There is nothing to optimise in a gather.
        """
        options = input_options()
        options.experimental_optimization.apply_default_optimizations = False
        return options

    def files(self) -> list[str]:
        return self._files()

    def _written(self) -> tf.data.Dataset:
        return tf.data.Dataset.range(self.count)

    def _shuffled(self, epoch: tf.Tensor, seed: int) -> tf.data.Dataset:
        def draw(number: np.ndarray) -> np.ndarray:
            return permutation(self.count, seed, int(number))

        order = tf.numpy_function(draw, [epoch], tf.int64, stateful=False)
        return tf.data.Dataset.from_tensor_slices(tf.ensure_shape(order, [self.count]))

    def _names(self, batches: tf.data.Dataset) -> list[str]:
        files = self.files()
        return [files[index] for batch in batches.as_numpy_iterator() for index in batch]


def permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order of an epoch, a permutation of 0..count - 1, int64."""
    return np.random.default_rng(epoch_seed(seed, epoch)).permutation(count)


class CachedExamples(IndexedExamples):
    """Examples decoded once into one array in memory, gathered from by the input pipeline."""

    def __init__(self, examples: StreamedExamples, manifest: Manifest, worker: WorkerShard = SINGLE_WORKER) -> None:
        self._images, labels = _decode(examples, manifest)
        super().__init__(labels, examples.files)
        self.worker = worker

    def _read(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        return batches.map(
            lambda indices: {"image": tf.gather(self._images, indices), "label": tf.gather(self._labels, indices)},
            num_parallel_calls=PARALLEL_CALLS,
        )


class ResidentExamples(IndexedExamples):
    """Examples decoded once into one array on the accelerator, gathered within the step; without one, in memory."""

    is_resident = True

    def __init__(self, examples: StreamedExamples, manifest: Manifest) -> None:
        images, labels = _decode(examples, manifest)
        super().__init__(labels, examples.files)
        accelerators = tf.config.list_logical_devices("GPU")
        if accelerators:
            with tf.device(accelerators[0].name):
                images = tf.identity(images)
        # Under XLA, since TensorFlow's own gather knows no uint8 on GPUs; on a CPU both take 7 us an image.
        self._gather = tf.function(lambda indices: tf.gather(images, indices), jit_compile=True, autograph=False)

    def fetch(self, element: Element) -> Element:
        others = {name: tensor for name, tensor in element.items() if name != "index"}
        return {"image": self._gather(element["index"]), **others}

    def _read(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        return batches.map(lambda indices: {"index": indices, "label": tf.gather(self._labels, indices)})


def _decode(examples: Examples, manifest: Manifest) -> tuple[tf.Tensor, tf.Tensor]:
    """Return all images, uint8 [count, size, size, channels], and labels, int64 [count], with little extra memory."""
    shape = (examples.count, manifest.image_size, manifest.image_size, manifest.channels)
    images = _aligned(shape)
    labels = np.empty(examples.count, np.int64)
    start = 0
    for batch in examples.in_order(_READ_BATCH).as_numpy_iterator():
        part = slice(start, start + len(batch["label"]))
        images[part], labels[part] = batch["image"], batch["label"]
        start = part.stop
    # Through DLPack TensorFlow uses the array itself; tf.constant would copy it twice.
    return tf.experimental.dlpack.from_dlpack(images.__dlpack__()), tf.constant(labels)


def _aligned(shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape))
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % _ALIGNMENT
    return memory[first : first + size].reshape(shape)
