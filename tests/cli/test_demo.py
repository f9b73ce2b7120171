"""demo makes room for itself and takes nothing of anybody else. That it runs is tested in test_systems.py."""

from pathlib import Path

import pytest

from fastmri_cls.cli.demo import _make_room
from fastmri_cls.foundation.errors import UserError


def test_what_the_user_put_beside_an_earlier_demo_stays(tmp_path: Path) -> None:
    for name in ("sources/alpha", "dataset", "run", "my-own-run"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch()
    (tmp_path / "notes.txt").touch()
    _make_room(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my-own-run", "notes.txt"]


def test_a_demo_that_was_killed_at_its_start_can_be_started_again(tmp_path: Path) -> None:
    (tmp_path / ".sources.incomplete").mkdir()
    _make_room(tmp_path)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(UserError, match="exists and is not an earlier demo"):
        _make_room(tmp_path)
