"""Reports as one HTML file that works offline: style and pictures are inside."""

import base64
import io
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np
from PIL import Image

from fastmri_cls.foundation.atomic import write_text
from fastmri_cls.foundation.templates import render

_JPEG_QUALITY = 85  # about 6 kB for a picture of 224 x 224 pixels


def write_page(path: Path, template: str, **values: object) -> None:
    """Write a page from a template that extends report/templates/base.html.

    Args:
        path: the HTML file.
        template: its path in the package.
        values: what the template needs; `title` among them.
    """
    made = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "version": metadata.version("fastmri-cls")}
    write_text(path, render(template, **values, made=made))


def data_uri(image: bytes, kind: str = "png") -> str:
    """Return the content of an image file as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"


def jpeg_uri(pixels: np.ndarray, largest: int | None = None) -> str:
    """Return pixels as the address of a JPEG picture.

    Args:
        pixels: uint8 [height, width] or [height, width, 1 or 3].
        largest: pixels of the longer side; larger pictures are reduced.
    """
    is_grey = pixels.ndim == 3 and pixels.shape[2] == 1
    picture = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if is_grey else pixels))
    if largest:
        picture.thumbnail((largest, largest))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=_JPEG_QUALITY)
    return data_uri(out.getvalue(), "jpeg")
