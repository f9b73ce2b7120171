"""The cache folder: published weights, features of frozen backbones, measurements of this machine."""

import os
from pathlib import Path


def cache_directory() -> Path:
    """Return $FASTMRI_CLS_CACHE, or ~/.cache/fastmri-cls if it is not set. The folder may not exist yet."""
    return Path(os.environ.get("FASTMRI_CLS_CACHE") or Path.home() / ".cache" / "fastmri-cls")
