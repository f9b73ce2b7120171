"""Slices of figshare 1512427 (Cheng) -> uint8 pixels, class and patient: one MATLAB 7.3 file, that is HDF5, a slice.

Read are `cjdata/image` (int16, rows and columns swapped as MATLAB stores them), `label` (1 meningioma, 2 glioma,
3 pituitary) and `PID` (UTF-16 codes); masks and borders are not. HDF5 can point to other files and claim any size:
links, external and virtual datasets, unknown filters and chunks that inflate beyond their size are refused.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from fastmri_cls.sources.notes import Note
from fastmri_cls.sources.pixels import RejectedImage, stretch_to_8_bits

SUFFIX = ".mat"
FOLDS_FILE = "cvind.mat"  # beside the slices: `cvind`, the fold 1..5 of slice N.mat in place N

_CLASSES = {1: "meningioma", 2: "glioma", 3: "pituitary"}
_MOST_PIXELS = 1 << 24  # 4096 x 4096; the set's are 512 x 512
_MOST_CHARACTERS = 64  # of an id
_MOST_SLICES = 1 << 20
_DEFLATE, _SHUFFLE = 1, 2  # numbers of HDF5's filters
_FILTERS: tuple[list[int], ...] = ([], [_DEFLATE], [_SHUFFLE, _DEFLATE])
_OLD = b"MATLAB 5.0"
# What h5py raises on damaged files.
_DAMAGED = (OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError, OverflowError, zlib.error)


def is_slice(name: str) -> bool:
    """Return whether a file's name is that of a slice."""
    path = PurePosixPath(name.lower())
    return path.suffix == SUFFIX and path.name != FOLDS_FILE


def read_slice(file: BinaryIO) -> tuple[np.ndarray, str, tuple[Note, ...]]:
    """Return uint8 [height, width], the type of the stored values, and notes.

    Values are stretched from the smallest to the largest of the slice, see `stretch_to_8_bits`.

    Raises:
        RejectedImage: it is no such file, or broken.
    """
    with _open(file, "cjdata") as data:
        _class_of(data)  # a slice without a class is no use to anybody
        values = _values(data, "image", _MOST_PIXELS)
        if values.ndim != 2:
            raise RejectedImage(f"MATLAB file whose image has {values.ndim} dimensions")
        pixels, notes = stretch_to_8_bits(np.ascontiguousarray(values.T))
        return pixels, str(values.dtype), notes


def read_label(file: BinaryIO) -> str:
    """Return the class of a slice; raises as `read_slice`."""
    with _open(file, "cjdata") as data:
        return _class_of(data)


def read_patient(file: BinaryIO) -> str:
    """Return the patient's id, empty if it makes no sense; raises as `read_slice`."""
    with _open(file, "cjdata") as data:
        if "PID" not in data:
            return ""
        codes = _values(data, "PID", _MOST_CHARACTERS)
        # An empty value is stored as two zeros, the dimensions of nothing.
        return "".join(map(chr, codes.ravel().tolist())).strip("\0 ") if codes.dtype.kind == "u" else ""


def read_folds(file: BinaryIO) -> dict[str, int]:
    """Return slice name -> fold, counted from 0, of the file of the published folds; raises as `read_slice`."""
    with _open(file) as root:
        folds = _values(root, "cvind", _MOST_SLICES).ravel().tolist()
        return {str(number): int(fold) - 1 for number, fold in enumerate(folds, start=1)}


@contextmanager
def _open(file: BinaryIO, struct: str = "") -> Iterator[Any]:
    """Yield `struct` of a file, or its root.

    Raises:
        RejectedImage: there is none, or what is done with it fails.
    """
    import h5py

    file.seek(0)
    if file.read(len(_OLD)) == _OLD:
        raise RejectedImage("MATLAB file of a version before 7.3, which is not read; save it with -v7.3")
    file.seek(0)
    try:
        with h5py.File(file, "r") as root:
            if struct and not isinstance(root.get(struct, getlink=True), h5py.HardLink):
                raise RejectedImage(f"MATLAB file without the struct {struct} of figshare's brain tumour set")
            data = root[struct] if struct else root
            if not isinstance(data, h5py.Group):
                raise RejectedImage(f"MATLAB file whose {struct} is no struct")
            yield data
    except _DAMAGED:  # whose words may quote the file
        raise RejectedImage("broken MATLAB file, or of another kind than 7.3; copy or download it again") from None


def _class_of(data: Any) -> str:
    label = _values(data, "label", 1).ravel()
    name = _CLASSES.get(int(label[0])) if label.size else None
    if name is None:
        raise RejectedImage("MATLAB file whose label is none of 1, 2, 3")
    return name


def _values(data: Any, name: str, most: int) -> np.ndarray:
    """Return a dataset of at most `most` numbers, stored in the file itself."""
    import h5py

    if not isinstance(data.get(name, getlink=True), h5py.HardLink) or not isinstance(data[name], h5py.Dataset):
        raise RejectedImage(f"MATLAB file without cjdata.{name}")
    dataset = data[name]
    if dataset.is_virtual or dataset.external or dataset.dtype.kind not in "iuf" or dataset.shape is None:
        raise RejectedImage(f"MATLAB file whose cjdata.{name} are no numbers of its own")
    if dataset.size > most:
        raise RejectedImage(f"too large (cjdata.{name} of {dataset.size} values)")
    if dataset.chunks is not None:
        _refuse_bomb(dataset, name)
    values: np.ndarray = dataset[()]
    return values


def _refuse_bomb(dataset: Any, name: str) -> None:
    """Refuse a chunk that inflates beyond its size: HDF5 would inflate all of it."""
    plan = dataset.id.get_create_plist()
    filters = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
    if filters not in _FILTERS:
        raise RejectedImage(f"MATLAB file whose cjdata.{name} is compressed in a way that is not read")
    limit = int(np.prod(dataset.chunks, dtype=object)) * dataset.dtype.itemsize
    if limit > 8 * _MOST_PIXELS:
        raise RejectedImage(f"too large (cjdata.{name} in chunks of {limit} bytes)")
    for number in range(dataset.id.get_num_chunks() if filters else 0):
        _, compressed = dataset.id.read_direct_chunk(dataset.id.get_chunk_info(number).chunk_offset)
        inflater = zlib.decompressobj()
        inflater.decompress(compressed, limit)
        if inflater.unconsumed_tail:
            raise RejectedImage(f"broken MATLAB file (cjdata.{name} is larger than it may be)")
