"""What tests of feature views share."""

from pathlib import Path

import pytest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of cached features, empty."""
    monkeypatch.setenv("FASTMRI_CLS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"
