"""dataset.json: the contents of a dataset folder. Only this module reads and writes it.

The manifest is the contract between building and training. It holds the number of examples, the size and the sha256 of
every shard, because TensorFlow reads a TFRecord file that was cut at a record boundary, emptied or swapped without an
error.
"""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from msgspec import Meta

from fastmri_cls.foundation import json_files
from fastmri_cls.foundation.checksums import file_sha256
from fastmri_cls.foundation.cpu import available_cores
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records import split_names
from fastmri_cls.records.patient_counts import PatientCounts

FORMAT_VERSION = 2
FILE_NAME = "dataset.json"
CURE = "rebuild with build-tfrecords --force"

Count = Annotated[int, Meta(ge=0)]
# A file in the dataset folder itself: neither a path that leaves it nor the folder.
FileName = Annotated[str, Meta(pattern=r"\A(?!\.{1,2}\Z)[^/\0]+\Z")]
SplitName = Annotated[str, Meta(pattern=split_names.PATTERN)]


@dataclass(frozen=True)
class Shard:
    """One TFRecord file.

    Attributes:
        name: file name in the dataset folder.
        num_examples: records in it.
        bytes: its size.
        sha256: its hash.
    """

    name: FileName
    num_examples: Count
    bytes: Count
    sha256: str


@dataclass(frozen=True)
class Split:
    """One split.

    Attributes:
        num_examples: images in it.
        per_class: images by class name.
        per_source: images by source name.
        shards: its files in reading order.
    """

    num_examples: Count
    per_class: dict[str, Count]
    per_source: dict[str, Count]
    shards: tuple[Shard, ...]


class SourceSummary(TypedDict):
    """One source: its name, its folder and the number of images used from it."""

    name: str
    path: str
    num_files: int


class Rejection(TypedDict):
    """One file that was not used: SOURCE/FILENAME and the reason."""

    path: str
    reason: str


@dataclass(frozen=True)
class Manifest:
    """The content of dataset.json.

    Attributes:
        classes: class names; a label is an index into them.
        image_size: height and width of the stored images in pixels.
        channels: 1 (grey) or 3 (RGB).
        encoding: raw, png or jpeg.
        options: the options of the build.
        sources: where the images are from.
        split: the method that made the splits (published, grouped, ...).
        splits: the splits by name.
        rejected: files that were not used.
        duplicates: numbers of duplicate pairs and groups; `dropped` counts images left out by reason.
        notes: what the decoder ignored or guessed, by kind.
        passed_over: files and folders that were not entered.
        patients: what is known of patients, in numbers; None in datasets of versions that did not record it.
        format_version: of dataset.json.
    """

    classes: tuple[str, ...]
    image_size: Annotated[int, Meta(ge=1)]
    channels: Literal[1, 3]
    encoding: Annotated[str, Meta(pattern=r"\A(raw|png|jpeg)\Z")]
    options: dict[str, Any]
    sources: list[SourceSummary]
    split: str
    splits: dict[SplitName, Split]
    rejected: list[Rejection] = field(default_factory=list)
    duplicates: dict[str, int | dict[str, int]] = field(default_factory=dict)
    notes: dict[str, dict[str, int | str]] = field(default_factory=dict)
    passed_over: list[dict[str, int | str]] = field(default_factory=list)
    patients: PatientCounts | None = None
    format_version: int = FORMAT_VERSION

    @property
    def fingerprint(self) -> str:
        """Hash of what training and its checks depend on: classes, form of the images, duplicates, shards."""
        seen = (
            self.classes,
            self.image_size,
            self.channels,
            self.encoding,
            self.duplicates,
            {name: asdict(split) for name, split in self.splits.items()},
        )
        return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()

    @property
    def num_images(self) -> int:
        """Number of images in all splits."""
        return sum(split.num_examples for split in self.splits.values())

    @property
    def pixels_bytes(self) -> int:
        """Bytes of all images decoded."""
        return self.num_images * self.image_size**2 * self.channels

    @property
    def dropped(self) -> dict[str, int]:
        """Numbers of images that are in no split, by reason."""
        found = self.duplicates.get("dropped", {})
        return found if isinstance(found, dict) else {}

    @property
    def source_names(self) -> list[str]:
        """Names of the sources, in the order they were given."""
        return [source["name"] for source in self.sources]

    @property
    def test_splits(self) -> list[str]:
        """Names of the test splits, in the order of the sources."""
        return [name for name in self.splits if split_names.is_test(name)]

    @property
    def folds(self) -> int:
        """Number of folds; 0 for a dataset with `train` and `val`."""
        return sum(split_names.is_fold(name) for name in self.splits)

    def training_splits(self, fold: int | None = None) -> tuple[str, ...]:
        """Return the splits to train on: `train`, or all folds except number `fold`.

        Raises:
            UserError: `fold` is missing, does not exist, or is given for a dataset without folds.
        """
        validation = self.validation_split(fold)
        if fold is None:
            return (split_names.TRAIN,)
        names = (split_names.fold_name(number) for number in range(self.folds))
        return tuple(name for name in names if name != validation)

    def validation_split(self, fold: int | None = None) -> str:
        """Return the split to validate on: `val`, or fold number `fold`; raises as `training_splits`."""
        if fold is None and self.folds:
            raise UserError(f"the dataset is cut into {self.folds} folds; choose one with --fold 0..{self.folds - 1}")
        if fold is not None and not self.folds:
            raise UserError(f"--fold {fold}: the dataset has no folds; rebuild it with build-tfrecords --folds K")
        if fold is not None and not 0 <= fold < self.folds:
            raise UserError(f"--fold {fold}: the dataset has the folds 0..{self.folds - 1}")
        return split_names.VAL if fold is None else split_names.fold_name(fold)

    def write(self, directory: Path) -> None:
        """Write dataset.json into `directory`."""
        content = {**asdict(self), "fingerprint": self.fingerprint}
        json_files.write(directory / FILE_NAME, content | {"checksum": _checksum(content)})


