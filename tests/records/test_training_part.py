"""Datasets with fewer training images and the same test images."""

from collections import Counter
from pathlib import Path

import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.images_csv import ImageRow, read_images_csv
from fastmri_cls.records.options import MetadataOptions
from tests.records.conftest import Build, MakeSource, draw, options, save, with_table


@pytest.fixture
def patients(source: MakeSource, tmp_path: Path) -> tuple[Path, Path]:
    """Two sources of two classes; each two images of one are of one patient."""
    one, two = source("one", {"a": 60, "b": 40}), source("two", {"a": 30, "b": 50})
    return one, two


def by_patient(sources: tuple[Path, Path], tmp_path: Path) -> MetadataOptions:
    rows = [
        {
            "source": path.name,
            "filename": file.relative_to(path).as_posix(),
            "group": f"{file.parent}{int(file.stem) // 2}",
        }
        for path in sources
        for file in path.rglob("*.png")
    ]
    return with_table(tmp_path / "patients.csv", rows)


def rows_of(folder: Path) -> dict[str, ImageRow]:
    return {f"{row.source}/{row.filename}": row for row in read_images_csv(folder)}


def test_smaller_fractions_are_part_of_larger_ones_in_whole_groups_and_the_test_set_stays(
    patients: tuple[Path, Path], build: Build, tmp_path: Path
) -> None:
    metadata = by_patient(patients, tmp_path)
    built = {}
    for fraction in (1.0, 0.5, 0.2):
        build([*patients], options(metadata=metadata, train_fraction=fraction), out=f"{fraction}")
        built[fraction] = rows_of(tmp_path / f"{fraction}")
    for larger, smaller in ((1.0, 0.5), (0.5, 0.2)):
        for split in ("train", "val"):
            kept = {name for name, row in built[smaller].items() if row.split == split}
            before = {name for name, row in built[larger].items() if row.split == split}
            assert kept < before
    test_sets = [{name for name, row in rows.items() if row.split.startswith("test")} for rows in built.values()]
    assert test_sets[0] == test_sets[1] == test_sets[2]

    groups = Counter()
    for row in built[0.5].values():
        groups[row.group, bool(row.split)] += 1
    assert not {group for group, kept in groups if kept} & {group for group, kept in groups if not kept}
    whole, half = (
        Counter((row.split, row.class_name) for row in built[fraction].values() if row.split in ("train", "val"))
        for fraction in (1.0, 0.5)
    )
    for key, count in whole.items():
        assert half[key] == pytest.approx(count / 2, abs=2)


def test_what_is_left_out_is_counted(patients: tuple[Path, Path], build: Build, tmp_path: Path) -> None:
    manifest = build([*patients], options(train_fraction=0.25))
    dropped = manifest.duplicates["dropped"]["outside --train-fraction 0.25"]
    used = sum(split.num_examples for split in manifest.splits.values())
    assert dropped + used == 180
    assert sum(row.left_out == "outside --train-fraction 0.25" for row in read_images_csv(tmp_path / "out")) == dropped


def test_each_class_keeps_a_group(patients: tuple[Path, Path], build: Build, tmp_path: Path) -> None:
    build([*patients], options(train_fraction=0.001))
    used = Counter((row.split, row.class_name) for row in read_images_csv(tmp_path / "out"))
    assert [used[split, name] for split in ("train", "val") for name in "ab"] == [1, 1, 1, 1]


@pytest.mark.parametrize("folds", [None, 3])
def test_a_source_that_is_left_out_of_training_is_tested_on(
    patients: tuple[Path, Path], build: Build, tmp_path: Path, folds: int | None
) -> None:
    build([*patients], options(folds=folds), out="both")
    manifest = build([*patients], options(train_source=("one",), folds=folds), out="one alone")
    both, alone = rows_of(tmp_path / "both"), rows_of(tmp_path / "one alone")
    tested = {name for name, row in both.items() if row.split.startswith("test")}
    assert {name for name, row in alone.items() if row.split.startswith("test")} == tested
    trained = {row.source for row in alone.values() if row.split and not row.split.startswith("test")}
    assert trained == {"one"}
    assert manifest.duplicates["dropped"]["its source is for testing alone"] > 0


def test_test_images_are_clean_of_what_is_trained_on_and_not_of_what_is_left_out(
    source: MakeSource, build: Build, tmp_path: Path
) -> None:
    one = source("one", {"Training/a": 20, "Training/b": 20})
    two = source("two", {"Training/a": 20, "Training/b": 20, "Testing/a": 4, "Testing/b": 4})
    save(two / "Testing/a/00.png", draw(0)[:, ::-1])  # a mirrored training image of source one
    flags = {}
    for name in ("one", "two"):
        build([one, two], options(method="published", train_source=(name,)), out=f"on {name}")
        flags[name] = sum(row.clean for row in read_images_csv(tmp_path / f"on {name}") if row.split.startswith("test"))
    assert flags == {"one": 7, "two": 8}


@pytest.mark.parametrize(
    ("splitting", "message"),
    [
        ({"train_fraction": 0.0}, "--train-fraction 0: give a fraction above 0, at most 1"),
        ({"train_fraction": 1.5}, "--train-fraction 1.5: give a fraction above 0"),
        ({"train_source": ("three",)}, "--train-source three: no such source; choose of one, two"),
    ],
)
def test_a_part_that_cannot_be_is_refused(
    patients: tuple[Path, Path], build: Build, tmp_path: Path, splitting: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        build([*patients], options(**splitting))
    assert not (tmp_path / "out").exists()


def test_the_own_validation_images_of_a_source_that_is_left_out_are_left_out_too(
    source: MakeSource, build: Build, tmp_path: Path
) -> None:
    one = source("one", {"train/a": 20, "train/b": 20})
    two = source("two", {f"{part}/{name}": 10 for part in ("train", "valid", "test") for name in "ab"})
    build([one, two], options(method="published", train_source=("one",)))
    used = Counter((row.source, row.split) for row in read_images_csv(tmp_path / "out") if row.split)
    assert {key[0] for key in used if not key[1].startswith("test")} == {"one"}
    assert sum(count for key, count in used.items() if key[1].startswith("test")) == 20
