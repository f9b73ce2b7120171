"""The command line itself: help, version, what a command shares with the others."""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer

from fastmri_cls.cli import app as app_module
from fastmri_cls.cli import output, weights
from fastmri_cls.foundation import progress


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    log = progress.log
    before = log.level, log.propagate, list(log.handlers)
    yield
    log.level, log.propagate, log.handlers[:] = before


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run main in this process; return the exit code."""
    monkeypatch.setattr("sys.argv", ["fastmri-cls", *arguments])
    try:
        app_module.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.parametrize("group", [[], ["weights"], ["benchmark"]])
def test_a_group_without_a_command_prints_its_help_and_is_no_error(monkeypatch, capsys, group):
    assert call(monkeypatch, *group) == 0
    bare = capsys.readouterr().out
    assert call(monkeypatch, *group, "--help") == 0
    assert bare.strip() == capsys.readouterr().out.strip()
    assert "Usage" in bare


def test_the_version_is_that_of_the_package(monkeypatch, capsys):
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"fastmri-cls {metadata.version('fastmri-cls')}\n"


def test_help_lists_every_command_in_a_panel_with_a_title(monkeypatch, capsys):
    call(monkeypatch, "--help")
    text = capsys.readouterr().out
    titles = re.findall(r"─ ([A-Z][\w ]+) ─", text)
    assert titles == ["Options", "Start", "Data", "Train", "Use a model", "Measure"]
    commands = typer.main.get_command(app_module.app).commands
    assert all(re.search(rf"│ {name} ", text) for name in commands)


def test_ctrl_c_ends_with_a_line_and_code_130(monkeypatch, capsys):
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(weights, "import_tensorflow", interrupt)
    assert call(monkeypatch, "weights", "list") == 130
    assert capsys.readouterr().err == "fastmri-cls: interrupted\n"


def commands_below(group: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    for part, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_below(command, f"{name}{part} ")
        else:
            yield name + part, command


def test_every_command_takes_json_and_its_help_has_an_example():
    commands = dict(commands_below(typer.main.get_command(app_module.app)))
    assert len(commands) >= 21
    assert [n for n, c in commands.items() if not any("--json" in getattr(p, "opts", ()) for p in c.params)] == []
    assert [name for name, command in commands.items() if f"`fastmri-cls {name}" not in command.help] == []


def test_every_json_option_is_the_shared_one_and_nothing_else_prints_a_document():
    modules = [path for path in Path(output.__file__).parent.glob("*.py") if path.name != "output.py"]
    texts = {path.name: path.read_text(encoding="utf-8") for path in modules}
    assert [name for name, text in texts.items() if '"--json"' in text and "_OURS" not in text] == []
    by_hand = re.compile(r"(?<!_document)\(json\.dumps|print\(.*to_json")
    assert [name for name, text in texts.items() if by_hand.search(text)] == []
    assert sum("as_json: AsJson" in text for text in texts.values()) >= 12


def test_json_keeps_stdout_for_the_document_and_sends_text_to_stderr(capsys):
    app = typer.Typer()

    @app.command()
    def speak(as_json: output.AsJson = False) -> None:
        print("some text")
        if as_json:
            output.print_document("{}")

    app(["--json"], standalone_mode=False)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("{}\n", "some text\n")
    app([], standalone_mode=False)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("some text\n", "")


def test_no_option_is_cut_in_a_terminal_of_80_columns(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 80)
    commands = typer.main.get_command(app_module.app).commands
    names = [[name] for name, command in commands.items() if not hasattr(command, "commands")]
    names += [[group, name] for group, inner in commands.items() for name in getattr(inner, "commands", ())]
    assert ["build-tfrecords"] in names
    assert ["cache", "clear"] in names
    for name in names:
        assert call(monkeypatch, *name, "--help") == 0
        text = capsys.readouterr().out
        assert "--help" in text
        assert not re.search(r"--[\w-]*…", text), name


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("train --model efficientnet", ["efficientnetv2s", "efficientnet-lite0"]),
        ("train --optimizer adam", ["adam", "adamw", "adamax"]),
        ("train --augment pa", ["paper", "paper+flip"]),
        ("weights fetch conv", ["convnext-tiny"]),
    ],
)
def test_the_shell_completes_names(monkeypatch, capsys, typed, offered):
    monkeypatch.setenv("_FASTMRI_CLS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"fastmri-cls {typed}")
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split())))
    call(monkeypatch)
    assert capsys.readouterr().out.split() == offered
