"""The whole protocol beside the notebooks': the same few images, every epoch of both phases, on a tiny backbone."""

import os
from functools import partial

import numpy as np
import pytest
from PIL import Image

from fastmri_cls.benchmark import two_phase
from fastmri_cls.runs.protocol import resolve_protocol
from fastmri_cls.sources.phantom import CLASSES, draw_phantom
from tests.tiny_backbone import tiny  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("tiny")
def test_three_ways_train_the_same_images_to_the_last_epoch(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for label in CLASSES:
        (tmp_path / label).mkdir()
        for number in range(10):
            Image.fromarray(draw_phantom(label, rng, 64)[0]).save(tmp_path / label / f"{number}.png")
    seen = {}

    def fit(model, training, *, validation_data, epochs, **_):
        seen["notebook"] = seen.get("notebook", 0) + epochs
        seen["images"] = training.samples, validation_data.samples
        return original(model, training, validation_data=validation_data, epochs=epochs, verbose=0)

    def train(options):
        seen[options.feature_views] = options.protocol.phase1.max_epochs + options.protocol.phase2.max_epochs
        wanted = options.protocol.phase1.early_stopping_patience, options.protocol.phase2.early_stopping_patience
        assert min(wanted) > 100
        return trained(options)

    original, trained = two_phase.keras.Model.fit, two_phase.train
    monkeypatch.setattr(two_phase.keras.Model, "fit", fit)
    monkeypatch.setattr(two_phase, "train", train)
    short = partial(resolve_protocol, changes={"phase1_epochs": 2, "phase2_epochs": 1, "batch_size": 16})
    monkeypatch.setattr(two_phase, "resolve_protocol", lambda name, _: short(name))
    monkeypatch.delenv("FASTMRI_CLS_CACHE", raising=False)

    rows = two_phase.benchmark_protocol(tmp_path, "tiny", images=32, views=2)

    assert "FASTMRI_CLS_CACHE" not in os.environ
    assert [row.name for row in rows] == ["notebook", "live", "feature-views-2"]
    assert [row.ratio for row in rows] == [rows[0].seconds / row.seconds for row in rows]
    assert seen == {"notebook": 3, "images": (32, 8), 0: 3, 2: 3}
