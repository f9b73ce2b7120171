"""Reports as one HTML file that works offline, figures and style inside."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fastmri_cls.foundation.atomic import write_text
from fastmri_cls.report.tables import metric_cells, number, with_interval

TEMPLATES = Environment(
    loader=PackageLoader("fastmri_cls.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_run_report(
    path: Path, config: dict[str, Any], metrics: dict[str, Any], figures: Mapping[str, Path], dataset: dict[str, Any]
) -> None:
    """Write the report of one run.

    Args:
        config: the RUN's config.json. metrics: metrics.json. figures: title -> PNG file.
        dataset: `path`, `split`, `splits` {name: images} and `clean` {source: (clean, all)} of what was evaluated.
    """
    html = TEMPLATES.get_template("run.html").render(
        config=config,
        metrics=metrics,
        figures={title: data_uri(file.read_bytes()) for title, file in figures.items()},
        dataset=dataset,
        metric_cells=metric_cells,
        number=number,
        with_interval=with_interval,
    )
    write_text(path, html)


def data_uri(image: bytes, kind: str = "png") -> str:
    """Return an image file's content as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"
