"""build-tfrecords as people call it."""

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]


def test_a_build_prints_its_counts_and_a_document(cli: Cli, phantom_sources: dict[str, Path], tmp_path: Path) -> None:
    named = [f"{name}={path}" for name, path in phantom_sources.items()]
    command = ("build-tfrecords", *named, "--out", tmp_path / "out", "--image-size", 48, "--split", "published")
    result = cli(*command, "--folds", 2, "--workers", 2, "--json")
    assert result.returncode == 0, result.stderr
    last = json.loads(result.stdout)
    assert last["rejected"] == 3
    assert set(last["splits"]) == {"fold-0", "fold-1", "test.alpha", "test.beta"}
    assert sum(last["splits"].values()) == 2 * 4 * 32 + 4
    assert {"dataset.json", "README.md", "images.csv"} < {path.name for path in (tmp_path / "out").iterdir()}
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing", "--out", "out"], "is no folder and no .zip archive; give [NAME=]SOURCE"),
        (
            ["{alpha}", "--out", "out", "--split", "some.csv"],
            "--split some.csv: is neither grouped nor published; give a table with --table",
        ),
        (["{alpha}", "--out", "out", "--table", "nothing.csv"], "--table nothing.csv: no such file"),
        (["{alpha}", "--out", "out", "--classes", "nothing.txt"], "--classes nothing.txt: cannot be read"),
    ],
)
def test_a_users_error_is_one_line_and_code_1(
    cli: Cli, phantom_sources: dict[str, Path], arguments: list[str], message: str
) -> None:
    result = cli("build-tfrecords", *(argument.format(**phantom_sources) for argument in arguments))
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("fastmri-cls: error: ")
    assert message in line


def test_the_next_command_can_be_pasted_into_a_shell(
    cli: Cli, phantom_sources: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "my data's folder"
    result = cli("build-tfrecords", phantom_sources["alpha"], "--out", out, "--image-size", 32, "--workers", 1)
    assert result.returncode == 0, result.stderr
    following = shlex.split(result.stdout.splitlines()[-1])
    assert following == ["next:", "fastmri-cls", "train", "--data", str(out), "--model", "small-cnn", "--out", "RUN"]


@pytest.mark.parametrize("flags", [["--folds", 1], ["--image-size", 0], ["--encoding", "gif"], ["--leakage", "maybe"]])
def test_a_wrong_flag_is_a_usage_error(cli: Cli, phantom_sources: dict[str, Path], flags: list[object]) -> None:
    result = cli("build-tfrecords", phantom_sources["alpha"], "--out", "out", *flags)
    assert result.returncode == 2
    assert str(flags[0]) in result.stderr
