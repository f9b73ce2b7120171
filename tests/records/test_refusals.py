"""What stops a build, and what may be told to go on."""

from pathlib import Path

import pytest
from PIL import Image

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.options import BuildOptions, SplitOptions
from fastmri_cls.sources.classes import read_classes
from tests.records.conftest import Build, MakeSource, draw, options, records, save


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


def test_published_without_test_images_stops(source: MakeSource, build: Build) -> None:
    one = source("one", {"Training/a": 20, "Training/b": 20})
    save(one / "Testing/00.png", draw(900))  # in no class folder
    with pytest.raises(UserError, match=r"--split published: no source has test images .*use --split grouped"):
        build([one], options(method="published"))


def test_training_without_a_test_split_is_refused_before_it_begins(
    two_classes: Path, build: Build, tmp_path: Path
) -> None:
    from fastmri_cls.experiment import run_experiment
    from fastmri_cls.runs.options import TrainOptions
    from fastmri_cls.runs.protocol import resolve_protocol

    build([two_classes], options(test_fraction=0.0))
    run = TrainOptions(tmp_path / "out", "small-cnn", tmp_path / "run", resolve_protocol("strict", {}))
    with pytest.raises(UserError, match="has no test split"):
        run_experiment(run)
    assert not (tmp_path / "run").exists()


def test_a_class_may_be_absent_from_everything_where_that_is_allowed(
    two_classes: Path, build: Build, tmp_path: Path
) -> None:
    (tmp_path / "classes.txt").write_text("c\na\nb\n")
    chosen = BuildOptions(image_size=32, allow_missing_classes=True)
    manifest = build([two_classes], chosen, read_classes(tmp_path / "classes.txt"))
    assert manifest.classes == ("c", "a", "b")
    assert {record["image/class/label"] for record in records(tmp_path / "out", "train")} == {1, 2}


def test_what_was_passed_over_stands_in_dataset_json(two_classes: Path, build: Build) -> None:
    save(two_classes / "Training/00.png", draw(900))
    (two_classes / "Training/a/00.xml").write_text("<box/>")
    assert build([two_classes]).passed_over == [
        {"source": "one", "reason": "in no class folder", "files": 1, "first": "Training/00.png"},
        {"source": "one", "reason": "no images by their suffix", "files": 1, "first": "Training/a/00.xml"},
    ]


def test_images_outside_the_split_folders_are_left_out_of_published(source: MakeSource, build: Build) -> None:
    one = source("one", {"a/train": 20, "a/test": 5, "b": 30})
    manifest = build(
        [one], BuildOptions(image_size=32, splitting=SplitOptions("published"), allow_missing_classes=True)
    )
    assert manifest.duplicates["dropped"] == {"its folders name no split": 30}
