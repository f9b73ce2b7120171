"""The cached features of frozen backbones as folders: found, measured and removed, without TensorFlow."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastmri_cls.foundation.cache import cache_directory
from fastmri_cls.foundation.locks import try_lock

FACTS_NAME = "facts.json"  # its modification time is the time of last use


@dataclass(frozen=True)
class CachedView:
    """One view of one split in the cache.

    Attributes:
        path: its folder.
        bytes: of its files.
        last_used: in seconds since 1970.
    """

    path: Path
    bytes: int
    last_used: float


def features_directory() -> Path:
    """Return the folder of all cached features; it may not exist yet."""
    return cache_directory() / "features"


def mark_used(folder: Path) -> None:
    """Note that a view is used now."""
    os.utime(folder / FACTS_NAME)


def cached_views() -> list[CachedView]:
    """Return the views in the cache, the least recently used first; unfinished ones that nobody writes included."""
    return sorted((_describe(folder) for folder in _idle_folders()), key=lambda view: view.last_used)


def clear() -> list[CachedView]:
    """Remove all views that nobody is writing, and return them. A training that has opened one keeps its files."""
    views = cached_views()
    for view in views:
        shutil.rmtree(view.path)
    return views


def _idle_folders() -> Iterator[Path]:
    root = features_directory()
    for folder in root.iterdir() if root.is_dir() else ():
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            if folder.is_dir() and try_lock(descriptor):
                yield folder
        finally:
            os.close(descriptor)


def _describe(folder: Path) -> CachedView:
    facts = folder / FACTS_NAME
    size = sum(file.stat().st_size for file in folder.iterdir())
    return CachedView(folder, size, (facts if facts.exists() else folder).stat().st_mtime)