@dataclass(frozen=True)
class _Sealed:
    """The keys of dataset.json that say whether the rest of it can be read."""

    format_version: int
    fingerprint: str = ""
    checksum: str = ""


def read_manifest(directory: Path) -> Manifest:
    """Read and check dataset.json of `directory`.

    Raises:
        UserError: the file is missing, damaged, edited or of another format version.
    """
    path = directory / FILE_NAME
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{directory}: no {FILE_NAME} in it; make a dataset with build-tfrecords --out DIR") from None
    sealed = json_files.decode(content, _Sealed, path, CURE)
    if sealed.format_version != FORMAT_VERSION:
        raise UserError(
            f"{path}: format version {sealed.format_version}, this fastmri-cls reads {FORMAT_VERSION}; {CURE}"
        )
    manifest = json_files.decode(content, Manifest, path, CURE)
    if sealed.fingerprint != manifest.fingerprint:
        raise UserError(f"{path}: was edited, its fingerprint does not fit; {CURE}")
    everything = json_files.decode(content, dict[str, Any], path, CURE)
    everything.pop("checksum", None)
    try:
        expected = _checksum(everything)
    except RecursionError:
        raise UserError(f"{path}: JSON is nested too deeply; {CURE}") from None
    if sealed.checksum != expected:
        raise UserError(f"{path}: was edited, its checksum does not fit; {CURE}")
    return manifest


def _checksum(content: dict[str, Any]) -> str:
    """Return the hash of the whole content, independent of the order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def check_files(directory: Path, manifest: Manifest) -> None:
    """Check that every shard exists with the size and the sha256 in dataset.json.

    Every reader of a dataset does this first. It reads every byte once, one thread per file, at 0.4 GB/s per core or
    more (measured on a loaded machine): about a second for the two public sets at 224 px, whose files the training then
    finds in the page cache.

    Raises:
        UserError: names every shard that is missing or changed.
    """
    shards = [shard for split in manifest.splits.values() for shard in split.shards]
    with ThreadPoolExecutor(available_cores()) as pool:
        problems = list(filter(None, pool.map(lambda shard: shard_problem(directory, shard), shards)))
    if problems:
        raise UserError(f"{directory}: {'; '.join(problems)}; {CURE}")


def shard_problem(directory: Path, shard: Shard) -> str | None:
    """Return what is wrong with the file of a shard, or None."""
    path = directory / shard.name
    if not path.is_file():
        return f"{shard.name}: is missing"
    size = path.stat().st_size
    if size != shard.bytes:
        return f"{shard.name}: {size} bytes, {FILE_NAME} says {shard.bytes}"
    if file_sha256(path) != shard.sha256:
        return f"{shard.name}: its sha256 is not the one in {FILE_NAME}, so its bytes have changed"
    return None
