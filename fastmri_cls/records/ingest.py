"""One pass over the source files: decode, fingerprint, resize and encode, in parallel, with bounded memory.

The work is spread over processes that never import TensorFlow; results come back in the order of the files, so that
everything after depends on neither the number of workers nor their speed.
"""

import io
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from fastmri_cls.duplicates.hashing import Fingerprint, fingerprint
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import track
from fastmri_cls.records.workers import Workers, open_pool
from fastmri_cls.sources.decode import Decoded, FileFacts, resize
from fastmri_cls.sources.folders import SourceFile, is_utf8
from fastmri_cls.sources.images import read_images
from fastmri_cls.sources.nifti import is_nifti
from fastmri_cls.sources.notes import Note
from fastmri_cls.sources.patient_tags import PatientTags, read_patient_tags
from fastmri_cls.sources.pixels import RejectedImage
from fastmri_cls.sources.storage import FileStamp, stamp

_CHUNK = 16  # files a task: sending a task costs about as much as a tenth of one image
_TASKS_IN_FLIGHT = 4  # per worker: 64 images of at most a few 100 kB each wait for the parent


@dataclass(frozen=True)
class StorageForm:
    """How an image is stored: `size` pixels square, `resize` method, `channels` (0: as the image has), `encoding`."""

    size: int
    resize: str
    channels: int
    encoding: str


@dataclass(frozen=True)
class IngestedImage:
    """A decoded file: its stored pixels and their channels, the fingerprint, the file's facts and stamp, the notes.

    `colour_merged`: the file's channels differ and were merged into one.
    `patient_tags` are what the file tells of its patient; None for formats that tell nothing.
    """

    encoded: bytes
    channels: int
    fingerprint: Fingerprint
    facts: FileFacts
    stamp: FileStamp | None
    notes: tuple[Note, ...]
    colour_merged: bool
    patient_tags: PatientTags | None = None


_Ingested: TypeAlias = list[tuple[str, IngestedImage]] | str  # images with the names of their slices, or a rejection


def ingest(
    files: Sequence[SourceFile],
    form: StorageForm | None,
    workers: Workers,
    slices: str | int = "content",
    *,
    title: str = "reading images",
) -> Iterator[tuple[SourceFile, IngestedImage | str]]:
    """Yield each image, or file with the reason why it was rejected, in the order of `files`.

    Args:
        files: the files; a volume gives several images.
        form: how images are stored. Without one (an audit stores nothing) `encoded` is empty and there is no stamp.
        workers: processes, or a Dask cluster.
        slices: which slices of volumes are taken, see `read_slices`.
        title: of the progress bar.

    Raises:
        UserError: a worker process died.
    """
    for file, found in track(_ingest_all(files, form, workers, slices), title, len(files)):
        if isinstance(found, str):
            yield file, found
        else:
            yield from ((file.slice(name) if name else file, image) for name, image in found)


def _ingest_all(
    files: Sequence[SourceFile], form: StorageForm | None, workers: Workers, slices: str | int
) -> Iterator[tuple[SourceFile, _Ingested]]:
    if workers == 1:
        for file in files:
            yield file, _ingest_file(file, form, slices)
        return
    with open_pool(workers, files) as pool:
        waiting: deque[tuple[Sequence[SourceFile], Future[list[_Ingested]]]] = deque()
        chunks = _chunks(files)
        done = files[:1]

        def submit(most: int) -> None:
            for chunk in islice(chunks, most):
                waiting.append((chunk, pool.executor.submit(_ingest_files, pool.prepare(chunk), form, slices)))

        try:
            submit(pool.size * _TASKS_IN_FLIGHT)
            while waiting:
                done, future = waiting.popleft()
                results = future.result()
                submit(1)
                yield from zip(done, results, strict=True)
        except pool.broken:
            raise UserError(f"a worker process died near {done[0].path} (out of memory?); {pool.cure}") from None


def encode_image(pixels: np.ndarray, encoding: str) -> bytes:
    """Return uint8 [height, width(, 3)] as raw bytes, PNG, or JPEG of quality 95 without subsampling."""
    if encoding == "raw":
        return pixels.tobytes()
    buffer = io.BytesIO()
    if encoding == "png":
        Image.fromarray(pixels).save(buffer, "PNG")
    else:
        Image.fromarray(pixels).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Return uint8 pixels with 1 ([height, width], luma) or 3 ([height, width, 3], grey repeated) channels."""
    if channels == 1 and pixels.ndim == 3:
        return np.asarray(Image.fromarray(pixels).convert("L"))
    if channels == 3 and pixels.ndim == 2:
        return np.repeat(pixels[:, :, None], 3, axis=2)
    return pixels


def recode(encoded: bytes, channels: int, form: StorageForm) -> bytes:
    """Return an encoded image of `channels` as one of `form.channels`: a grey image of a set with colour in it."""
    if channels == form.channels:
        return encoded
    if form.encoding == "raw":
        pixels = np.frombuffer(encoded, np.uint8).reshape(form.size, form.size)
    else:
        pixels = np.asarray(Image.open(io.BytesIO(encoded)))
    return encode_image(with_channels(pixels, form.channels), form.encoding)


def _chunks(files: Sequence[SourceFile]) -> Iterator[Sequence[SourceFile]]:
    """Yield tasks of up to _CHUNK files; a volume is one by itself, since its slices come back all at once."""
    start = 0
    for end in range(1, len(files) + 1):
        is_last = end == len(files)
        if is_last or end - start == _CHUNK or is_nifti(files[end - 1].filename) or is_nifti(files[end].filename):
            yield files[start:end]
            start = end


def _ingest_files(files: Sequence[SourceFile], form: StorageForm | None, slices: str | int) -> list[_Ingested]:
    return [_ingest_file(file, form, slices) for file in files]


def _ingest_file(file: SourceFile, form: StorageForm | None, slices: str | int) -> _Ingested:
    if not is_utf8(file.filename):
        return "its name is not UTF-8"  # and could stand in no record
    keep_colour = form is not None and form.channels == 3
    try:
        images = read_images(file.path, slices, keep_colour=keep_colour)
        return [(name, _ingest_image(file.path, image, form)) for name, image in images]
    except RejectedImage as rejection:
        return str(rejection)


def _ingest_image(path: Path, image: Decoded, form: StorageForm | None) -> IngestedImage:
    tags = read_patient_tags(path, image.facts.format)
    identity = fingerprint(image.pixels)
    if form is None:
        channels = 1 if image.pixels.ndim == 2 else 3
        return IngestedImage(b"", channels, identity, image.facts, None, image.notes, image.colour_merged, tags)
    stored = resize(with_channels(image.pixels, form.channels), form.size, form.resize)
    encoded = encode_image(stored, form.encoding)
    channels = 1 if stored.ndim == 2 else 3
    return IngestedImage(encoded, channels, identity, image.facts, stamp(path), image.notes, image.colour_merged, tags)
