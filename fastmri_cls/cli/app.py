"""The command line: the list of commands, and how an error becomes one line. Nothing heavy is imported here."""

import errno
import gc
import importlib.util
import os
import sys
from typing import Annotated

import typer

from fastmri_cls.cli import (
    audit,
    augment_preview,
    benchmark,
    build,
    cache,
    compare,
    demo,
    download,
    evaluate,
    export,
    predict,
    profile,
    pull,
    push,
    study,
    train,
    try_,
    verify,
    weights,
)
from fastmri_cls.cli.output import show_help
from fastmri_cls.foundation.errors import Stopped, UserError

app = typer.Typer(
    name="fastmri-cls",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        print(f"fastmri-cls {metadata.version('fastmri-cls')}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks, and TensorFlow's own log.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train image classifiers for brain MRI, or any other set of class folders: fast and without data leaks.

    Start with `fastmri-cls demo`. Every command has its own `--help` with an example.
    """
    show_help(context)
    if not debug:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


_INTERRUPTED = 130  # Typer's exit code for Ctrl-C, a shell's for SIGINT
_START, _DATA, _TRAIN, _USE, _MEASURE = "Start", "Data", "Train", "Use a model", "Measure"

app.command("demo", rich_help_panel=_START)(demo.demo)
app.command("download", rich_help_panel=_START)(download.download)
app.command("build-tfrecords", rich_help_panel=_DATA)(build.build_tfrecords)
app.command("audit", rich_help_panel=_DATA)(audit.audit)
app.command("verify", rich_help_panel=_DATA)(verify.verify)
app.command("augment-preview", rich_help_panel=_DATA)(augment_preview.augment_preview)
app.command("train", rich_help_panel=_TRAIN)(train.train)
app.command(
    "study", rich_help_panel=_TRAIN, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)(study.study)
app.add_typer(weights.app, name="weights", rich_help_panel=_TRAIN)
app.add_typer(cache.app, name="cache", rich_help_panel=_TRAIN)
app.command("predict", rich_help_panel=_USE)(predict.predict)
app.command("try", rich_help_panel=_USE)(try_.try_)
app.command("export", rich_help_panel=_USE)(export.export)
app.command("push", rich_help_panel=_USE)(push.push)
app.command("pull", rich_help_panel=_USE)(pull.pull)
app.command("evaluate", rich_help_panel=_MEASURE)(evaluate.evaluate)
app.command("compare", rich_help_panel=_MEASURE)(compare.compare)
app.add_typer(benchmark.app, name="benchmark", rich_help_panel=_MEASURE)
app.command("profile", rich_help_panel=_MEASURE)(profile.profile)


def main() -> None:
    """Run the command line; a UserError is one line on stderr and exit code 1."""
    if importlib.util.find_spec("fcntl") is None:
        sys.exit("fastmri-cls: error: native Windows is not supported; install and run fastmri-cls in WSL2")
    from fastmri_cls.foundation.progress import show_log

    # Python looks for garbage after every 700 new objects; importing TensorFlow makes 400,000 that stay. Looking for
    # garbage among them took 1.0 of the import's 5.5 seconds (2026-11, two CPU cores).
    gc.set_threshold(50_000, 20, 20)
    show_log()
    try:
        app()
    except _failures() as error:
        if "--debug" in sys.argv:
            raise
        print(f"fastmri-cls: error: {_one_line(error)}", file=sys.stderr)
        sys.exit(1)
    except Stopped as stop:
        print(f"fastmri-cls: {stop}", file=sys.stderr)
        sys.exit(stop.exit_code)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            print("fastmri-cls: interrupted", file=sys.stderr)
        raise


def _failures() -> tuple[type[Exception], ...]:
    """Return the exceptions that are no fault of the program: TensorFlow's on files, memory and devices included."""
    tensorflow = sys.modules.get("tensorflow")
    return (UserError, OSError, MemoryError, *((tensorflow.errors.OpError,) if tensorflow else ()))


def _one_line(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "out of memory; close other programs, or try --workers 1, --cache none or a smaller --batch-size"
    if isinstance(error, OSError):
        cure = "; free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        reason = " ".join(str(error.strerror or error).split())
        return f"{error.filename or 'a file'}: {reason}{cure}"
    # TensorFlow appends the nodes of the graph, many lines.
    text = str(error) if isinstance(error, UserError) else str(getattr(error, "message", error))[:300]
    return " ".join(text.split())
