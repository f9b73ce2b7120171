"""`fastmri-cls train`: how options of a file and of the command line go together."""

from pathlib import Path

import typer

from fastmri_cls.cli.train import train

FILE = "data: mri\nmodel: small-cnn\nbatch_size: 8\nset:\n  phase1.max_epochs: 20\n  schedule: cosine\n"


def options(folder: Path, *flags: str) -> dict[str, object]:
    """The options of `train --config FILE`, followed by flags."""
    (folder / "train.yaml").write_text(FILE, encoding="utf-8")
    program = typer.Typer()
    program.command()(train)
    arguments = ["--config", str(folder / "train.yaml"), *flags, "--out", "run"]
    return typer.main.get_command(program).make_context("train", arguments).params


def test_fields_of_a_file_stay_when_set_changes_another_and_give_way_to_the_same(tmp_path: Path) -> None:
    of_file = ["phase1.max_epochs=20", 'schedule="cosine"']
    assert options(tmp_path)["settings"] == of_file
    assert options(tmp_path, "--set", "ema=true")["settings"] == [*of_file, "ema=true"]
    assert options(tmp_path, "--set", "schedule=constant")["settings"] == [*of_file, "schedule=constant"]


def test_a_flag_overrides_the_file(tmp_path: Path) -> None:
    assert options(tmp_path)["batch_size"] == 8
    assert options(tmp_path, "--batch-size", "16")["batch_size"] == 16
