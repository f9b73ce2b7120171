"""`augment-preview`: a picture for any policy, a clear line for what cannot be drawn."""

import numpy as np
import pytest
from PIL import Image

from fastmri_cls.dataset import Dataset
from fastmri_cls.report.augmented import augmented_grid


@pytest.mark.slow
def test_the_grid_is_written_as_png(cli, dataset, tmp_path):
    done = cli("augment-preview", "--data", dataset, "--augment", "paper+flip", "--out", tmp_path / "grid.png")
    assert done.returncode == 0, done.stderr
    pixels = np.asarray(Image.open(tmp_path / "grid.png"))
    assert pixels.shape[1] > pixels.shape[0] > 200
    assert pixels.std() > 10


def test_the_grid_shows_each_class_as_stored_and_in_four_draws(dataset):
    figure = augmented_grid(Dataset(dataset), "mixup")
    shown = [axes.images[0].get_array() for axes in figure.axes]
    assert len(shown) == len(Dataset(dataset).classes) * 5
    assert [axes.get_ylabel() for axes in figure.axes[::5]] == list(Dataset(dataset).classes)
    assert all(not np.array_equal(shown[0], draw) for draw in shown[1:5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--augment", "cutout"), "--augment cutout: unknown"),
        (("--out", "grid.jpg"), "--out grid.jpg: is not a PNG file"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_line(cli, dataset, arguments, message):
    done = cli("augment-preview", "--data", dataset, "--out", "grid.png", *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
