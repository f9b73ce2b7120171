"""`fastmri-cls weights`: list, fetch and verify pretrained weights."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.completion import complete_model
from fastmri_cls.cli.output import AsJson, print_document, show_help
from fastmri_cls.foundation.quiet import import_tensorflow

app = typer.Typer(
    invoke_without_command=True,
    callback=show_help,
    help="List, fetch and verify pretrained weights.\n\nExample: `fastmri-cls weights fetch efficientnetv2s`",
)


@app.command("list")
def list_weights(as_json: AsJson = False) -> None:
    """List the published weights of every backbone: origin, size, checksum, and whether they are ready for use.

    Example: `fastmri-cls weights list`
    """
    import_tensorflow()
    from fastmri_cls.foundation.cache import cache_directory
    from fastmri_cls.models.pretrained import all_sets

    rows = [published.describe() for published in all_sets()]
    if as_json:
        print_document(json.dumps({"cache": str(cache_directory()), "weights": rows}))
        return
    for row in rows:
        print(f"{row['model']}  --weights {row['set']}")
        print(f"  from      {row['origin']}")
        print(f"  file      {row['file']}" + (f", {row['bytes'] / 1e6:.1f} MB" if row["bytes"] else ""))
        print(f"  checksum  {row['checksum'] or 'none published'}")
        print(f"  ready     {row['path'] if row['ready'] else 'no: ' + row['how']}")


@app.command()
def fetch(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", help="Models as named by `weights list`.", autocompletion=complete_model),
    ],
    as_json: AsJson = False,
) -> None:
    """Download the published weights of models to the cache, where `train` finds them. Resumes, and checks checksums.

    Example: `fastmri-cls weights fetch densenet121-imagenet convnext-tiny`
    """
    import_tensorflow()
    from fastmri_cls.models.pretrained import fetch
    from fastmri_cls.models.registry import find_backbone

    files = []
    for name in names:
        for weights in find_backbone(name).weights.values():
            path = fetch(name, weights)
            files.append({"model": name, "path": str(path), "bytes": path.stat().st_size})
            print(f"{name}: {path}")
    if not files:
        print("nothing to fetch: there are no published weights for a model that is trained from scratch")
    if as_json:
        print_document(json.dumps({"files": files}))


@app.command()
def verify(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="Weights files; by default all that are ready.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model they are for; not needed for published files.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check weights files: published checksum, nothing dangerous inside, and that they load into their model.

    Example: `fastmri-cls weights verify Downloads/RadImageNet-DenseNet121_notop.h5`
    """
    import_tensorflow()
    from fastmri_cls.foundation.cache import cache_directory
    from fastmri_cls.foundation.errors import UserError
    from fastmri_cls.models.pretrained import all_sets, find_set
    from fastmri_cls.models.weights import verify_file

    here = [published.path for published in all_sets() if published.path.exists()]
    if not (paths or here):
        print(f"{cache_directory()}: has no weights; fetch some with weights fetch NAME")
    files: list[dict[str, str | None]] = []
    for path in paths or here:
        name, weights = find_set(path, model)
        try:
            checksum, problem = verify_file(path, name, weights), None
            print(f"{path}: {checksum}; loads into {name}")
        except UserError as error:
            checksum, problem = None, " ".join(str(error).split())
            print(problem)
        files.append({"path": str(path), "model": name, "checksum": checksum, "problem": problem})
    if as_json:
        print_document(json.dumps({"files": files}))
    if any(file["problem"] for file in files):
        raise typer.Exit(1)
