"""Bad source folders, class files and tables, for build-tfrecords."""

import os
from pathlib import Path

import numpy as np

from fastmri_cls.sources.phantom import CLASSES, draw_phantom
from tests.campaign.kinds import BadInput, kind
from tests.campaign.materials import Materials, build_arguments, copy, save_image
from tests.campaign.runner import Conditions


def _build(source: object, folder: Path, *flags: object) -> tuple[object, ...]:
    return build_arguments(source, folder / "out", *flags)


def _with_file(folder: Path, given: Materials, flag: str, name: str, content: bytes, says: str = "") -> BadInput:
    """A build whose `flag` takes a file of these bytes."""
    (folder / name).write_bytes(content)
    return BadInput(_build(given.source, folder, flag, folder / name), says=says or name)


def _flat_source(folder: Path, classes: int, images: int) -> Path:
    """A source of random images, `images` of each of `classes` classes."""
    rng = np.random.default_rng(3)
    for label in range(classes):
        for index in range(images):
            pixels, _ = draw_phantom(CLASSES[label % 4], rng, 32)
            save_image(pixels, folder / f"class{label:03}" / f"{index}.png")
    return folder


@kind
def source_not_there(folder: Path, given: Materials) -> BadInput:
    return BadInput(_build(folder / "absent", folder), says="absent")


@kind
def source_is_a_file(folder: Path, given: Materials) -> BadInput:
    (folder / "archive.zip").write_bytes(b"PK")
    return BadInput(_build(folder / "archive.zip", folder), says="archive.zip")


@kind
def source_empty(folder: Path, given: Materials) -> BadInput:
    (folder / "source").mkdir()
    return BadInput(_build(folder / "source", folder), says="source")


@kind
def source_of_loose_images(folder: Path, given: Materials) -> BadInput:
    save_image(np.zeros((32, 32), np.uint8), folder / "source" / "a.png")
    return BadInput(_build(folder / "source", folder), says="class folders")


@kind
def source_of_one_class(folder: Path, given: Materials) -> BadInput:
    return BadInput(_build(_flat_source(folder / "source", 1, 6), folder), says="only the class class000")


@kind
def source_of_one_image_a_class(folder: Path, given: Materials) -> BadInput:
    return BadInput(_build(_flat_source(folder / "source", 3, 1), folder), says="class class000")


@kind
def source_of_equal_images(folder: Path, given: Materials) -> BadInput:
    for label in ("a", "b"):
        for index in range(8):
            save_image(np.full((32, 32), 90, np.uint8), folder / "source" / label / f"{index}.png")
    return BadInput(_build(folder / "source", folder), says="no image is left")


@kind
def source_of_200_classes_works(folder: Path, given: Materials) -> BadInput:
    command = _build(_flat_source(folder / "source", 200, 5), folder, "--test-fraction", 0)
    return BadInput((*command, "--json"), code=0, prints='"rejected": 0', makes=("out",))


@kind
def source_with_an_empty_class(folder: Path, given: Materials) -> BadInput:
    source = _flat_source(folder / "source", 3, 8)
    for path in (source / "class001").iterdir():
        path.write_bytes(b"broken")
    return BadInput(_build(source, folder, "--max-rejected", 1), says="class class001")


@kind
def source_with_many_broken_files(folder: Path, given: Materials) -> BadInput:
    source = copy(given.source, folder / "source")
    for path in sorted(source.rglob("*.png"))[::3]:
        path.write_bytes(path.read_bytes()[:200])
    return BadInput(_build(source, folder), says="--max-rejected")


@kind
def source_that_loops_works(folder: Path, given: Materials) -> BadInput:
    source = copy(given.source, folder / "source")
    (source / "Training" / "glioma" / "again").symlink_to(source)
    (source / "Training" / "glioma" / "itself").symlink_to("itself")
    return BadInput(_build(source, folder), code=0, makes=("out",))


@kind
def source_with_an_unreadable_folder(folder: Path, given: Materials) -> BadInput:
    source = copy(given.source, folder / "source")
    (source / "Training" / "notumor").chmod(0)
    return BadInput(_build(source, folder), says="Training/notumor", conditions=Conditions(nobody=True))


@kind
def source_without_a_class_the_other_has(folder: Path, given: Materials) -> BadInput:
    command = _build(given.source, folder, f"other={_flat_source(folder / 'other', 4, 4)}")
    return BadInput(command, says="has no images of class")


@kind
def source_twice(folder: Path, given: Materials) -> BadInput:
    return BadInput(_build(given.source, folder, f"mri={given.source}"), says="another source is named mri")


@kind
def source_named_like_a_path(folder: Path, given: Materials) -> BadInput:
    return BadInput(("build-tfrecords", f"../a={given.source}", "--out", folder / "out"), says="'../a'")


@kind
def classes_file_not_there(folder: Path, given: Materials) -> BadInput:
    return BadInput(_build(given.source, folder, "--classes", folder / "absent.txt"), says="absent.txt")


@kind
def classes_file_of_bytes(folder: Path, given: Materials) -> BadInput:
    return _with_file(folder, given, "--classes", "classes.txt", b"\xff\xfe\x00glioma")


@kind
def classes_file_empty(folder: Path, given: Materials) -> BadInput:
    return _with_file(folder, given, "--classes", "classes.txt", b"# nothing\n")


@kind
def classes_file_without_a_class(folder: Path, given: Materials) -> BadInput:
    return _with_file(folder, given, "--classes", "classes.txt", b"glioma\nmeningioma\nnotumor\n", says="pituitary")


@kind
def classes_file_with_a_class_too_many(folder: Path, given: Materials) -> BadInput:
    lines = "\n".join((*CLASSES, "astrocytoma")).encode()
    return _with_file(folder, given, "--classes", "classes.txt", lines, says="astrocytoma")


@kind
def classes_file_that_contradicts_itself(folder: Path, given: Materials) -> BadInput:
    return _with_file(folder, given, "--classes", "classes.txt", b"glioma: x\nmeningioma: x\n")


@kind
def table_not_there(folder: Path, given: Materials) -> BadInput:
    return BadInput(_build(given.source, folder, "--table", "patients.csv"), says="--table patients.csv")


@kind
def table_is_a_folder(folder: Path, given: Materials) -> BadInput:
    return BadInput(_build(given.source, folder, "--table", folder), says="--table")


@kind
def table_empty(folder: Path, given: Materials) -> BadInput:
    return _with_file(folder, given, "--table", "split.csv", b"")


@kind
def table_of_bytes(folder: Path, given: Materials) -> BadInput:
    return _with_file(folder, given, "--table", "split.csv", b"filename,split\n\xff\xfe\x00,train\n")


@kind
def table_with_a_nul(folder: Path, given: Materials) -> BadInput:
    return _with_file(folder, given, "--table", "split.csv", b"filename,split\na\0b.png,train\n")


@kind
def table_of_an_endless_field(folder: Path, given: Materials) -> BadInput:
    return _with_file(folder, given, "--table", "split.csv", b'filename,split\n"' + b"a" * 300_000 + b'",train\n')


@kind
def table_without_columns(folder: Path, given: Materials) -> BadInput:
    return _with_file(folder, given, "--table", "split.csv", b"name;set\na.png;train\n")


@kind
def table_with_an_unknown_split(folder: Path, given: Materials) -> BadInput:
    return _with_file(folder, given, "--table", "split.csv", b"filename,split\na.png,holdout\n", says="'holdout'")


@kind
def table_of_other_images(folder: Path, given: Materials) -> BadInput:
    return _with_file(folder, given, "--table", "split.csv", b"filename,split\nx/y.png,train\n", says="no row names")


@kind
def table_with_two_entries_for_a_file(folder: Path, given: Materials) -> BadInput:
    row = b"Training/glioma/000.png"
    return _with_file(
        folder, given, "--table", "split.csv", b"filename,split\n" + row + b",train\n" + row + b",test\n", says="line 3"
    )


def _table_of_all(given: Materials, validation: str) -> bytes:
    """Every image of the source: Testing tests, and of the class `validation` alone the first two validate."""
    lines = ["filename,split"]
    for path in sorted(given.source.rglob("*.png")):
        is_held_out = path.parent.name == validation and path.stem in ("000", "001")
        split = "test" if path.parents[1].name == "Testing" else "val" if is_held_out else "train"
        lines.append(f"{path.relative_to(given.source)},{split}")
    return "\n".join(lines).encode()


@kind
def validation_without_some_classes(folder: Path, given: Materials) -> BadInput:
    return _with_file(folder, given, "--table", "s.csv", _table_of_all(given, "glioma"), says="is left for val")


@kind
def validation_without_some_classes_works_when_allowed(folder: Path, given: Materials) -> BadInput:
    bad = _with_file(folder, given, "--table", "s.csv", _table_of_all(given, "glioma"))
    return BadInput((*bad.command, "--allow-missing-classes"), code=0, makes=("out",))


@kind
def leakage_that_must_fail(folder: Path, given: Materials) -> BadInput:
    source = copy(given.source, folder / "source")
    os.link(source / "Training/glioma/000.png", source / "Testing/glioma/copy.png")
    return BadInput(_build(source, folder, "--split", "published", "--leakage", "fail"), says="--leakage fail")


@kind
def more_folds_than_images(folder: Path, given: Materials) -> BadInput:
    return BadInput(_build(given.source, folder, "--folds", 1000), says="fewer --folds")


@kind
def no_test_and_no_validation_works(folder: Path, given: Materials) -> BadInput:
    command = _build(given.source, folder, "--test-fraction", 0, "--val-fraction", 0)
    return BadInput(command, code=0, makes=("out",))


@kind
def images_from_another_century_work(folder: Path, given: Materials) -> BadInput:
    source = copy(given.source, folder / "source")
    for number, path in enumerate(sorted(source.rglob("*.png"))):
        os.utime(path, (-1e9, -1e9) if number % 2 else (7e9, 7e9))
    return BadInput(_build(source, folder), code=0, makes=("out",))
