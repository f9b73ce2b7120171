"""The three backbones of the paper on real scans, both phases, from weights files of the published format."""

import csv
import json
import shutil
from pathlib import Path

import h5py
import keras
import pytest
from keras.src.legacy.saving import legacy_h5_format

from fastmri_cls.models.registry import find_backbone

pytestmark = pytest.mark.slow

PER_CLASS = 8


@pytest.fixture(scope="module")
def subset(real_data, cli, tmp_path_factory) -> Path:
    """A dataset of a few real scans of each class and source, 64 px."""
    folder = tmp_path_factory.mktemp("subset")
    for source in ("nickparvar", "bhuvaji"):
        for split in ("Training", "Testing"):
            for place in sorted((real_data / source / split).iterdir()):
                target = folder / source / split / place.name
                target.mkdir(parents=True)
                for path in sorted(place.iterdir())[:: 40 if split == "Training" else 10][:PER_CLASS]:
                    shutil.copy(path, target)
    result = cli(
        "build-tfrecords", folder / "nickparvar", folder / "bhuvaji", "--split", "published", "--image-size", 64,
        "--out", folder / "dataset",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return folder / "dataset"


@pytest.mark.real
@pytest.mark.parametrize("name", ["densenet121-imagenet", "efficientnetv2s", "convnext-tiny"])
def test_both_phases_of_a_published_backbone_run_on_real_scans(subset, cli, tmp_path, name):
    keras.utils.set_random_seed(0)
    backbone = find_backbone(name)
    weights = tmp_path / "published.h5"
    with h5py.File(weights, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, (backbone.upstream or backbone.build)((64, 64, 3)))
    run = tmp_path / "run"
    result = cli(
        "train", "--data", subset, "--model", name, "--weights", weights, "--protocol", "paper", "--out", run,
        "--batch-size", 16, "--phase1-epochs", 1, "--phase2-epochs", 1, "--precision", "float32", "--xla", "off",
        timeout=500,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    with (run / "history.csv").open(newline="") as file:
        assert [row["phase"] for row in csv.DictReader(file)] == ["1", "2"]
    assert {"nickparvar", "bhuvaji", "pooled", "mean"} <= set(json.loads((run / "metrics.json").read_text())["tests"])
