"""Input pipelines of other people: batches float32 [32, 224, 224, 3], augmented and normalised.

Every function gets a folder with the images of a dataset at 224 px in grey, in two forms: images.npy, uint8
[n, 224, 224], with labels.npy; and files/CLASS/*.jpg, the bytes that our JPEG shards have. A format of its own
is written before the clock starts. Where a library has no affine transformation, cv2 does it, image by image.
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.workloads import Workload
from benchmarks.peers.workloads.augmentation import (
    BRIGHTNESS,
    CONTRAST,
    MEAN,
    ROTATION,
    SHIFT,
    SIZE,
    STD,
    ZOOM,
    augment,
)
from fastmri_cls.foundation.cpu import available_cores

BATCH = 32
CORES = available_cores()
SHARDS = 8
SHUFFLED = 1000  # images in webdataset's buffer


def albumentations(folder: str) -> Workload:
    """A PyTorch DataLoader of JPEG files with albumentations: the baseline of `benchmark input`."""
    from fastmri_cls.benchmark.torch_baseline import open_loader

    return Workload(lambda: open_loader(Path(folder) / "files", CORES), BATCH)


def grain(folder: str) -> Workload:
    """grain's MapDataset over pixels in memory, in worker processes."""
    import grain

    source = Pixels(Path(folder))
    dataset = grain.MapDataset.source(source).shuffle(seed=0).repeat().seed(0).random_map(_augment_pair).batch(BATCH)
    # One thread a process: with its default of 16 they only wait for each other.
    threads, processes = grain.ReadOptions(1, 2), grain.MultiprocessingOptions(num_workers=CORES)
    return Workload(lambda: iter(dataset.to_iter_dataset(threads).mp_prefetch(processes)), BATCH)


class Pixels:
    """Images and labels by number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._labels = np.load(folder / "labels.npy")

    @cached_property
    def _images(self) -> np.ndarray:
        """The mapped file, which every process opens for itself instead of getting a copy."""
        return np.load(self._folder / "images.npy", mmap_mode="r")

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self._images[index], self._labels[index]


def _augment_pair(pair: tuple[np.ndarray, int], rng: np.random.Generator) -> tuple[np.ndarray, int]:
    image, label = pair
    return augment(image, rng), label


def webdataset(folder: str) -> Workload:
    """webdataset's tar files of JPEG, in PyTorch's worker processes."""
    import webdataset as wds

    files = sorted(Path(folder).glob("files/*/*.jpg"))
    labels = {name: number for number, name in enumerate(sorted({file.parent.name for file in files}))}
    pattern = f"{folder}/train-%02d.tar"
    with wds.ShardWriter(pattern, maxcount=-(-len(files) // SHARDS), verbose=0) as writer:
        for number in np.random.default_rng(0).permutation(len(files)):
            file = files[number]
            writer.write({"__key__": f"{number:06d}", "jpg": file.read_bytes(), "cls": labels[file.parent.name]})
    shards = [str(path) for path in sorted(Path(folder).glob("train-*.tar"))]

    def batches() -> Iterator[Any]:
        samples = wds.WebDataset(shards, resampled=True).shuffle(SHUFFLED).map(_augment_sample).batched(BATCH)
        yield from wds.WebLoader(samples, batch_size=None, num_workers=CORES)

    return Workload(batches, BATCH)


def _augment_sample(sample: dict[str, bytes]) -> tuple[np.ndarray, int]:
    import cv2

    image = cv2.imdecode(np.frombuffer(sample["jpg"], np.uint8), cv2.IMREAD_GRAYSCALE)
    return augment(image, np.random.default_rng()), int(sample["cls"])


def ffcv(folder: str, own: bool) -> Workload:
    """FFCV's own format with raw pixels, and its own operations; or ours in their place, see ffcv_affine.py."""
    from ffcv import transforms
    from ffcv.fields import IntField, RGBImageField
    from ffcv.fields.decoders import IntDecoder, SimpleRGBImageDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.writer import DatasetWriter

    from benchmarks.peers.workloads.ffcv_affine import Affine

    pixels, file = Pixels(Path(folder)), f"{folder}/train.beton"
    fields = {"image": RGBImageField(write_mode="raw", max_resolution=SIZE), "label": IntField()}
    DatasetWriter(file, fields, num_workers=1).from_indexed_dataset(RgbPixels(pixels))
    its_own = (
        transforms.RandomTranslate(padding=round(SHIFT * SIZE)),
        transforms.RandomBrightness(BRIGHTNESS, p=1.0),
        transforms.RandomContrast(CONTRAST - 1, p=1.0),
        transforms.NormalizeImage(255 * MEAN, 255 * STD, np.float32),
    )
    pipelines = {
        "image": [SimpleRGBImageDecoder(), *(its_own if own else (Affine(),)), transforms.ToTensor()],
        "label": [IntDecoder(), transforms.ToTensor()],
    }
    loader = Loader(file, BATCH, CORES, os_cache=True, order=OrderOption.RANDOM, drop_last=True, pipelines=pipelines)

    def batches() -> Iterator[Any]:
        for _ in repeat(None):
            yield from loader

    return Workload(batches, BATCH)


class RgbPixels:
    """Images in RGB, since FFCV knows no grey ones, and labels, by number."""

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        image, label = self._pixels[index]
        return np.repeat(image[:, :, None], 3, axis=2), int(label)


def dali(folder: str) -> Workload:
    """NVIDIA DALI on the CPU alone, from JPEG files, grey until the last operator."""
    from nvidia.dali import fn, pipeline_def, types

    @pipeline_def(batch_size=BATCH, num_threads=CORES, device_id=None, seed=0)
    def pipeline() -> Any:
        encoded, labels = fn.readers.file(file_root=f"{folder}/files", random_shuffle=True, name="reader")
        images = fn.decoders.image(encoded, device="cpu", output_type=types.GRAY)
        centre = ((SIZE - 1) / 2,) * 2
        matrix = fn.transforms.rotation(angle=fn.random.uniform(range=(-ROTATION, ROTATION)), center=centre)
        zoom = fn.random.uniform(range=(1 - ZOOM, 1 + ZOOM), shape=2)
        matrix = fn.transforms.scale(matrix, scale=zoom, center=centre)
        shift = fn.random.uniform(range=(-SHIFT * SIZE, SHIFT * SIZE), shape=2)
        matrix = fn.transforms.translation(matrix, offset=shift)
        images = fn.warp_affine(images, matrix=matrix, fill_value=0, inverse_map=False)
        factor = fn.random.uniform(range=(1 - BRIGHTNESS, 1 + BRIGHTNESS))
        mean = fn.reductions.mean(images)
        images = fn.brightness_contrast(
            images, brightness=factor, contrast=CONTRAST, contrast_center=mean, dtype=types.FLOAT
        )
        images = fn.cat(images, images, images, axis=2)
        return fn.crop_mirror_normalize(
            images, mean=list(255 * MEAN), std=list(255 * STD), dtype=types.FLOAT, output_layout="HWC"
        ), labels

    built = pipeline()
    built.build()

    def batches() -> Iterator[Any]:
        for _ in repeat(None):
            yield built.run()

    return Workload(batches, BATCH)
