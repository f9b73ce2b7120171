"""The two public sets as they are: their counts, and what a published split says about its leakage."""

from collections import Counter
from pathlib import Path

import pytest

from fastmri_cls.foundation.cpu import available_cores
from fastmri_cls.records.build import build_dataset
from fastmri_cls.records.images_csv import read_images_csv
from fastmri_cls.records.manifest import Manifest
from fastmri_cls.records.options import BuildOptions, SplitOptions
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import parse_sources

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def published(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    out = tmp_path_factory.mktemp("real") / "published"
    sources = parse_sources([str(real_data / "nickparvar"), str(real_data / "bhuvaji")])
    options = BuildOptions(image_size=64, splitting=SplitOptions("published"))
    return out, build_dataset(sources, ClassNames(), options, out, workers=available_cores())


def test_the_published_split_has_the_published_counts(published: tuple[Path, Manifest]) -> None:
    _, manifest = published
    assert manifest.classes == ("glioma", "meningioma", "notumor", "pituitary")
    assert manifest.channels == 1
    assert manifest.rejected == []
    training = Counter(manifest.splits["train"].per_class) + Counter(manifest.splits["val"].per_class)
    assert training == {"glioma": 2147, "meningioma": 2161, "notumor": 1986, "pituitary": 2284}  # 8578 in all
    assert manifest.splits["val"].num_examples == pytest.approx(8578 / 5, abs=20)
    assert manifest.splits["test.nickparvar"].per_class == {
        "glioma": 300, "meningioma": 306, "notumor": 405, "pituitary": 300,
    }  # fmt: skip
    assert manifest.splits["test.bhuvaji"].per_class == {
        "glioma": 100, "meningioma": 115, "notumor": 105, "pituitary": 74,
    }  # fmt: skip


def test_most_published_test_images_are_not_clean_and_training_is_disjoint(published: tuple[Path, Manifest]) -> None:
    out, manifest = published
    rows = read_images_csv(out)
    tests = [row for row in rows if row.split == "test"]
    assert sum(row.clean for row in tests) < len(tests) / 2  # facts: most have a near copy in training
    groups = {split: {row.group for row in rows if row.split == split} for split in ("train", "val")}
    assert not groups["train"] & groups["val"]
    assert manifest.duplicates["straddling"] > 100
