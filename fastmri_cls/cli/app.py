"""The command line: which commands there are, and how an error becomes one line. Nothing heavy is imported here."""

import errno
import os
import sys
from typing import Annotated

import typer

from fastmri_cls.cli import (
    audit,
    augment_preview,
    benchmark,
    build,
    compare,
    demo,
    download,
    evaluate,
    export,
    predict,
    profile,
    study,
    train,
    verify,
    weights,
)
from fastmri_cls.foundation.errors import Stopped, UserError

app = typer.Typer(
    name="fastmri-cls",
    help="Train brain-MRI (and any class-folder) image classifiers: fast, without leaks, with the evidence.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error, and TensorFlow's own log.")] = False,
) -> None:
    """Train brain-MRI (and any class-folder) image classifiers: fast, without leaks, with the evidence."""
    if not debug:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


app.command("demo")(demo.demo)
app.command("download")(download.download)
app.command("build-tfrecords")(build.build_tfrecords)
app.command("audit")(audit.audit)
app.command("verify")(verify.verify)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("study", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(study.study)
app.command("predict")(predict.predict)
app.command("export")(export.export)
app.command("profile")(profile.profile)
app.command("augment-preview")(augment_preview.augment_preview)
app.add_typer(weights.app, name="weights")
app.add_typer(benchmark.app, name="benchmark")


def main() -> None:
    """Run the command line; a UserError is one line on stderr and exit code 1."""
    try:
        app()
    except _failures() as error:
        if "--debug" in sys.argv:
            raise
        print(f"fastmri-cls: error: {_one_line(error)}", file=sys.stderr)
        sys.exit(1)
    except Stopped as stop:
        print(f"fastmri-cls: {stop}", file=sys.stderr)
        sys.exit(143)
    except KeyboardInterrupt:
        print("fastmri-cls: interrupted", file=sys.stderr)
        sys.exit(130)


def _failures() -> tuple[type[Exception], ...]:
    """What is no fault of the program: also what TensorFlow, if it runs, says of files, memory and devices."""
    tensorflow = sys.modules.get("tensorflow")
    return (UserError, OSError, MemoryError, *((tensorflow.errors.OpError,) if tensorflow else ()))


def _one_line(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "out of memory; close other programs, or try --workers 1, --cache none or a smaller --batch-size"
    if isinstance(error, OSError):
        cure = "; free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        reason = " ".join(str(error.strerror or error).split())
        return f"{error.filename or 'a file'}: {reason}{cure}"
    # TensorFlow appends the graph's nodes, over many lines.
    text = str(error) if isinstance(error, UserError) else str(getattr(error, "message", error))[:300]
    return " ".join(text.split())
