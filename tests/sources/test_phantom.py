"""The drawn slices are what the demo and the tests rely on."""

from pathlib import Path

import numpy as np
import pytest

from fastmri_cls.sources.decode import decode
from fastmri_cls.sources.phantom import CLASSES, draw_phantom
from fastmri_cls.sources.pixels import RejectedImage


@pytest.mark.parametrize("label", CLASSES)
def test_a_lesion_lies_in_the_head_and_only_where_the_class_has_one(label: str) -> None:
    image, lesion = draw_phantom(label, np.random.default_rng(0), 128)
    assert image.shape == lesion.shape == (128, 128)
    assert lesion.any() == (label != "notumor")
    assert image[~lesion].mean() < 128
    if lesion.any():
        assert image[lesion].mean() > image[~lesion].mean() + 40


def test_the_two_sources_hold_good_images_and_three_bad_ones(phantom_sources: dict[str, Path]) -> None:
    bad = []
    for folder in phantom_sources.values():
        for path in sorted(folder.rglob("*.*")):
            try:
                assert decode(path).ndim == 2
            except RejectedImage:
                bad.append(path.name)
    assert sorted(bad) == ["Thumbs.db", "cut off.jpg", "empty.jpg", "notes.png"]
