"""The cache folder: published weights, features of frozen backbones, measurements of this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_VARIABLE = "FASTMRI_CLS_CACHE"


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
