"""`fastmri-cls cache`: lists what is kept on disk and removes it, except a folder that is being written."""

import json
import os

import pytest
from typer.testing import CliRunner

from fastmri_cls.cli.app import app
from fastmri_cls.foundation.atomic import new_directory


@pytest.fixture
def features(tmp_path, monkeypatch):
    """Two views in the cache, `old` of 1000 and `new` of 2000 bytes."""
    monkeypatch.setenv("FASTMRI_CLS_CACHE", str(tmp_path))
    for name, size, used in (("new", 2000, 2e9), ("old", 1000, 1e9)):
        folder = tmp_path / "features" / name
        folder.mkdir(parents=True)
        (folder / "cut.npy").write_bytes(bytes(size))
        (folder / "facts.json").touch()
        os.utime(folder / "facts.json", (used, used))
    return tmp_path / "features"


def run(*arguments: str) -> tuple[str, dict]:
    result = CliRunner().invoke(app, ["cache", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    return result.stderr, json.loads(result.stdout)


def test_list_shows_sizes_and_the_least_recently_used_view_first(features):
    text, found = run("list")
    assert [(view["path"], view["bytes"], view["last_used"]) for view in found["views"]] == [
        (str(features / "old"), 1000, 1e9),
        (str(features / "new"), 2000, 2e9),
    ]
    assert text.index("old") < text.index("new")
    assert "0.0 MB  in 2 views" in text


def test_clear_removes_all_views_but_one_that_is_being_written(features):
    with new_directory(features / "growing") as directory:
        (directory / "cut.npy").write_bytes(bytes(500))
        _, found = run("clear")
        assert found == {"removed": 2, "bytes": 3000}
    assert [path.name for path in features.iterdir()] == ["growing"]


def test_an_unfinished_view_that_nobody_writes_any_more_is_removed(features):
    (features / ".broken.incomplete").mkdir()
    (features / ".broken.incomplete" / "cut.npy").write_bytes(bytes(700))
    assert run("clear")[1] == {"removed": 3, "bytes": 3700}
    assert not list(features.iterdir())


@pytest.mark.parametrize(("kind", "place"), [("datasets", "scans-0123"), ("hub", "user--name/0123")])
def test_datasets_and_runs_of_the_hub_are_listed_and_removed_too(features, tmp_path, kind, place):
    folder = tmp_path / kind / place
    folder.mkdir(parents=True)
    (folder / "train-00000-of-00001.tfrecord").write_bytes(bytes(4000))
    marker = folder / {"datasets": "dataset.json", "hub": "config.json"}[kind]
    marker.touch()
    os.utime(marker, (3e9, 3e9))
    text, found = run("list")
    assert found[kind] == [{"path": str(folder), "bytes": 4000, "last_used": 3e9}]
    assert place in text
    assert len(found["views"]) == 2
    assert run("clear")[1] == {"removed": 3, "bytes": 7000}
    assert not folder.exists()


def test_an_empty_cache_is_listed_and_cleared(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTMRI_CLS_CACHE", str(tmp_path / "none"))
    assert run("list")[1]["views"] == []
    assert run("clear")[1] == {"removed": 0, "bytes": 0}
