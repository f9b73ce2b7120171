"""What commands share about their output: the option --json, and the help of a group called without a command."""

import sys
from contextlib import redirect_stdout
from typing import Annotated, TextIO

import typer

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


def show_help(context: typer.Context) -> None:
    """Print the help of a group and exit with 0 if it is called without a command."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit
