"""verify finds everything that is not as it was built."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tensorflow as tf
from typer.testing import CliRunner

from fastmri_cls.cli.app import app
from fastmri_cls.foundation.checksums import file_sha256
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.manifest import check_files, read_manifest
from fastmri_cls.records.verify import find_problems

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    """A copy of the dataset that a test may damage."""
    return shutil.copytree(dataset, tmp_path / "copy")


def problems(directory: Path) -> list[str]:
    return find_problems(directory, read_manifest(directory))


def test_a_sound_dataset_passes(copy: Path) -> None:
    result = CliRunner().invoke(app, ["verify", str(copy)])
    assert result.exit_code == 0, result.output
    assert "images in 4 splits are as dataset.json says" in result.stdout


@pytest.mark.slow
def test_every_problem_is_printed_and_the_code_is_1(cli: Cli, copy: Path) -> None:
    (copy / "val-00000-of-00001.tfrecord").unlink()
    flip(copy / "train-00000-of-00001.tfrecord", 5000)
    result = cli("verify", copy, "--json")
    assert result.returncode == 1
    found = json.loads(result.stdout)["problems"]
    assert [line.split(":")[0] for line in found] == ["train-00000-of-00001.tfrecord", "val-00000-of-00001.tfrecord"]
    assert all(line in result.stdout for line in found)


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("offset", [3, 2000, -3])
def test_a_flipped_bit_is_found_wherever_it_is(copy: Path, offset: int) -> None:
    flip(copy / "test.alpha-00000-of-00001.tfrecord", offset)
    [problem] = problems(copy)
    assert problem.startswith("test.alpha-00000-of-00001.tfrecord: its sha256")


def first_record_bytes(path: Path) -> int:
    return 16 + int.from_bytes(path.read_bytes()[:8], "little")


def test_a_shard_cut_at_a_record_boundary_is_found_by_verify_and_by_the_cheap_check(copy: Path) -> None:
    path = copy / "train-00000-of-00001.tfrecord"
    os.truncate(path, first_record_bytes(path))  # TensorFlow reads this without a word
    [problem] = problems(copy)
    assert problem.startswith("train-00000-of-00001.tfrecord: ")
    assert "bytes, dataset.json says" in problem
    with pytest.raises(UserError, match=r"train-00000-of-00001.tfrecord: .* bytes, .*rebuild with build-tfrecords"):
        check_files(copy, read_manifest(copy))


def test_a_missing_and_an_emptied_shard_are_found(copy: Path) -> None:
    (copy / "train-00000-of-00001.tfrecord").unlink()
    os.truncate(copy / "val-00000-of-00001.tfrecord", 0)
    assert ["is missing" in problems(copy)[0], "0 bytes" in problems(copy)[1]] == [True, True]
    with pytest.raises(UserError, match=r"train-.*: is missing; val-.*: 0 bytes"):
        check_files(copy, read_manifest(copy))


def test_swapped_shards_are_found(copy: Path) -> None:
    one, other = (copy / f"test.{name}-00000-of-00001.tfrecord" for name in ("alpha", "beta"))
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    assert len(problems(copy)) == 2


def test_a_stray_shard_is_found(copy: Path) -> None:
    shutil.copy(copy / "val-00000-of-00001.tfrecord", copy / "val-00001-of-00002.tfrecord")
    assert problems(copy) == ["val-00001-of-00002.tfrecord: is no shard of dataset.json; remove it"]


def forge_val(directory: Path, change: Callable[[tf.train.Example], None]) -> None:
    """Change the first record of val and make dataset.json agree with the new bytes, as a careful forger would."""
    path = directory / "val-00000-of-00001.tfrecord"
    messages = [
        tf.train.Example.FromString(record) for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    ]
    change(messages[0])
    with tf.io.TFRecordWriter(str(path)) as writer:
        for message in messages:
            writer.write(message.SerializeToString(deterministic=True))
    manifest = read_manifest(directory)
    val = manifest.splits["val"]
    shard = replace(val.shards[0], bytes=path.stat().st_size, sha256=file_sha256(path))
    replace(manifest, splits=manifest.splits | {"val": replace(val, shards=(shard,))}).write(directory)


def test_a_label_changed_with_all_checksums_is_found(copy: Path) -> None:
    def change(message: tf.train.Example) -> None:
        label = message.features.feature["image/class/label"].int64_list.value
        label[0] = (label[0] + 1) % 4

    forge_val(copy, change)
    assert problems(copy) == [
        "val: a label's number and its text disagree with the classes of dataset.json; "
        "rebuild with build-tfrecords --force"
    ]


def test_a_class_changed_with_all_checksums_is_found(copy: Path) -> None:
    def change(message: tf.train.Example) -> None:
        message.features.feature["image/class/text"].bytes_list.value[0] = b"unheard of"

    forge_val(copy, change)
    found = problems(copy)
    assert any("images by class" in line for line in found)
    assert any("shards and images.csv differ" in line for line in found)


def test_a_changed_label_is_found(copy: Path) -> None:
    path = copy / "val-00000-of-00001.tfrecord"
    content = path.read_bytes()
    assert b"meningioma" in content
    path.write_bytes(content.replace(b"meningioma", b"pituitary ", 1))
    [problem] = problems(copy)
    assert problem.startswith("val-00000-of-00001.tfrecord: its sha256")


def test_an_edited_dataset_json_is_refused(copy: Path) -> None:
    path = copy / "dataset.json"
    path.write_text(path.read_text().replace('"straddling": 0', '"straddling": 1'))
    with pytest.raises(UserError, match="was edited, its fingerprint does not fit; rebuild"):
        read_manifest(copy)
    path.write_text("{")
    with pytest.raises(UserError, match=r"dataset\.json: Input data was truncated; rebuild"):
        read_manifest(copy)
    path.unlink()
    with pytest.raises(UserError, match="make a dataset with build-tfrecords"):
        read_manifest(copy)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("format_version", 99, "format version 99"), ("splits", [], r"Expected object, got array at \$\.splits; rebuild")],
)
def test_a_dataset_json_of_another_kind_is_refused(copy: Path, key: str, value: object, message: str) -> None:
    content = json.loads((copy / "dataset.json").read_text()) | {key: value}
    (copy / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        read_manifest(copy)


def test_a_class_changed_in_images_csv_is_found(copy: Path) -> None:
    path = copy / "images.csv"
    lines = path.read_text().splitlines(keepends=True)
    number = next(n for n, line in enumerate(lines) if ",glioma," in line and ",train," in line)
    lines[number] = lines[number].replace(",glioma,", ",pituitary,")
    path.write_text("".join(lines))
    [problem] = problems(copy)
    assert problem.startswith("train: shards and images.csv differ, first in ")


def test_a_missing_images_csv_is_found(copy: Path) -> None:
    (copy / "images.csv").unlink()
    assert "images.csv: is missing" in problems(copy)[0]


@pytest.fixture
def own_sources(phantom_sources: dict[str, Path], tmp_path: Path) -> tuple[Path, Path]:
    """A dataset and a source of its own that a test may change."""
    from fastmri_cls.records.build import build_dataset
    from fastmri_cls.records.options import BuildOptions
    from fastmri_cls.sources.classes import ClassNames
    from fastmri_cls.sources.folders import parse_sources

    source = shutil.copytree(phantom_sources["alpha"], tmp_path / "alpha")
    build_dataset(parse_sources([str(source)]), ClassNames(), BuildOptions(image_size=32), tmp_path / "out", workers=1)
    return source, tmp_path / "out"


def test_a_fresh_source_is_no_problem_even_with_new_times(own_sources: tuple[Path, Path]) -> None:
    source, directory = own_sources
    for path in source.rglob("*.png"):
        os.utime(path, (0, 0))
    assert problems(directory) == []


def test_a_stale_source_is_found(own_sources: tuple[Path, Path]) -> None:
    source, directory = own_sources
    shutil.copy(source / "Training/glioma/0001.png", source / "Training/glioma/0002.png")
    (source / "Training/notumor/0003.png").unlink()
    shutil.copy(source / "Training/glioma/0004.png", source / "Training/glioma/new.png")
    assert [line.split(" (")[0] for line in problems(directory)] == [
        "source alpha: 1 files are gone since the build",
        "source alpha: 1 files have changed since the build",
        "source alpha: 1 files are new since the build",
    ]


def test_folders_are_read_with_the_classes_file_of_the_build(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from fastmri_cls.records.build import build_dataset
    from fastmri_cls.records.options import BuildOptions
    from fastmri_cls.sources.classes import read_classes
    from fastmri_cls.sources.folders import parse_sources
    from tests.records.conftest import draw, save

    for number in range(20):
        save(tmp_path / "s" / ("car", "train")[number % 2] / f"{number}.png", draw(number))
    (tmp_path / "classes.txt").write_text("car\ntrain\n")  # without it, train is a split and car lies beside it
    classes = read_classes(tmp_path / "classes.txt")
    build_dataset(parse_sources([str(tmp_path / "s")]), classes, BuildOptions(image_size=32), tmp_path / "out", 1)
    assert problems(tmp_path / "out") == []
    save(tmp_path / "s" / "car" / "new.png", draw(20))
    [problem] = problems(tmp_path / "out")
    assert problem.startswith("source s: 1 files are new since the build (the first: car/new.png)")
    (tmp_path / "classes.txt").unlink()
    with caplog.at_level("WARNING", logger="fastmri_cls"):
        assert problems(tmp_path / "out") == []
    assert "classes.txt: cannot be read" in caplog.text


def test_a_source_that_is_elsewhere_is_a_note_not_a_problem(
    own_sources: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    source, directory = own_sources
    source.rename(source.with_name("moved"))
    with caplog.at_level("INFO", logger="fastmri_cls"):
        result = CliRunner().invoke(app, ["verify", str(directory)])
    assert result.exit_code == 0
    assert "is not here" in caplog.text


def test_a_file_of_the_same_size_and_other_pixels_has_changed(own_sources: tuple[Path, Path]) -> None:
    source, directory = own_sources
    path = source / "Training/glioma/0001.png"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")  # the same image, but for a byte after its pixels
    assert problems(directory) == []
    path.write_bytes(bytes(path.stat().st_size))
    [problem] = problems(directory)
    assert "1 files have changed since the build (the first: Training/glioma/0001.png)" in problem
