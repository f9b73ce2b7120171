"""Files and folders that appear whole or not at all: write beside the target, fsync, rename.

A folder under construction is `.NAME.incomplete`, locked by its builder: a second builder is refused. The leftovers of
a killed builder are recognised by their free lock and removed by the next builder.
"""

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.locks import try_lock

_PREFIX = ".incomplete-"


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on a clean exit fsync it and rename it to `path`, else remove it.

    The temporary name keeps the suffixes of `path`, since Keras and matplotlib choose a format by them. It is locked
    while it is written; an unlocked one was left by a killed writer, and the next writer removes it.

    Raises:
        UserError: `path` is a folder, a device or a pipe, which a rename cannot or must not replace.
    """
    path = path.resolve()  # a link stays, and its target is written
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise UserError(f"{path}: is {kind}; choose another name for the file to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    descriptor, temporary = _lock_temporary(path)
    try:
        with naming(path):
            yield temporary
            temporary.chmod(0o666 & ~_umask())  # mkstemp makes files private; results are shared
            _fsync(temporary)
            temporary.replace(path)
            _fsync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(descriptor)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name `path` in errors that name no file, such as that of a write to a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def _lock_temporary(path: Path) -> tuple[int, Path]:
    """Create and lock a temporary file of `path`; return the descriptor that holds the lock, and its path."""
    while True:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_PREFIX, suffix=path.name)
        if try_lock(descriptor) and Path(name).exists():
            return descriptor, Path(name)
        os.close(descriptor)  # another writer's sweep removed it before it was locked


def _sweep(path: Path) -> None:
    """Remove the temporary files of `path` that killed writers left."""
    for leftover in path.parent.glob(f"{_PREFIX}*{glob.escape(path.name)}"):
        try:
            descriptor = os.open(leftover, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            if try_lock(descriptor):
                leftover.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def is_leftover(path: Path) -> bool:
    """Return whether this is the temporary file of a killed writer, by its name."""
    return path.name.startswith(_PREFIX)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically."""
    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def new_directory(path: Path, *, force: bool | None = None) -> Iterator[Path]:
    """Yield an empty folder beside `path`; on a clean exit it becomes `path`, else it is removed.

    Args:
        path: the folder to make.
        force: replace an existing folder; None if the command has no --force to name as a cure.

    Raises:
        UserError: `path` exists (and not `force`), is a file or mount point, or is being written by another process.
    """
    path = path.resolve()  # a link stays, and the folder it leads to is made
    if path.is_mount():
        raise UserError(f"{path}: is a mount point and cannot be renamed into place; choose a folder in it")
    path.parent.mkdir(parents=True, exist_ok=True)
    replaced = path.with_name(f".{path.name}.replaced")
    incomplete = path.with_name(f".{path.name}.incomplete")
    lock = _lock_directory(incomplete, path)
    try:
        with naming(path):
            if replaced.exists() and not path.exists():
                replaced.rename(path)  # a run with force was killed between its two renames
            shutil.rmtree(replaced, ignore_errors=True)  # or after them
            _refuse_to_overwrite(path, force)
            for leftover in incomplete.iterdir():
                shutil.rmtree(leftover) if leftover.is_dir() and not leftover.is_symlink() else leftover.unlink()
            yield incomplete
            for item in incomplete.rglob("*"):
                _fsync(item)
            _fsync(incomplete)
            _refuse_to_overwrite(path, force)
            if path.exists():
                path.rename(replaced)
            incomplete.rename(path)
            _fsync(path.parent)
            shutil.rmtree(replaced, ignore_errors=True)
    except BaseException:
        shutil.rmtree(incomplete, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def _lock_directory(incomplete: Path, path: Path) -> int:
    """Create and lock `incomplete`; return the descriptor that holds the lock."""
    while True:
        incomplete.mkdir(exist_ok=True)
        try:
            descriptor = os.open(incomplete, os.O_RDONLY)
        except FileNotFoundError:
            continue
        if not try_lock(descriptor):
            os.close(descriptor)
            raise UserError(f"{path}: another process is writing it; wait for it or choose another --out")
        if incomplete.exists() and os.path.samestat(os.fstat(descriptor), incomplete.stat()):
            return descriptor
        os.close(descriptor)  # its builder renamed it between our two calls: try again


def _refuse_to_overwrite(path: Path, force: bool | None) -> None:
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: is a file; choose another --out")
    if path.exists() and not force and any(path.iterdir()):
        cure = "remove it" if force is None else "add --force to replace it"
        raise UserError(f"{path}: exists already; {cure} or choose another --out")


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
