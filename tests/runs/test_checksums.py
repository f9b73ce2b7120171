"""What is read back from a RUN is what was written."""

from pathlib import Path

import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.runs import checksums


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A RUN with two files noted."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "metrics.json").write_text("{}")
    checksums.record(tmp_path, ["config.json", "metrics.json", "absent.json"])
    return tmp_path


def test_files_as_they_were_pass_and_so_does_what_was_never_noted(run: Path) -> None:
    (run / "stranger").write_text("x")
    checksums.check(run, ["config.json", "metrics.json", "stranger", "absent.json"])


@pytest.mark.parametrize(("name", "cure"), [("config.json", "train again"), ("metrics.json", "run evaluate")])
def test_a_changed_file_is_named_with_its_cure(run: Path, name: str, cure: str) -> None:
    (run / name).write_text("{ }")
    with pytest.raises(UserError, match=rf"{name}: has changed since it was written.*{cure}"):
        checksums.check(run, [name])


def test_noting_one_file_again_keeps_what_is_known_of_others(run: Path) -> None:
    (run / "metrics.json").write_text("new")
    (run / "config.json").write_text("edited")
    checksums.record(run, ["metrics.json"])
    checksums.check(run, ["metrics.json"])
    with pytest.raises(UserError, match=r"config\.json"):
        checksums.check(run, ["config.json"])


@pytest.mark.parametrize("content", ["", "[]", "[" * 100_000])
def test_damaged_checksums_are_named(run: Path, content: str) -> None:
    (run / "checksums.json").write_text(content)
    with pytest.raises(UserError, match=r"checksums\.json: .*; remove it"):
        checksums.check(run, ["config.json"])
    checksums.forget(run)
    checksums.check(run, ["config.json"])
