"""Who is in which split: copies and groups, a CSV of patients or splits, folds."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.images_csv import read_images_csv
from fastmri_cls.records.manifest import read_manifest
from tests.records.conftest import Build, draw, options, records, save, with_table


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


# Tables of patients or splits


def test_a_table_of_patients_keeps_their_slices_together(two_classes: Path, build: Build, tmp_path: Path) -> None:
    rows = [
        {"filename": path.relative_to(two_classes).as_posix(), "group": f"patient {int(path.stem) // 2} {path.parent}"}
        for path in two_classes.rglob("*.png")
    ]
    manifest = build([two_classes], options(metadata=with_table(tmp_path / "patients.csv", rows)))
    split_of = {row.filename: row.split for row in read_images_csv(tmp_path / "out")}
    for row in rows:
        number = int(row["filename"][-6:-4])
        if number % 2 == 0 and (other := row["filename"][:-6] + f"{number + 1:02d}.png") in split_of:
            assert split_of[other] == split_of[row["filename"]]
    assert manifest.duplicates["groups"] == 30


def test_a_table_of_splits_is_followed_and_images_without_one_are_left_out(
    two_classes: Path, build: Build, tmp_path: Path
) -> None:
    splits = {0: "train", 1: "val", 2: "Testing"}
    rows = [
        {"source": "one", "filename": f"Training/{label}/{index:02d}.png", "split": splits[index % 3]}
        for label in "ab"
        for index in range(18)
    ]
    metadata = with_table(tmp_path / "splits.csv", rows, allow_unlisted=True)
    manifest = build([two_classes], options(metadata=metadata))
    assert {name: split.num_examples for name, split in manifest.splits.items()} == {
        "train": 12,
        "val": 12,
        "test.one": 12,
    }
    assert manifest.duplicates["dropped"] == {"no split in the table": 24}
    assert manifest.split == "table"


def test_a_table_without_validation_gets_one(two_classes: Path, build: Build, tmp_path: Path) -> None:
    rows = [
        {"filename": f"Training/{label}/{index:02d}.png", "split": "train"} for label in "ab" for index in range(20)
    ]
    metadata = with_table(tmp_path / "splits.csv", rows, allow_unlisted=True)
    manifest = build([two_classes], options(metadata=metadata))
    assert {name: split.num_examples for name, split in manifest.splits.items()} == {"train": 32, "val": 8}


def test_a_table_given_with_the_older_flag_is_told_the_newer_one(two_classes: Path, build: Build) -> None:
    with pytest.raises(UserError, match=r"--split patients.csv: .*--table patients.csv"):
        build([two_classes], options(method="patients.csv"))


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
