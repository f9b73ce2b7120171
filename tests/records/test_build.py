"""From folders to shards: what a record holds, what is rejected, and what the folder says of itself."""

import hashlib
import json
import os
import shlex
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from fastmri_cls.foundation.templates import without_folders
from fastmri_cls.records.images_csv import read_images_csv
from fastmri_cls.records.manifest import read_manifest
from fastmri_cls.records.options import BuildOptions, SplitOptions
from fastmri_cls.sources.classes import read_classes
from tests.records.conftest import Build, MakeSource, draw, options, records, save, shard_bytes


def test_published_keeps_the_test_set_and_cuts_a_stratified_fifth_of_training(two_classes: Path, build: Build) -> None:
    manifest = build([two_classes], options(method="published"))
    assert {name: split.per_class for name, split in manifest.splits.items()} == {
        "train": {"a": 24, "b": 16},
        "val": {"a": 6, "b": 4},
        "test.one": {"a": 6, "b": 4},
    }


def test_a_record_holds_what_the_contract_names(two_classes: Path, build: Build, tmp_path: Path) -> None:
    build([two_classes], options(method="published"))
    record = next(r for r in records(tmp_path / "out", "test.one") if r["image/filename"] == b"Testing/b/01.png")
    image = Image.open(two_classes / "Testing/b/01.png")
    expected = image.resize((32, 32), Image.Resampling.BILINEAR)
    assert record["image/encoded"] == expected.tobytes()
    assert record["image/sha256"].decode() == hashlib.sha256(b"(72, 72)" + image.tobytes()).hexdigest()
    assert {key: record[f"image/{key}"] for key in ("format", "height", "width", "channels", "source")} == {
        "format": b"raw", "height": 32, "width": 32, "channels": 1, "source": b"one",
    }  # fmt: skip
    assert (record["image/class/label"], record["image/class/text"]) == (1, b"b")
    assert record["image/clean"] == 1


def test_grouped_pools_all_sources_and_names_tests_by_source(source: MakeSource, build: Build) -> None:
    sources = [source(name, {"Training/a": 20, "Testing/b": 20}) for name in ("one", "two")]
    manifest = build(sources)
    assert list(manifest.splits) == ["train", "val", "test.one", "test.two"]
    assert sum(split.num_examples for split in manifest.splits.values()) == 80
    for name in ("test.one", "test.two"):
        assert manifest.splits[name].per_class == pytest.approx({"a": 4, "b": 4}, abs=1)
    assert manifest.duplicates["straddling"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 3])
def test_shards_are_byte_identical_for_any_number_of_workers(
    phantom_sources: dict[str, Path], dataset: Path, build: Build, tmp_path: Path, workers: int
) -> None:
    build(list(phantom_sources.values()), BuildOptions(image_size=64), workers=workers)
    assert shard_bytes(tmp_path / "out") == shard_bytes(dataset)  # which one worker built


def test_another_seed_gives_another_split(two_classes: Path, build: Build, tmp_path: Path) -> None:
    first = build([two_classes], options(seed=0), out="first")
    second = build([two_classes], options(seed=1), out="second")
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize("encoding", ["png", "jpeg"])
def test_encodings_hold_the_same_image(two_classes: Path, build: Build, tmp_path: Path, encoding: str) -> None:
    build([two_classes], BuildOptions(image_size=32, encoding=encoding))
    record = records(tmp_path / "out", "val")[0]
    pixels = tf.io.decode_image(record["image/encoded"]).numpy()[..., 0]
    original = Image.open(two_classes / record["image/filename"].decode()).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.abs(pixels.astype(int) - np.asarray(original)).max() <= (0 if encoding == "png" else 12)


def test_one_colour_image_makes_all_images_rgb(two_classes: Path, build: Build, tmp_path: Path) -> None:
    colour = np.stack([draw(7), draw(8), draw(9)], axis=-1)
    save(two_classes / "Training/a/colour.png", colour)
    assert build([two_classes]).channels == 3
    for record in records(tmp_path / "out", "train"):
        pixels = np.frombuffer(record["image/encoded"], np.uint8).reshape(32, 32, 3)
        assert (pixels[..., 0] == pixels[..., 1]).all() == (record["image/filename"] != b"Training/a/colour.png")


def test_channels_1_makes_colour_grey(two_classes: Path, build: Build) -> None:
    save(two_classes / "Training/a/colour.png", np.stack([draw(7), draw(8), draw(9)], axis=-1))
    assert build([two_classes], BuildOptions(image_size=32, channels="1")).channels == 1


