"""Checks of untrusted weights files before Keras opens them.

HDF5 can point to other files (external links, external and virtual datasets) and claim shapes that would fill the
memory. A .keras file is a ZIP, whose members can have paths outside the archive or inflate without end. Weights need
none of these, so they are refused.
"""

import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import h5py

from fastmri_cls.foundation.errors import UserError

_SUFFIXES = {".h5": b"\x89HDF\r\n\x1a\n", ".keras": b"PK\x03\x04"}
_MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
# Keras stores weights uncompressed, and weights hardly compress: far more values than bytes are a bomb.
_MOST_INFLATED, _SPARE = 10, 1 << 20
# The exceptions of zipfile and h5py on damaged files.
_DAMAGED = (OSError, ValueError, RuntimeError, LookupError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)


def vet_weights_file(path: Path) -> None:
    """Check a .h5, .weights.h5 or .keras file without loading anything from it.

    Raises:
        UserError: it is another kind of file, refers to other files, claims absurd sizes, or is damaged.
    """
    if path.suffix not in _SUFFIXES:
        raise UserError(f"{path}: is not a weights file; give a .h5, .weights.h5 or .keras file, or a RUN folder")
    with path.open("rb") as file:
        if not file.read(8).startswith(_SUFFIXES[path.suffix]):
            raise UserError(f"{path}: is not a {path.suffix} file in spite of its name; get it again")
        try:
            fault = _hdf5_fault(file) if path.suffix == ".h5" else _zip_fault(file)
        except _DAMAGED as error:
            raise UserError(f"{path}: is damaged ({' '.join(str(error).split())[:200]}); get it again") from None
    if fault:
        raise UserError(f"{path}: {fault}, which no weights file needs; do not trust it, get it from its publisher")


def _zip_fault(file: BinaryIO) -> str | None:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        for member in members:
            name = PurePosixPath(member.filename)
            if name.is_absolute() or ".." in name.parts or "\\" in member.filename:
                return f"its member {member.filename!r} leaves the archive"
            if name.parts[:1] != ("assets",) and member.filename not in _MEMBERS:
                return f"it has a member {member.filename!r}"
        if _explodes(sum(member.file_size for member in members), file):
            return "it inflates to more than ten times its size"
        if "model.weights.h5" not in archive.namelist():
            return "it holds no model.weights.h5"
        with archive.open("model.weights.h5") as weights:
            return _hdf5_fault(weights)  # type: ignore[arg-type]


def _hdf5_fault(file: BinaryIO) -> str | None:
    with h5py.File(file, "r") as root:
        groups: list[h5py.Group] = [root]
        seen = set()  # hard links can make a group its own child
        values = 0
        while groups:
            group = groups.pop()
            for name in group:
                link = group.get(name, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    return f"its entry {group.name}/{name} is a link ({type(link).__name__})"
                item = group[name]
                if isinstance(item, h5py.Dataset):
                    if item.is_virtual or item.external:
                        return f"its dataset {item.name} takes its values from another file"
                    if item.dtype.kind not in "fiub":
                        return f"its dataset {item.name} holds {item.dtype}, not numbers"
                    values += item.size * item.dtype.itemsize
                    if _explodes(values, file):
                        return f"its dataset {item.name} claims {item.shape} values"
                elif isinstance(item, h5py.Group):
                    address = h5py.h5o.get_info(item.id).addr
                    if address not in seen:
                        seen.add(address)
                        groups.append(item)
    return None


def _explodes(values: int, file: BinaryIO) -> bool:
    return values > _MOST_INFLATED * file.seek(0, 2) + _SPARE
