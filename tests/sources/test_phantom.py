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


def test_visibility_scales_the_contrast_of_the_lesion_alone() -> None:
    contrasts = []
    for visibility in (0.0, 0.25, 1.0):
        image, lesion = draw_phantom("meningioma", np.random.default_rng(1), 128, visibility=visibility)
        whole, _ = draw_phantom("meningioma", np.random.default_rng(1), 128)
        far = ~(np.abs(image.astype(int) - whole) > 40) | lesion
        assert far.mean() > 0.99
        contrasts.append(image[lesion].mean() - whole[lesion].mean())
    assert contrasts[0] < contrasts[1] < contrasts[2] == 0
    assert contrasts[1] == pytest.approx(0.75 * contrasts[0], rel=0.05)


def test_the_two_sources_hold_good_images_and_three_bad_ones(phantom_sources: dict[str, Path]) -> None:
    bad = []
    for folder in phantom_sources.values():
        for path in sorted(folder.rglob("*.*")):
            try:
                assert decode(path).ndim == 2
            except RejectedImage:
                bad.append(path.name)
    assert sorted(bad) == ["Thumbs.db", "cut off.jpg", "empty.jpg", "notes.png"]
