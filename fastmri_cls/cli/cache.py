"""`fastmri-cls cache`: what the features of `train --feature-views` take on disk."""

import json
import time

import typer

from fastmri_cls.cli.output import AsJson, print_document, show_help

app = typer.Typer(
    invoke_without_command=True,
    callback=show_help,
    help="List or remove the cached features of train --feature-views.\n\nExample: `fastmri-cls cache list`",
)


@app.command("list")
def list_views(as_json: AsJson = False) -> None:
    """Show every cached view with its size and the time of its last use, the least recently used first.

    Example: `fastmri-cls cache list`
    """
    from fastmri_cls.training.feature_cache import cached_views, features_directory

    views = cached_views()
    for view in views:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(view.last_used))
        print(f"{_megabytes(view.bytes):>12}  {used}  {view.path.name}")
    print(f"{_megabytes(sum(view.bytes for view in views)):>12}  in {len(views)} views, {features_directory()}")
    if as_json:
        rows = [{"path": str(view.path), "bytes": view.bytes, "last_used": view.last_used} for view in views]
        print_document(json.dumps({"cache": str(features_directory()), "views": rows}))


@app.command()
def clear(as_json: AsJson = False) -> None:
    """Remove all cached views; a training that needs them computes them again. Weights files stay.

    Example: `fastmri-cls cache clear`
    """
    from fastmri_cls.training.feature_cache import clear, features_directory

    removed = clear()
    size = sum(view.bytes for view in removed)
    print(f"removed {len(removed)} views, {_megabytes(size)}, from {features_directory()}")
    if as_json:
        print_document(json.dumps({"removed": len(removed), "bytes": size}))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
