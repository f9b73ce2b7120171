"""The cache folder: published weights, features of frozen backbones, datasets, RUNs, measurements of this machine.

What takes space there are folders of three kinds. `fastmri-cls cache` lists and removes them.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_VARIABLE = "FASTMRI_CLS_CACHE"


@dataclass(frozen=True)
class CachedFolder:
    """One folder in the cache.

    Attributes:
        path: the folder.
        bytes: of its files.
        last_used: in seconds since 1970.
    """

    path: Path
    bytes: int
    last_used: float


@dataclass(frozen=True)
class CacheKind:
    """Folders of one kind in the cache, each made by `new_directory`.

    Attributes:
        name: the folder in the cache that holds them.
        marker: a file in each, whose modification time is the time of last use.
        pattern: finds them below `directory`.
    """

    name: str
    marker: str
    pattern: str = "*"

    @property
    def directory(self) -> Path:
        """The folder that holds them; it may not exist yet."""
        return cache_directory() / self.name

    def mark_used(self, folder: Path) -> None:
        """Note that a folder is used now."""
        os.utime(folder / self.marker)

    def folders(self) -> list[CachedFolder]:
        """Return the folders, the least recently used first; unfinished ones that nobody writes included."""
        return sorted((self._describe(folder) for folder in self._idle()), key=lambda folder: folder.last_used)

    def clear(self) -> list[CachedFolder]:
        """Remove all folders that nobody is writing, and return them. What has opened one keeps its files."""
        folders = self.folders()
        for folder in folders:
            shutil.rmtree(folder.path)
        return folders

    def _idle(self) -> Iterator[Path]:
        from fastmri_cls.foundation.locks import try_lock  # not on Windows, which the command line refuses in a line

        for folder in self.directory.glob(self.pattern):
            if not folder.is_dir():
                continue
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                if try_lock(descriptor):
                    yield folder
            finally:
                os.close(descriptor)

    def _describe(self, folder: Path) -> CachedFolder:
        marker = folder / self.marker
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        return CachedFolder(folder, size, (marker if marker.exists() else folder).stat().st_mtime)


VIEWS = CacheKind("features", "facts.json")  # of train --feature-views
DATASETS = CacheKind("datasets", "dataset.json")  # of train --data FOLDER
HUB_RUNS = CacheKind("hub", "config.json", "*/*")  # of hf://user/name; a folder for each commit


def cache_directory() -> Path:
    """Return $FASTMRI_CLS_CACHE, or ~/.cache/fastmri-cls if it is not set. The folder may not exist yet."""
    return Path(os.environ.get(_VARIABLE) or Path.home() / ".cache" / "fastmri-cls")


@contextmanager
def cache_in(folder: Path) -> Iterator[None]:
    """Use `folder` as the cache folder within the block, also in processes started there."""
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before