def test_shards_are_as_many_as_asked_and_even(two_classes: Path, build: Build) -> None:
    manifest = build([two_classes], BuildOptions(image_size=32, shards=4, splitting=SplitOptions("published")))
    assert [shard.num_examples for shard in manifest.splits["train"].shards] == [10, 10, 10, 10]
    assert manifest.splits["train"].shards[3].name == "train-00003-of-00004.tfrecord"


def test_names_with_spaces_and_unicode_and_nested_folders_arrive(
    two_classes: Path, build: Build, tmp_path: Path
) -> None:
    save(two_classes / "Testing/b/пациент 7/срез №1 ä.png", draw(999))
    build([two_classes], options(method="published"))
    names = {record["image/filename"].decode() for record in records(tmp_path / "out", "test.one")}
    assert "Testing/b/пациент 7/срез №1 ä.png" in names


def test_the_same_file_name_in_two_sources_is_two_images(source: MakeSource, build: Build, tmp_path: Path) -> None:
    sources = [source(name, {"Testing/a": 3, "Testing/b": 3}) for name in ("one", "two")]
    build(sources, options(method="published"))
    for name in ("one", "two"):
        found = records(tmp_path / "out", f"test.{name}")
        assert len(found) == 6
        assert {record["image/source"].decode() for record in found} == {name}


def test_bad_files_are_listed_with_their_reasons_and_cost_nothing_else(
    phantom_sources: dict[str, Path], dataset: Path
) -> None:
    manifest = read_manifest(dataset)
    reasons = {rejected["path"]: rejected["reason"] for rejected in manifest.rejected}
    assert set(reasons) == {
        "alpha/Training/pituitary/notes.png",
        "beta/Training/glioma_tumor/cut off.jpg",
        "beta/Training/no_tumor/empty.jpg",
    }
    assert "truncated" in reasons["beta/Training/glioma_tumor/cut off.jpg"]
    assert sum(source["num_files"] for source in manifest.sources) == 2 * 4 * 32 + 4


def test_a_file_name_that_is_no_text_is_rejected(two_classes: Path, build: Build) -> None:
    Image.fromarray(draw(1)).save(os.fsencode(str(two_classes / "Training" / "a")) + b"/\xff.png", "PNG")
    [rejected] = build([two_classes]).rejected
    assert rejected == {"path": "one/Training/a/\\xff.png", "reason": "its name is not UTF-8"}


def test_images_csv_lists_every_usable_image(dataset: Path) -> None:
    rows = read_images_csv(dataset)
    manifest = read_manifest(dataset)
    assert len(rows) == sum(source["num_files"] for source in manifest.sources)
    by_split = Counter(f"test.{row.source}" if row.split == "test" else row.split for row in rows if row.split)
    assert by_split == {name: split.num_examples for name, split in manifest.splits.items()}


def test_the_manifest_counts_what_the_shards_hold(dataset: Path) -> None:
    manifest = read_manifest(dataset)
    for name, split in manifest.splits.items():
        found = records(dataset, name)
        assert split.num_examples == len(found) == sum(shard.num_examples for shard in split.shards)
        assert Counter(record["image/class/text"].decode() for record in found) == split.per_class
        assert Counter(record["image/source"].decode() for record in found) == split.per_source


def test_training_images_are_mixed_on_disk(two_classes: Path, build: Build, tmp_path: Path) -> None:
    build([two_classes], options(method="published"))
    labels = [record["image/class/label"] for record in records(tmp_path / "out", "train")]
    assert labels != sorted(labels)


def test_the_command_in_dataset_json_rebuilds_the_same_shards(
    two_classes: Path, build: Build, tmp_path: Path, cli: Callable[..., object]
) -> None:
    (tmp_path / "my classes.txt").write_text("b\na\n")
    chosen = BuildOptions(
        image_size=40, resize="lanczos", splitting=SplitOptions("published", 0.25, leakage="drop", seed=3)
    )
    build([two_classes], chosen, read_classes(tmp_path / "my classes.txt"))
    command = json.loads((tmp_path / "out" / "dataset.json").read_text())["options"]["command"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert without_folders(command) in card
    assert str(tmp_path) not in card
    first = shard_bytes(tmp_path / "out")
    result = cli(*shlex.split(command)[1:], "--force", "--workers", 1)
    assert result.returncode == 0, result.stderr
    assert shard_bytes(tmp_path / "out") == first
