"""`fastmri-cls try`."""

from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.device import DeviceOption, import_tensorflow_for
from fastmri_cls.cli.output import AsJson, print_document


def try_(
    run: Annotated[Path, typer.Argument(help="A finished RUN folder, or hf://USER/NAME.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes any free one.")] = 0,
    device: DeviceOption = "auto",
    as_json: AsJson = False,
) -> None:
    """Serve a page on this machine: drop an image, see classes, heat map and similar training images.

    Only programs on this machine reach it. Nothing is stored, and nothing leaves the machine. Ctrl-C ends it.
    Research software, not a medical device.

    Example: `fastmri-cls try runs/first`
    """
    import json
    from importlib.util import find_spec

    from fastmri_cls.foundation.errors import UserError
    from fastmri_cls.foundation.extras import missing_extra

    if find_spec("nicegui") is None:
        raise UserError(f"try: {missing_extra('try')}")
    import_tensorflow_for(device)
    from fastmri_cls.hub.cached import open_run
    from fastmri_cls.inference.examiner import Examiner
    from fastmri_cls.inference.page import serve

    def announce(url: str) -> None:
        print(f"page: {url} (Ctrl-C ends it)", flush=True)
        if as_json:
            print_document(json.dumps({"page": url}))

    serve(Examiner(open_run(run), device), port, announce)
