"""NIfTI volumes -> axial slices of 8 bits (extra `nifti`): one file gives several images, all of one patient.

Axes are turned to the nearest anatomical ones by the file's affine. A slice is shown as radiology shows it: the front
of the head on top, the patient's right on the left. All slices of a volume share one range of values.
"""

import gzip
import io
import logging
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.extras import missing_extra
from fastmri_cls.sources.colour import grey_where_grey
from fastmri_cls.sources.decode import Decoded, FileFacts, with_contrast_note
from fastmri_cls.sources.notes import Note, NoteKind
from fastmri_cls.sources.pixels import RejectedImage, display_range, scale_to_8_bits
from fastmri_cls.sources.storage import open_file

SUFFIXES = (".nii", ".nii.gz")

_PLANE = "axial-"
_SLICE = re.compile(_PLANE + "[0-9]{3,}")

_MOST_BYTES = 1 << 30  # of a volume in its own type: 512 x 512 x 2048 voxels of 16 bits
_MOST_EXTENSIONS = 16 << 20  # bytes between header and voxels
_FOREGROUND = 0.1  # of the range of values: darker voxels are background or noise
_CONTENT = 0.1  # of the largest foreground of any slice: slices with less are the ends of the head
_HEADER_SIZES = {348: "Nifti1Image", 540: "Nifti2Image"}


def is_nifti(name: str) -> bool:
    """Return whether a file's name is that of a NIfTI file."""
    return name.lower().endswith(SUFFIXES)


def find_in_volume(path: Path) -> tuple[Path, str] | None:
    """Return the volume that `path` leads into and the name of the slice, or None for any other path."""
    volume = file_of(str(path))
    return None if volume == str(path) else (path.parent, path.name)


def file_of(filename: str) -> str:
    """Return the file that an image is in: the volume of a slice, else the name itself."""
    volume, _, name = filename.rpartition("/")
    return volume if is_nifti(volume) and _SLICE.fullmatch(name) else filename


def parse_selection(text: str) -> str | int:
    """Return which slices are taken: `content`, `middle` or `all` as they are, or a number of slices.

    Raises:
        UserError: it is none of them.
    """
    if text in ("content", "middle", "all"):
        return text
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise UserError(f"--slices {text}: is neither content, middle, all nor a number of slices")


def read_slices(
    path: Path, selection: str | int = "content", *, keep_colour: bool = False
) -> Iterator[tuple[str, Decoded]]:
    """Yield the axial slices of a volume, from the feet upwards.

    Args:
        path: a .nii or .nii.gz file; it may lead through a ZIP archive.
        selection: `content` (every slice with a tenth of the fullest slice's foreground), `middle` (one), `all`, or a
            number of slices evenly spread over those with content.
        keep_colour: see `decode_file`; for volumes in RGB.

    Yields:
        A name, unique in the volume (`axial-045`, counted from 0), and the decoded slice; what was left out of the
        volume is noted on the first.

    Raises:
        RejectedImage: nibabel is not installed, or the file is no volume, broken, or too large.
    """
    try:
        import nibabel  # noqa: F401 - asked for here, so that the reason is clear
    except ImportError:
        raise RejectedImage(f"NIfTI {missing_extra('nifti')}") from None
    notes: list[Note] = []
    try:
        with open_file(path) as file:
            size = file.seek(0, io.SEEK_END)
            volume = _read_volume(file, notes)
    except OSError as error:
        raise RejectedImage(f"cannot be read ({error.strerror or 'truncated'}); copy or download it again") from None
    visible = np.isfinite(volume)
    low, high, outliers = display_range(volume[visible])
    chosen = _choose(volume, low, high, selection)
    notes += outliers
    if len(chosen) < volume.shape[2]:
        notes.append(Note(NoteKind.SLICES_LEFT_OUT, volume.shape[2] - len(chosen)))
    mode = str(volume.dtype)
    for index in chosen:
        pixels = scale_to_8_bits(volume[:, :, index], visible[:, :, index], low, high)
        pixels = np.ascontiguousarray(np.flip(pixels, (0, 1)).swapaxes(0, 1))
        facts = FileFacts(size, "NIfTI", mode, width=pixels.shape[1], height=pixels.shape[0])
        yield _PLANE + f"{index:03}", _decoded(pixels, facts, tuple(notes), keep_colour)
        notes = []


