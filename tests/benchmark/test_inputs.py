"""What `benchmark input` compares is comparable: everybody delivers the same kind of batch."""

from itertools import islice

import numpy as np
import pytest

from fastmri_cls.benchmark import baselines
from fastmri_cls.benchmark.baselines import MEAN, STD
from fastmri_cls.benchmark.inputs import class_folder, floors, open_tier, prepare
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.pipeline.tiers import TIERS


@pytest.fixture(scope="module")
def material(phantom_sources):
    """Some of the phantoms' files are broken."""
    with prepare(next(iter(phantom_sources.values())), "jpeg") as made:
        yield made


def levels(images):
    return (np.asarray(images) * STD + MEAN) * 255


@pytest.mark.slow
@pytest.mark.parametrize("make", [baselines.generator, baselines.keras_directory, baselines.keras_cv_chain])
def test_a_peer_delivers_normalised_rgb_batches(make, material):
    for images, labels in islice(make(material.files).open(), 2):
        if len(images) == 32:  # a pass of theirs may end in a smaller one
            assert images.shape == (32, 224, 224, 3)
        assert labels.shape[1] == 4
        assert np.asarray(images).dtype == np.float32
        assert 10 < levels(images).mean() < 200
        np.testing.assert_allclose(np.ptp(levels(images), axis=3), 0, atol=1.0)  # grey, so the channels agree


@pytest.mark.slow
def test_tiers_deliver_the_same_images_normalised_and_new_in_each_round(material):
    for name in TIERS:
        tier = open_tier(material.dataset, name)
        first, second = (list(islice(tier.open(), 2)) for _ in range(2))
        images, targets = first[0]
        assert images.shape == (32, 224, 224, 3)
        assert images.dtype == np.float32
        assert targets.shape == (32, 4)
        grey = levels(images)
        np.testing.assert_allclose(np.ptp(grey, axis=3), 0, atol=0.01)
        # Contrast x1.5 about the mean leaves each image's mean a mean of whole levels within 0..255.
        assert 10 < grey.mean() < 200
        assert not np.array_equal(images, second[0][0])


def test_floors_read_every_byte_and_write_a_whole_batch(material):
    read, copy = floors(material.dataset)
    size = sum(shard.bytes for shard in material.dataset.splits["train"].shards)
    chunks = list(islice(read.open(), -(-material.dataset.count("train") // 32)))
    assert sum(map(len, chunks)) == pytest.approx(size, rel=0.1)
    assert next(copy.open()).nbytes == 32 * 224 * 224 * 3 * 4


def test_a_folder_without_classes_is_refused(tmp_path):
    with pytest.raises(UserError, match="no class folders in it; give a folder of class folders"):
        class_folder(tmp_path)
