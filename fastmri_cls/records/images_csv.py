"""images.csv of a dataset folder: every accepted image with its group, its split or why it is in none, and its file."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.sources.decode import FileFacts
from fastmri_cls.sources.storage import FileStamp

FILE_NAME = "images.csv"
_COLUMNS = (
    "source", "filename", "class", "group", "split", "clean", "left_out",
    "sha256", "file_bytes", "file_modified", "file_format", "file_mode", "file_width", "file_height",
)  # fmt: skip


@dataclass(frozen=True)
class ImageRow:
    """One image: `split` is empty where it is left out for a reason; `sha256` is that of its decoded pixels.

    `file` tells whether the file has changed since; `facts` is what a classifier of file properties alone would see.
    """

    source: str
    filename: str
    class_name: str
    group: int
    split: str
    clean: bool
    left_out: str
    sha256: str
    file: FileStamp
    facts: FileFacts


def write_images_csv(directory: Path, rows: Iterable[ImageRow]) -> None:
    """Write images.csv into `directory`."""
    with (directory / FILE_NAME).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for row in rows:
            about = (row.class_name, row.group, row.split, int(row.clean), row.left_out, row.sha256)
            facts = (row.facts.format, row.facts.mode, row.facts.width, row.facts.height)
            writer.writerow((row.source, row.filename, *about, row.file.bytes, row.file.modified, *facts))


def read_images_csv(directory: Path) -> list[ImageRow]:
    """Read images.csv of `directory`.

    Raises:
        UserError: there is none, or it is not what build-tfrecords wrote.
    """
    path = directory / FILE_NAME
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [_row(row) for row in csv.DictReader(file)]
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; rebuild with build-tfrecords --force") from None
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: is damaged ({error}); rebuild with build-tfrecords --force") from None


def _row(row: dict[str, str]) -> ImageRow:
    file = FileStamp(int(row["file_bytes"]), int(row["file_modified"]))
    about = (row["class"], int(row["group"]), row["split"], row["clean"] == "1", row["left_out"], row["sha256"])
    size = int(row["file_width"]), int(row["file_height"])
    facts = FileFacts(file.bytes, row["file_format"], row["file_mode"], *size)
    return ImageRow(row["source"], row["filename"], *about, file, facts)
