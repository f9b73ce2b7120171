"""A file is stale when its content has changed, and only then."""

import os
from pathlib import Path

import pytest

from fastmri_cls.sources import stamps
from fastmri_cls.sources.stamps import is_unchanged, stamp


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_bytes(b"content")
    return tmp_path / "a.png"


def test_an_untouched_file_is_not_even_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = stamp(path)
    monkeypatch.setattr(stamps, "file_sha256", lambda path: pytest.fail("read"))
    assert is_unchanged(path, known)


def test_a_copy_with_another_time_is_unchanged(path: Path) -> None:
    known = stamp(path)
    os.utime(path, ns=(0, 0))
    assert is_unchanged(path, known)


@pytest.mark.parametrize("content", [b"CONTENT", b"content and more"])
def test_other_content_is_a_change(path: Path, content: bytes) -> None:
    known = stamp(path)
    path.write_bytes(content)
    os.utime(path, ns=(0, 0))
    assert not is_unchanged(path, known)
