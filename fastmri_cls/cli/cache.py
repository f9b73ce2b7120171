"""`fastmri-cls cache`: what trainings and the hub keep on disk."""

import json
import time

import typer

from fastmri_cls.cli.output import AsJson, print_document, show_help
from fastmri_cls.foundation.cache import DATASETS, HUB_RUNS, VIEWS, cache_directory

_KINDS = {"views": VIEWS, "datasets": DATASETS, "hub": HUB_RUNS}  # by the keys of the JSON

app = typer.Typer(
    invoke_without_command=True,
    callback=show_help,
    help="List or remove cached feature views, datasets and RUNs of the hub.\n\nExample: `fastmri-cls cache list`",
)


@app.command("list")
def list_folders(as_json: AsJson = False) -> None:
    """Show the features of --feature-views, the datasets of train --data FOLDER, and the RUNs of hf:// addresses.

    Each has its size and the time of its last use, the least recently used first.

    Example: `fastmri-cls cache list`
    """
    found = {name: kind.folders() for name, kind in _KINDS.items()}
    for name, kind in _KINDS.items():
        for folder in found[name]:
            used = time.strftime("%Y-%m-%d %H:%M", time.localtime(folder.last_used))
            print(f"{_megabytes(folder.bytes):>12}  {used}  {folder.path.relative_to(kind.directory)}")
        size = sum(folder.bytes for folder in found[name])
        what = f"{len(found[name])} RUNs" if kind is HUB_RUNS else f"{len(found[name])} {name}"
        print(f"{_megabytes(size):>12}  in {what}, {kind.directory}")
    if as_json:
        rows = {
            name: [{"path": str(f.path), "bytes": f.bytes, "last_used": f.last_used} for f in folders]
            for name, folders in found.items()
        }
        print_document(json.dumps({"cache": str(VIEWS.directory), **rows}))


@app.command()
def clear(as_json: AsJson = False) -> None:
    """Remove all of them; what needs one makes it or downloads it again. Weights files stay.

    Example: `fastmri-cls cache clear`
    """
    removed = [folder for kind in _KINDS.values() for folder in kind.clear()]
    size = sum(folder.bytes for folder in removed)
    print(f"removed {len(removed)} folders, {_megabytes(size)}, from {cache_directory()}")
    if as_json:
        print_document(json.dumps({"removed": len(removed), "bytes": size}))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
