"""README and docs: every command line parses, every link leads somewhere, every command is listed."""

import ast
import inspect
import re
import shlex
import tomllib
from dataclasses import asdict, fields
from itertools import pairwise
from pathlib import Path

import pytest
import typer

import fastmri_cls
from fastmri_cls.cli.app import app
from fastmri_cls.cli.study import _check_train_flags
from fastmri_cls.foundation import json_files
from fastmri_cls.records import images_csv
from fastmri_cls.runs import files
from fastmri_cls.runs.history import Epoch
from fastmri_cls.runs.metrics import ClassMetrics, RunMetrics, SetMetrics
from fastmri_cls.runs.protocol import PROTOCOLS
from tests.test_architecture import FLOORS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
INLINE = re.compile(r"(?<!`)`((?:fastmri-cls [a-z-]+ |python benchmarks/)[^`]*)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(page.read_text(encoding="utf-8")) if found == language]


def command_lines(page: Path) -> list[str]:
    """Shell lines of fenced blocks, and commands in the running text that have no placeholder."""
    lines = [line for block in blocks(page, "bash") for line in block.replace("\\\n", "").splitlines()]
    prose = BLOCK.sub("", page.read_text(encoding="utf-8")).replace("\\|", "|")
    inline = [text for text in INLINE.findall(prose) if not re.search(r"\b[A-Z]{3,}\b(?!\.)|\|[a-z]|…", text)]
    return [line for line in [*lines, *inline] if line.strip()]


LINES = [(page.relative_to(ROOT).as_posix(), line) for page in PAGES for line in command_lines(page)]


def parse(arguments: list[str]) -> None:
    """Parse `fastmri-cls ARGUMENTS...` as the command line does, without running it."""
    group = typer.main.get_command(app)
    with group.make_context("fastmri-cls", list(arguments)) as context:
        while hasattr(group, "commands"):
            name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
            assert command is not None
            if "--help" in rest:
                return
            context = command.make_context(name, rest, parent=context)
            if name == "study":
                _check_train_flags(tuple(context.args), Path("study"))
            group = command


@pytest.mark.parametrize(("page", "line"), LINES)
def test_a_command_line_of_the_documentation_parses(
    page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = shlex.split(line, comments=True)
    if words[0].isupper() and "=" in words[0]:  # VARIABLE=VALUE before a command
        words = words[1:]
    monkeypatch.chdir(tmp_path)
    for option, value in pairwise(words):
        if option == "--source":  # benchmarks look whether it exists
            Path(value).mkdir(parents=True, exist_ok=True)
        if option == "--config":  # is read first
            Path(value).parent.mkdir(parents=True, exist_ok=True)
            Path(value).write_text("data: mri\nmodel: small-cnn\n")
    if "|" in words:
        words = words[: words.index("|")]
    if "fastmri-cls" in words:
        parse(words[words.index("fastmri-cls") + 1 :] or ["--help"])
    elif words[0] == "scripts/launch-workers":
        parse(["train", *words[words.index("--") + 1 :]])
    elif words[0] == "python":
        assert (ROOT / words[1]).is_file()
    elif words[0].startswith("scripts/"):
        assert (ROOT / words[0]).is_file()
    else:
        assert words[0] in ("pip", "hf", "tensorboard", ".venv/bin/pytest", "pre-commit")


def test_there_are_command_lines_and_a_wrong_one_is_found() -> None:
    assert len(LINES) > 40
    with pytest.raises(typer._click.exceptions.UsageError):
        parse(["verify", "data", "--nonsense"])
    with pytest.raises(typer._click.exceptions.UsageError):
        parse(["study", "--data", "d", "--models", "m", "--out", "o", "--epochs", "3"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere_and_python_compiles(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in LINK.findall(text):
        if not target.startswith("http"):
            path, _, anchor = target.partition("#")
            linked = page.parent / path if path else page
            assert linked.exists(), target
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
            assert not anchor or anchor in {heading.lower().replace(" ", "-") for heading in headings}, target
    for block in blocks(page, "python"):
        ast.parse(block)


def test_the_reference_lists_every_command() -> None:
    text = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    for name in typer.main.get_command(app).commands:
        assert re.search(rf"^\| `{name}\b", text, re.MULTILINE), name


def test_the_reference_lists_every_public_name() -> None:
    text = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    for name in fastmri_cls.__all__:
        assert name.startswith("__") or re.search(rf"`(fc\.)?{name}\b", text), name


def test_the_reference_lists_every_field_of_a_protocol_with_its_default() -> None:
    text = (ROOT / "docs" / "reference" / "protocols.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in row.split("|")[1:3]] for row in text.splitlines() if row.count("|") == 4]
    listed = {
        name.strip("`"): value.strip("`")
        for names, values in rows
        for name, value in zip(names.split(", "), values.split(", "), strict=False)
    }
    for name, value in json_files.flatten(asdict(PROTOCOLS["strict"])):
        assert name == "name" or listed[name] == str(value).lower() or float(listed[name]) == value, name


def test_the_extras_are_listed() -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    for page in ("README.md", "docs/getting-started.md"):
        named = set(re.findall(r"`(\w+)`", (ROOT / page).read_text(encoding="utf-8")))
        assert extras - {"dev", "fuzz"} <= named, page


@pytest.mark.slow
def test_the_reference_names_only_arguments_that_exist() -> None:
    text = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    calls = re.findall(r"`(\w+)\(([^`]*)\)`", text[text.index("| name |") :])
    assert len(calls) > 12
    for name, given in calls:
        function = getattr(fastmri_cls if name in fastmri_cls.__all__ else fastmri_cls.Dataset, name)
        known = inspect.signature(function).parameters
        for argument in filter(None, given.replace("...", "").split(", ")):
            assert argument.partition("=")[0] in known, f"{name}({argument})"


def test_the_reference_names_every_file_of_a_run_and_every_column_and_metric() -> None:
    text = (ROOT / "docs" / "reference" / "files.md").read_text(encoding="utf-8")
    words = {word for span in re.findall(r"`([^`]+)`", text) for word in re.split(r"[^\w.-]+", span)}
    names = {value for name, value in vars(files).items() if name.isupper() and isinstance(value, str)}
    names -= {files.OLD_OOD_REFERENCE}
    names |= {part.name for kind in (Epoch, RunMetrics, SetMetrics, ClassMetrics) for part in fields(kind)}
    names |= {"source", "filename", "label", "prediction", "split", "group", "clean"}  # of predictions.csv
    names |= set(images_csv._COLUMNS)
    assert names - words == set()


def test_the_architecture_page_lists_every_room_in_the_order_of_the_imports() -> None:
    text = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    rows = [row.split("|")[1] for row in text.splitlines() if row.startswith("| `")]
    assert [name.removesuffix(".py") for row in rows for name in re.findall(r"`([\w.]+)`", row)] == list(FLOORS)


def test_the_readme_has_at_most_130_lines() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130
