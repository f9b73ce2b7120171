"""From folders to shards: who is in which split, what is left out, what stops a build, and what the folder says."""

import csv
import hashlib
import json
import os
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.images_csv import read_images_csv
from fastmri_cls.records.manifest import Manifest, read_manifest
from fastmri_cls.records.options import BuildOptions, SplitOptions
from fastmri_cls.sources.folders import read_classes
from tests.records.conftest import draw, save

Build = Callable[..., Manifest]
MakeSource = Callable[[str, dict[str, int]], Path]


def options(**splitting: object) -> BuildOptions:
    return BuildOptions(image_size=32, splitting=SplitOptions(**splitting))


def records(directory: Path, split: str) -> list[dict[str, object]]:
    """Read a split's records with the protocol buffers alone."""
    found = []
    for path in sorted(directory.glob(f"{split}-*.tfrecord")):
        for serialized in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            features = tf.train.Example.FromString(serialized).features.feature
            found.append(
                {key: (list(f.bytes_list.value) or list(f.int64_list.value))[0] for key, f in features.items()}
            )
    return found


def shard_bytes(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.glob("*.tfrecord"))}


@pytest.fixture
def two_classes(source: MakeSource) -> Path:
    return source("one", {"Training/a": 30, "Training/b": 20, "Testing/a": 6, "Testing/b": 4})


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


# What stops a build


def test_more_than_5_percent_rejected_stops_unless_told_otherwise(
    two_classes: Path, build: Build, tmp_path: Path
) -> None:
    for number in range(4):
        (two_classes / "Training" / "a" / f"bad{number}.png").write_bytes(b"not an image")
    with pytest.raises(
        UserError, match=r"4 of 64 files cannot be used \(the first: .*bad0.png: no image.*--max-rejected"
    ):
        build([two_classes])
    assert not (tmp_path / "out").exists()
    assert len(build([two_classes], BuildOptions(image_size=32, max_rejected=0.1)).rejected) == 4


def test_a_class_none_of_whose_files_can_be_used_stops(two_classes: Path, build: Build) -> None:
    (two_classes / "Training" / "c").mkdir()
    (two_classes / "Training" / "c" / "bad.png").write_bytes(b"not an image")
    with pytest.raises(UserError, match=r"class c: none of its files can be used"):
        build([two_classes])


def test_a_source_that_lacks_a_class_stops_unless_told_otherwise(source: MakeSource, build: Build) -> None:
    sources = [source("one", {"a": 20, "b": 20, "c": 20}), source("two", {"a": 20, "b": 20})]
    with pytest.raises(UserError, match=r"source two: has no images of class c; .*--allow-missing-classes"):
        build(sources)
    manifest = build(sources, BuildOptions(image_size=32, allow_missing_classes=True))
    assert manifest.classes == ("a", "b", "c")


def test_a_source_without_one_good_file_stops(source: MakeSource, build: Build, tmp_path: Path) -> None:
    one = source("one", {"a": 40, "b": 40})
    (tmp_path / "two" / "a").mkdir(parents=True)
    (tmp_path / "two" / "a" / "bad.png").write_bytes(b"not an image")
    with pytest.raises(UserError, match="source two: has no images of class a, b"):
        build([one, tmp_path / "two"])


def test_one_class_alone_is_no_dataset(source: MakeSource, build: Build) -> None:
    with pytest.raises(UserError, match="only the class a was found"):
        build([source("one", {"a": 20})])


def test_a_class_that_ends_empty_stops(source: MakeSource, build: Build) -> None:
    one = source("one", {"Training/a": 20, "Training/b": 5, "Testing/a": 5, "Testing/b": 5})
    for index in range(5):  # every training image of b is in the test set too
        Image.open(one / f"Training/b/{index:02d}.png").save(one / f"Testing/b/{index:02d}.png")
    with pytest.raises(UserError, match=r"class b: no image of it is left for train \(repeats a test image\)"):
        build([one], options(method="published", leakage="drop"))


