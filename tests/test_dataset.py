"""Dataset: opening, checking, and reading the stored records back."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.errors import UserError


@pytest.fixture(scope="module")
def opened(dataset) -> Dataset:
    return Dataset(dataset)


def written(opened: Dataset, splits: list[str]) -> list[dict[str, object]]:
    """Every record of `splits` by the protocol buffer itself."""
    shards = [str(opened.path / shard.name) for split in splits for shard in opened.splits[split].shards]
    found = []
    for record in tf.data.TFRecordDataset(shards).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        found.append(
            {name: (feature.bytes_list.value or feature.int64_list.value)[0] for name, feature in features.items()}
        )
    return found


def test_records_are_the_stored_images_with_their_facts(opened):
    splits = ["val", *opened.manifest.test_splits]
    expected = written(opened, splits)
    batches = list(opened.records(splits, batch_size=7))
    images = np.concatenate([images for images, _ in batches])
    assert images.shape == (opened.count(splits), 64, 64, 1)
    assert [image.tobytes() for image in images] == [record["image/encoded"] for record in expected]  # raw encoding
    for facts in ([facts for _, facts in batches], [opened.facts(splits)]):
        for column, feature in (("labels", "class/label"), ("groups", "group"), ("clean", "clean")):
            found = np.concatenate([getattr(one, column) for one in facts])
            np.testing.assert_array_equal(found, [record[f"image/{feature}"] for record in expected])
        for column, feature in (
            ("sources", "source"), ("filenames", "filename"), ("sha256", "sha256"), ("class_names", "class/text")
        ):  # fmt: skip
            found = np.concatenate([getattr(one, column) for one in facts])
            assert found.tolist() == [record[f"image/{feature}"].decode() for record in expected]
    assert opened.facts(splits).splits.tolist() == [s for s in splits for _ in range(opened.count(s))]


def test_chosen_images_come_in_the_order_asked_for(opened):
    splits = ["train", "val"]
    images = np.concatenate([images for images, _ in opened.records(splits)])
    last = len(images) - 1
    chosen = [last, 3, 0, 3]
    np.testing.assert_array_equal(opened.images(splits, chosen), images[chosen])
    assert opened.images(splits, []).shape == (0, 64, 64, 1)
    with pytest.raises(UserError, match=f"no number {last + 1}"):
        opened.images(splits, [last + 1])


def test_no_split_gives_no_facts(opened):
    assert len(opened.facts([])) == 0


def test_an_unknown_split_is_refused_with_those_there_are(opened):
    for use in (opened.count, opened.facts, opened.records, opened.examples):
        with pytest.raises(UserError, match=r"has no split trian; choose from train, val, test\.alpha, test\.beta$"):
            use("trian")


def test_a_changed_shard_is_refused_before_its_first_record_is_read(opened, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(opened.path, copy)
    shard = copy / opened.splits["train"].shards[0].name
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    unread = Dataset(copy)
    for use in (unread.facts, unread.records, unread.examples, lambda split: unread.images(split, [0])):
        with pytest.raises(UserError, match=shard.name):
            use("val")
    with pytest.raises(UserError, match=shard.name):
        Dataset(copy, verify=True)


def test_a_notebook_shows_the_images_by_split_and_class(opened):
    shown = opened._repr_html_()
    rows = re.findall(r"<tr><th>(.*?)</th>(.*?)</tr>", shown.split("<tbody>")[1])
    assert [name for name, _ in rows] == list(opened.splits)
    train = [int(cell) for cell in re.findall(r"<td>(\d+)</td>", rows[0][1])]
    counts = np.bincount(opened.facts("train").labels, minlength=4).tolist()
    assert train == [*counts, sum(counts)]
    assert f"train {sum(counts)}" in repr(opened)


def test_names_are_escaped_in_html(opened, tmp_path):
    strange = tmp_path / "<b>brains"
    strange.symlink_to(opened.path)
    assert "<b>" not in Dataset(strange)._repr_html_()


def test_opening_loads_no_tensorflow(dataset):
    code = f"import sys; from fastmri_cls.dataset import Dataset; print(Dataset({str(dataset)!r}, verify=True));"
    result = subprocess.run(
        [sys.executable, "-c", code + "assert 'tensorflow' not in sys.modules"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
