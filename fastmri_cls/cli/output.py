"""What commands share about their output: the option --json, commands to run next, PNG files, the help of a group."""

import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, TextIO

import typer

from fastmri_cls.foundation.errors import UserError

_document_stream: TextIO | None = None


def _send_text_to_stderr(context: typer.Context, wanted: bool) -> bool:
    """Keep stdout for the JSON document until the command ends."""
    global _document_stream
    if wanted:
        _document_stream = sys.stdout
        context.with_resource(redirect_stdout(sys.stderr))
    return wanted


AsJson = Annotated[
    bool,
    typer.Option(
        "--json", callback=_send_text_to_stderr, help="Print one JSON document to stdout, and all text to stderr."
    ),
]


def print_document(text: str) -> None:
    """Print the JSON document that --json asks for; a command calls it once."""
    print(text, file=_document_stream)


def command_line(*words: object) -> str:
    """Return a command of this program as a shell takes it, with paths quoted where they need it."""
    return shlex.join(["fastmri-cls", *map(str, words)])


def check_png(flag: str, path: Path) -> None:
    """Refuse a file to draw to that is no PNG by its name.

    Raises:
        UserError: see above; matplotlib chooses the format by the suffix, and adds one where there is none.
    """
    if path.suffix != ".png":
        raise UserError(f"{flag} {path}: is not a PNG file; give a name that ends in .png")


def show_help(context: typer.Context) -> None:
    """Print the help of a group and exit with 0 if it is called without a command."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit
