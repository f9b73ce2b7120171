"""Files and folders appear whole or not at all."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastmri_cls.foundation.atomic import new_directory, new_file, write_text
from fastmri_cls.foundation.errors import UserError


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def fail_halfway(out: Path, error: BaseException, *, force: bool = False) -> None:
    with new_directory(out, force=force) as directory:
        (directory / "a").write_text("half")
        raise error


def test_a_folder_appears_when_its_block_ends(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with new_directory(out) as directory:
        (directory / "a").write_text("whole")
        assert not out.exists()
    assert (out / "a").read_text() == "whole"
    assert names(tmp_path) == {"out"}


def test_a_failed_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"):
        fail_halfway(tmp_path / "out", OSError(errno.ENOSPC, "full"))
    assert names(tmp_path) == set()


def test_a_folder_that_is_there_is_kept_without_force(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("precious")
    with pytest.raises(UserError, match="exists already; add --force"), new_directory(tmp_path / "out", force=False):
        pass
    with pytest.raises(UserError, match="exists already; remove it"), new_directory(tmp_path / "out"):
        pass
    assert (tmp_path / "out" / "mine").read_text() == "precious"
    assert names(tmp_path) == {"out"}


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with new_directory(tmp_path / "out") as directory:
        (directory / "a").write_text("whole")
    assert names(tmp_path / "out") == {"a"}


def test_force_replaces_the_folder_and_a_failure_keeps_the_old_one(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for content in ("first", "second"):
        with new_directory(out, force=True) as directory:
            (directory / "a").write_text(content)
    with pytest.raises(KeyboardInterrupt):
        fail_halfway(out, KeyboardInterrupt(), force=True)
    assert (out / "a").read_text() == "second"
    assert names(tmp_path) == {"out"}


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UserError, match="is a file"), new_directory(tmp_path / "out", force=True):
        pass


@pytest.mark.parametrize("target_exists", [True, False])
def test_a_link_stays_and_the_folder_it_leads_to_is_made(tmp_path: Path, target_exists: bool) -> None:
    """Results go to the large disk that --out links to, not beside the link."""
    (tmp_path / "large").mkdir()
    (tmp_path / "small").mkdir()
    if target_exists:
        (tmp_path / "large" / "out").mkdir()
    (tmp_path / "small" / "out").symlink_to(tmp_path / "large" / "out")
    for content in ("first", "second"):
        with new_directory(tmp_path / "small" / "out", force=True) as directory:
            (directory / "a").write_text(content)
        assert (tmp_path / "large" / "out" / "a").read_text() == content
    assert (tmp_path / "small" / "out").is_symlink()
    assert names(tmp_path / "small") == names(tmp_path / "large") == {"out"}


def test_a_mount_point_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda self: self.name == "out")
    with pytest.raises(UserError, match="mount point"), new_directory(tmp_path / "out"):
        pass


def test_what_a_killed_builder_left_is_swept_away(tmp_path: Path) -> None:
    incomplete = tmp_path / ".out.incomplete"
    (incomplete / "deep").mkdir(parents=True)
    (incomplete / "deep" / "half").write_text("half")
    (incomplete / "link").symlink_to(tmp_path)
    with new_directory(tmp_path / "out") as directory:
        assert names(directory) == set()
    assert names(tmp_path) == {"out"}


@pytest.mark.parametrize("new_one_in_place", [False, True])
def test_a_kill_between_the_renames_of_force_loses_nothing(tmp_path: Path, new_one_in_place: bool) -> None:
    (tmp_path / ".out.replaced").mkdir()
    (tmp_path / ".out.replaced" / "a").write_text("old")
    if new_one_in_place:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a").write_text("new")
    with pytest.raises(UserError, match="exists already"), new_directory(tmp_path / "out"):
        pass
    assert (tmp_path / "out" / "a").read_text() == ("new" if new_one_in_place else "old")
    with new_directory(tmp_path / "out", force=True) as directory:
        (directory / "a").write_text("newest")
    assert (tmp_path / "out" / "a").read_text() == "newest"
    assert names(tmp_path) == {"out"}


HOLDER = """
import sys, time
from pathlib import Path
from fastmri_cls.foundation.atomic import new_directory
with new_directory(Path(sys.argv[1])) as directory:
    (directory / "from the first").touch()
    time.sleep(60)
"""


def test_a_second_writer_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "out")])
    try:
        deadline = time.monotonic() + 30
        while not (tmp_path / ".out.incomplete" / "from the first").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with pytest.raises(UserError, match="another process is writing it"), new_directory(tmp_path / "out"):
            pass
        assert (tmp_path / ".out.incomplete" / "from the first").exists()
    finally:
        holder.kill()
        holder.wait()
    with new_directory(tmp_path / "out") as directory:  # the lock went with its holder
        (directory / "from the second").touch()
    assert names(tmp_path / "out") == {"from the second"}


def test_a_file_appears_whole_and_readable_for_others(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    write_text(path, "ä")
    assert path.read_bytes() == "ä".encode()
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_failed_file_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")

    def fail() -> None:
        with new_file(path) as temporary:
            assert temporary.suffix == ".json"
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == {"a.json"}


def test_a_linked_file_is_written_where_the_link_leads(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "deep" / "a.csv")
    write_text(tmp_path / "link.csv", "whole")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "deep" / "a.csv").read_text() == "whole"


def test_a_folder_or_a_device_is_refused_before_the_work_and_stays(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "null")  # stands for /dev/null, which root may replace
    for name, says in (("folder", "folder: is a folder"), ("null", "null: is no regular file")):
        with pytest.raises(UserError, match=says), new_file(tmp_path / name):
            pytest.fail("the work began")
    assert (tmp_path / "null").is_fifo()
    assert names(tmp_path) == {"folder", "null"}


def test_what_a_killed_writer_left_of_a_file_is_swept_away_and_another_writers_is_not(tmp_path: Path) -> None:
    (tmp_path / ".incomplete-abca.json").write_text("half")
    (tmp_path / ".incomplete-abcb.json").write_text("of another file")
    with new_file(tmp_path / "a.json") as mine:
        mine.write_text("whole")
        write_text(tmp_path / "a.json", "of a second writer")
        assert mine.exists()
    assert (tmp_path / "a.json").read_text() == "whole"
    assert names(tmp_path) == {"a.json", ".incomplete-abcb.json"}


def test_a_folder_can_be_written_in_the_folder_one_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with new_directory(Path("out")) as directory:
        (directory / "a").touch()
    assert names(Path("out")) == {"a"}
