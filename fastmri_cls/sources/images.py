"""A path -> its images: a volume gives several, every other file one. A slice has a path too: `a.nii.gz/axial-045`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from fastmri_cls.sources.decode import Decoded, decode_file
from fastmri_cls.sources.nifti import find_in_volume, is_nifti, read_slices
from fastmri_cls.sources.pixels import RejectedImage


def read_images(
    path: Path, slices: str | int = "content", *, keep_colour: bool = False
) -> Iterator[tuple[str, Decoded]]:
    """Yield all images of a file.

    Args:
        path: a file in any of the formats read; it may lead through a ZIP archive.
        slices: which slices of a volume, see `read_slices`.
        keep_colour: see `decode_file`.

    Yields:
        The name of a slice, empty for a file of one image; the image.

    Raises:
        RejectedImage: the file is no image, broken, or too large; the message says which.
    """
    if is_nifti(path.name):
        yield from read_slices(path, slices, keep_colour=keep_colour)
    else:
        yield "", decode_file(path, keep_colour=keep_colour)


def read_each(paths: Sequence[Path]) -> list[Decoded]:
    """Return the images at `paths`, files or slices; a volume is decoded once for all its slices. See `read_image`."""
    volumes: dict[Path, set[str]] = {}
    for place in filter(None, map(find_in_volume, paths)):
        volumes.setdefault(place[0], set()).add(place[1])
    slices = {
        volume / name: image
        for volume, names in volumes.items()
        for name, image in read_slices(volume, "all")
        if name in names
    }
    return [slices[path] if path in slices else read_image(path) for path in paths]


def read_image(path: Path, *, keep_colour: bool = False) -> Decoded:
    """Return the one image at `path`, a file or a slice of a volume; raises as `read_images`."""
    place = find_in_volume(path)
    if place is not None:
        volume, name = place
        for found, image in read_slices(volume, "all", keep_colour=keep_colour):
            if found == name:
                return image
        raise RejectedImage("no such slice in the volume")
    if is_nifti(path.name):
        raise RejectedImage(f"NIfTI volume of several images; name a slice, as {path.name}/axial-000")
    return decode_file(path, keep_colour=keep_colour)
