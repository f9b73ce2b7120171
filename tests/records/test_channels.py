"""Colour in a dataset: kept where it is part of the set or asked for; where a mark is stored as grey it is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastmri_cls.records.manifest import read_manifest
from fastmri_cls.records.verify import find_problems
from tests.records.conftest import Build, draw, options, records, save

PUBLISHED = options(method="published")


def lamp(number: int, colour: tuple[int, int, int] | None) -> np.ndarray:
    """Return a grey cloud in three channels, with a coloured square of 3 % of the image."""
    pixels = np.stack([draw(number)] * 3, axis=-1)
    if colour is not None:
        pixels[20:33, 30:43] = colour
    return pixels


def make(root: Path, coloured: int) -> Path:
    for number in range(48):
        split = "Training" if number < 36 else "Testing"
        name, colour = [("red", (200, 40, 40)), ("green", (40, 200, 40))][number % 2]
        save(root / split / name / f"{number:02}.png", lamp(number, colour if number < coloured else None))
    return root


def stored(out: Path, channels: int) -> np.ndarray:
    found = records(out, "train") + records(out, "val")
    return np.stack([np.frombuffer(r["image/encoded"], np.uint8).reshape(32, 32, channels) for r in found])


@pytest.mark.parametrize("channels", ["auto", "3"])
def test_a_set_whose_images_have_small_coloured_parts_keeps_them(tmp_path: Path, build: Build, channels: str) -> None:
    manifest = build([make(tmp_path / "lamps", 48)], replace(PUBLISHED, channels=channels))
    assert manifest.channels == 3
    assert manifest.notes == {}
    images = stored(tmp_path / "out", 3).astype(int)
    assert (np.abs(images[..., 0] - images[..., 1]).max(axis=(1, 2)) > 100).all()


def test_a_rare_coloured_mark_is_stored_as_grey_and_said(
    tmp_path: Path, build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = build([make(tmp_path / "lamps", 3)], PUBLISHED)
    assert manifest.channels == 1
    assert manifest.notes == {"colour_dropped": {"files": 3, "amount": 3, "first": "lamps/Training/green/01.png"}}
    assert read_manifest(tmp_path / "out").notes == manifest.notes
    (line,) = [line for line in caplog.messages if "--channels 3" in line]
    assert "3 files (the first: lamps/Training/green/01.png)" in line


def test_a_mark_keeps_its_colour_where_another_image_makes_the_set_coloured(tmp_path: Path, build: Build) -> None:
    root = make(tmp_path / "lamps", 2)
    photo = np.stack([draw(100), draw(101), draw(102)], axis=-1)
    save(root / "Training" / "red" / "photo.png", photo)
    manifest = build([root], PUBLISHED)
    assert manifest.channels == 3
    images = stored(tmp_path / "out", 3).astype(int)
    assert (np.abs(images[..., 0] - images[..., 1]).max(axis=(1, 2)) > 100).sum() == 3
    assert find_problems(tmp_path / "out", manifest) == []


def test_a_copied_source_of_a_coloured_set_is_not_taken_for_changed(tmp_path: Path, build: Build) -> None:
    root = make(tmp_path / "lamps", 48)
    manifest = build([root], PUBLISHED)
    for path in root.rglob("*.png"):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    assert find_problems(tmp_path / "out", manifest) == []