def _read_volume(file: BinaryIO, notes: list[Note]) -> np.ndarray:
    """Return the voxels [right, front, up(, 3)] in the type they are stored in, brightest highest."""
    import nibabel
    from nibabel.imageglobals import logger
    from nibabel.spatialimages import HeaderDataError, HeaderTypeError
    from nibabel.wrapstruct import WrapStructError

    logger.setLevel(logging.CRITICAL)  # it prints what it mends in a header
    file.seek(0)
    is_gzip = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    stream: Any = gzip.GzipFile(fileobj=file) if is_gzip else file
    try:
        size = stream.read(4)
        kind = _HEADER_SIZES.get(int.from_bytes(size, "little")) or _HEADER_SIZES.get(int.from_bytes(size, "big"))
        if kind is None:
            raise RejectedImage("no NIfTI file in spite of its name")
        stream.seek(0)
        _refuse_bomb(getattr(nibabel, kind).header_class.from_fileobj(stream))
        stream.seek(0)
        image = getattr(nibabel, kind).from_stream(stream)
        voxels = np.asarray(image.dataobj.get_unscaled())
        slope = float(image.dataobj.slope)
    except (ValueError, TypeError, LookupError, ArithmeticError, EOFError, zlib.error, HeaderDataError, HeaderTypeError,
            WrapStructError, NotImplementedError):  # fmt: skip
        raise RejectedImage("broken NIfTI (truncated, or its header does not fit its voxels)") from None
    if voxels.ndim > 3:
        times = int(np.prod(voxels.shape[3:]))
        voxels = voxels.reshape(*voxels.shape[:3], times)[..., times // 2]
        notes += [Note(NoteKind.PAGES_LEFT_OUT, times - 1)] if times > 1 else []
    if voxels.dtype.names:  # RGB or RGBA
        voxels = np.stack([voxels[name] for name in voxels.dtype.names[:3]], axis=-1)
    turned = _to_anatomical_axes(voxels, image, notes)
    return -turned.astype(np.float64) if slope < 0 else turned


def _refuse_bomb(header: Any) -> None:
    """Refuse by the header alone what is no volume of numbers, or would take too much memory."""
    shape, dtype = header.get_data_shape(), header.get_data_dtype()
    if dtype.kind not in "iuf" and not (dtype.names and all(dtype[name] == np.uint8 for name in dtype.names)):
        raise RejectedImage(f"NIfTI with voxels of type {dtype}, which is not read")
    if len(shape) < 3 or min(shape) < 1 or shape[2] < 1:
        raise RejectedImage("NIfTI that is no volume (fewer than three dimensions)")
    if int(np.prod([int(length) for length in shape], dtype=object)) * dtype.itemsize > _MOST_BYTES:
        raise RejectedImage(f"too large ({' x '.join(map(str, shape))} voxels)")
    if not 0 <= float(header["vox_offset"]) <= _MOST_EXTENSIONS:
        raise RejectedImage("broken NIfTI (its voxels begin beyond the file)")


def _to_anatomical_axes(voxels: np.ndarray, image: Any, notes: list[Note]) -> np.ndarray:
    """Return voxels with the axes right, front, up; as they are stored where the file does not say how they lie."""
    import nibabel

    turns = np.full((3, 2), np.nan)
    if image.header["sform_code"] > 0 or image.header["qform_code"] > 0:
        affine = np.asarray(image.affine)
        if np.isfinite(affine).all():
            turns = nibabel.io_orientation(affine)
    if not np.isfinite(turns).all():
        notes.append(Note(NoteKind.AXES_ASSUMED))
        return voxels
    return nibabel.apply_orientation(voxels, turns)


def _choose(volume: np.ndarray, low: float, high: float, selection: str | int) -> list[int]:
    """Return the indices of the slices to take, in order."""
    count = volume.shape[2]
    if selection == "all":
        return list(range(count))
    threshold = low + _FOREGROUND * (high - low)
    areas = np.array([(volume[:, :, index] > threshold).sum() for index in range(count)])
    full = np.flatnonzero(areas >= max(_CONTENT * areas.max(), 1))
    full = full if full.size else np.arange(count)  # a volume of one value
    if selection == "middle":
        return [int(full[len(full) // 2])]
    if isinstance(selection, int) and selection < len(full):
        return full[((np.arange(selection) + 0.5) * len(full) / selection).astype(int)].tolist()
    return full.tolist()


def _decoded(pixels: np.ndarray, facts: FileFacts, notes: tuple[Note, ...], keep_colour: bool) -> Decoded:
    merged = False
    if pixels.ndim == 3:
        pixels, merged, lost = grey_where_grey(Image.fromarray(pixels), keep_colour=keep_colour)
        notes = (*notes, *lost)
    return with_contrast_note(Decoded(pixels, facts, notes, merged))