def test_a_class_of_the_classes_file_that_no_source_has_stops(two_classes: Path, build: Build, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    with pytest.raises(UserError, match="class c: no source has a folder of it"):
        build([two_classes], classes=read_classes(tmp_path / "classes.txt"))


def test_out_may_not_swallow_a_source_or_lie_in_one(two_classes: Path, build: Build) -> None:
    for out in ("one/dataset", "one", "."):
        with pytest.raises(UserError, match="overlaps source "):
            build([two_classes], out=out, force=True)
    assert (two_classes / "Training/a/00.png").is_file()


def test_force_replaces_a_dataset_and_nothing_else(two_classes: Path, build: Build, tmp_path: Path) -> None:
    save(tmp_path / "out" / "holiday.png", draw(5))
    with pytest.raises(UserError, match="--force replaces a dataset, and this folder holds none"):
        build([two_classes], force=True)
    assert (tmp_path / "out" / "holiday.png").is_file()
    build([two_classes], out="dataset")
    with pytest.raises(UserError, match="exists already"):
        build([two_classes], out="dataset")
    build([two_classes], out="dataset", force=True)


def test_a_classes_file_sets_the_label_order(two_classes: Path, build: Build, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("second: b\nfirst: a\n")
    manifest = build([two_classes], classes=read_classes(tmp_path / "classes.txt"))
    assert manifest.classes == ("second", "first")
    labels = {record["image/class/text"]: record["image/class/label"] for record in records(tmp_path / "out", "train")}
    assert labels == {b"second": 0, b"first": 1}


# Copies, leakage, groups


def test_of_exact_copies_one_is_kept_unless_asked_otherwise(two_classes: Path, build: Build) -> None:
    save(two_classes / "Training/a/copy.bmp", draw(0))  # the pixels of Training/a/00.png in another format
    manifest = build([two_classes], out="one copy")
    assert manifest.duplicates["exact"] == 1
    assert manifest.duplicates["dropped"] == {"exact copy of another": 1}
    assert sum(split.num_examples for split in manifest.splits.values()) == 60
    kept = build([two_classes], options(keep_copies=True), out="both")
    assert sum(split.num_examples for split in kept.splits.values()) == 61
    assert kept.duplicates["straddling"] == 0


@pytest.fixture
def leaking(two_classes: Path) -> Path:
    """Two of the ten test images are training images: one mirrored, one turned."""
    save(two_classes / "Testing/a/00.png", draw(3)[:, ::-1])
    save(two_classes / "Testing/b/00.png", draw(30)[::-1, ::-1])
    return two_classes


def test_leakage_report_keeps_the_images_and_marks_the_tests_that_are_clean(
    leaking: Path, build: Build, tmp_path: Path
) -> None:
    manifest = build([leaking], options(method="published", leakage="report"))
    assert manifest.splits["train"].num_examples + manifest.splits["val"].num_examples == 50
    assert manifest.duplicates["straddling"] == 2
    clean = {r["image/filename"].decode(): r["image/clean"] for r in records(tmp_path / "out", "test.one")}
    assert {name for name, flag in clean.items() if not flag} == {"Testing/a/00.png", "Testing/b/00.png"}


def test_leakage_drop_removes_the_training_images_and_all_tests_are_clean(
    leaking: Path, build: Build, tmp_path: Path
) -> None:
    manifest = build([leaking], options(method="published", leakage="drop"))
    assert manifest.splits["train"].num_examples + manifest.splits["val"].num_examples == 48
    assert manifest.splits["val"].num_examples == pytest.approx(48 / 5, abs=1)
    assert manifest.splits["test.one"].num_examples == 10
    assert manifest.duplicates["dropped"] == {"repeats a test image": 2}
    assert manifest.duplicates["straddling"] == 0
    assert all(record["image/clean"] for record in records(tmp_path / "out", "test.one"))
    left_out = {row.filename for row in read_images_csv(tmp_path / "out") if row.left_out}
    assert left_out == {"Training/a/03.png", "Training/b/00.png"}


def test_leakage_fail_stops_and_counts(leaking: Path, build: Build, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="2 training images repeat 2 test images"):
        build([leaking], options(method="published", leakage="fail"))
    assert not (tmp_path / "out").exists()


def test_grouped_keeps_mirrored_copies_together(leaking: Path, build: Build, tmp_path: Path) -> None:
    manifest = build([leaking])
    assert manifest.duplicates["near"] == 2
    split_of = {row.filename: row.split for row in read_images_csv(tmp_path / "out")}
    assert split_of["Testing/a/00.png"] == split_of["Training/a/03.png"]
    assert split_of["Testing/b/00.png"] == split_of["Training/b/00.png"]
    assert manifest.duplicates["straddling"] == 0


def test_groups_with_conflicting_labels_are_set_aside(two_classes: Path, build: Build) -> None:
    save(two_classes / "Testing/b/00.png", draw(0)[:, ::-1])
    manifest = build([two_classes])
    assert manifest.duplicates["label_conflicts"] == 1
    assert manifest.duplicates["dropped"] == {"its group has conflicting labels": 2}


def test_validation_of_published_is_disjoint_from_training_in_groups(
    two_classes: Path, build: Build, tmp_path: Path
) -> None:
    for number in range(10):
        save(two_classes / f"Training/a/mirrored{number}.png", draw(number)[:, ::-1])
    manifest = build([two_classes], options(method="published"))
    splits = defaultdict(set)
    for row in read_images_csv(tmp_path / "out"):
        splits[row.group].add(row.split)
    assert all(len(names) == 1 for names in splits.values())
    assert manifest.duplicates["groups"] == 60


# A CSV of patients or splits


def write_csv(path: Path, rows: list[dict[str, str]]) -> str:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def test_a_csv_of_patients_keeps_their_slices_together(two_classes: Path, build: Build, tmp_path: Path) -> None:
    rows = [
        {"filename": path.relative_to(two_classes).as_posix(), "group": f"patient {int(path.stem) // 2} {path.parent}"}
        for path in two_classes.rglob("*.png")
    ]
    manifest = build([two_classes], options(method=write_csv(tmp_path / "patients.csv", rows)))
    split_of = {row.filename: row.split for row in read_images_csv(tmp_path / "out")}
    for row in rows:
        number = int(row["filename"][-6:-4])
        if number % 2 == 0 and (other := row["filename"][:-6] + f"{number + 1:02d}.png") in split_of:
            assert split_of[other] == split_of[row["filename"]]
    assert manifest.duplicates["groups"] == 30


def test_a_csv_of_splits_is_followed_and_the_rest_is_left_out(two_classes: Path, build: Build, tmp_path: Path) -> None:
    splits = {0: "train", 1: "val", 2: "test"}
    rows = [
        {"source": "one", "filename": f"Training/{label}/{index:02d}.png", "split": splits[index % 3]}
        for label in "ab"
        for index in range(18)
    ]
    manifest = build([two_classes], options(method=write_csv(tmp_path / "splits.csv", rows)))
    assert {name: split.num_examples for name, split in manifest.splits.items()} == {
        "train": 12,
        "val": 12,
        "test.one": 12,
    }
    assert manifest.duplicates["dropped"] == {"not in the split CSV": 24}


def test_a_csv_without_validation_gets_one(two_classes: Path, build: Build, tmp_path: Path) -> None:
    rows = [
        {"filename": f"Training/{label}/{index:02d}.png", "split": "train"} for label in "ab" for index in range(20)
    ]
    manifest = build([two_classes], options(method=write_csv(tmp_path / "splits.csv", rows)))
    assert {name: split.num_examples for name, split in manifest.splits.items()} == {"train": 32, "val": 8}


def test_a_csv_that_names_no_image_stops(two_classes: Path, build: Build, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "patients.csv", [{"filename": "/elsewhere/00.png", "group": "1"}])
    with pytest.raises(
        UserError, match="no row names an image; filename is relative to its source, for instance Testing/"
    ):
        build([two_classes], options(method=path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,group\na,1\n", "needs the columns filename and group or split"),
        ("filename,split\na,training\n", "split 'training' is none of train, val, test"),
        ("filename,group\na,1\na,2\n", "line 3: a has another entry already"),
    ],
)
def test_a_wrong_csv_is_named(two_classes: Path, build: Build, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        build([two_classes], options(method=str(tmp_path / "t.csv")))


def test_a_missing_csv_is_named(two_classes: Path, build: Build) -> None:
    with pytest.raises(UserError, match="--split publised: no such file; give grouped, published or the path of a CSV"):
        build([two_classes], options(method="publised"))


# Folds


@pytest.mark.parametrize("method", ["grouped", "published"])
def test_folds_stand_in_place_of_train_and_val(leaking: Path, build: Build, tmp_path: Path, method: str) -> None:
    manifest = build([leaking], options(method=method, folds=4, leakage="drop"))
    assert list(manifest.splits) == ["fold-0", "fold-1", "fold-2", "fold-3", "test.one"]
    assert manifest.folds == 4
    sizes = [manifest.splits[f"fold-{number}"].num_examples for number in range(4)]
    assert max(sizes) - min(sizes) <= 3
    assert manifest.duplicates["straddling"] == 0
    names = Counter(r["image/filename"] for name in manifest.splits for r in records(tmp_path / "out", name))
    assert max(names.values()) == 1


def test_a_fold_is_validation_once_and_training_otherwise(leaking: Path, build: Build) -> None:
    manifest = build([leaking], options(folds=3))
    assert manifest.validation_split(1) == "fold-1"
    assert manifest.training_splits(1) == ("fold-0", "fold-2")
    with pytest.raises(UserError, match=r"choose one with --fold 0..2"):
        manifest.training_splits()
    with pytest.raises(UserError, match=r"--fold 3: the dataset has the folds 0..2"):
        manifest.training_splits(3)


def test_without_folds_there_is_train_and_val(dataset: Path) -> None:
    manifest = read_manifest(dataset)
    assert (manifest.training_splits(), manifest.validation_split(), manifest.folds) == (("train",), "val", 0)
    with pytest.raises(UserError, match="has no folds; rebuild it with build-tfrecords --folds K"):
        manifest.training_splits(0)


# What the folder says


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
    assert command in (tmp_path / "out" / "README.md").read_text()
    first = shard_bytes(tmp_path / "out")
    result = cli(*shlex.split(command)[1:], "--force", "--workers", 1)
    assert result.returncode == 0, result.stderr
    assert shard_bytes(tmp_path / "out") == first
