"""Slices to copy, and what a fingerprint of a changed copy is."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from fastmri_cls.sources.phantom import CLASSES, draw_phantom


@pytest.fixture(scope="session")
def slices() -> list[np.ndarray]:
    """24 different phantom slices of all classes, uint8 [240, 240]."""
    rng = np.random.default_rng(7)
    return [draw_phantom(CLASSES[number % 4], rng, 240)[0] for number in range(24)]


@pytest.fixture(scope="session")
def reencoded() -> Callable[..., np.ndarray]:
    """Resize pixels to `size` and send them through a JPEG of `quality`."""

    def change(pixels: np.ndarray, size: int, quality: int) -> np.ndarray:
        buffer = io.BytesIO()
        Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer))

    return change
