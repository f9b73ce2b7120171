"""dataset.json: what a dataset folder holds, read and written here alone.

The manifest is the contract between building and training. Counts, bytes and sha256 of every shard stand in it, because
TFRecord files that are cut at a record boundary, emptied or swapped are read without a word.
"""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from fastmri_cls.foundation.atomic import write_text
from fastmri_cls.foundation.checksums import file_sha256
from fastmri_cls.foundation.cpu import available_cores
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.patient_counts import PatientCounts

FORMAT_VERSION = 2
FILE_NAME = "dataset.json"
_ENCODINGS = ("raw", "png", "jpeg")


@dataclass(frozen=True)
class Shard:
    """One TFRecord file: its name in the dataset folder, examples, bytes and sha256."""

    name: str
    num_examples: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Split:
    """One split: its counts by class and by source, and its shards in reading order."""

    num_examples: int
    per_class: dict[str, int]
    per_source: dict[str, int]
    shards: tuple[Shard, ...]


@dataclass(frozen=True)
class Manifest:
    """Everything dataset.json says; `split` is the method (published, grouped, ...), `splits` its result by name."""

    classes: tuple[str, ...]
    image_size: int
    channels: int
    encoding: str
    options: dict[str, Any]
    sources: list[dict[str, Any]]
    split: str
    splits: dict[str, Split]
    rejected: list[dict[str, str]] = field(default_factory=list)
    duplicates: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, dict[str, int | str]] = field(default_factory=dict)
    passed_over: list[dict[str, int | str]] = field(default_factory=list)
    patients: PatientCounts | None = None
    format_version: int = FORMAT_VERSION

    @property
    def fingerprint(self) -> str:
        """The sha256 of what training and its checks see: classes, image form, duplicates, shards of all splits."""
        seen = (
            self.classes,
            self.image_size,
            self.channels,
            self.encoding,
            self.duplicates,
            {k: asdict(v) for k, v in self.splits.items()},
        )
        return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()

    @property
    def pixels_bytes(self) -> int:
        """Bytes of all images decoded."""
        count = sum(split.num_examples for split in self.splits.values())
        return count * self.image_size**2 * self.channels

    @property
    def test_splits(self) -> list[str]:
        """Names of the test splits, `test.<source>`, in the order of the sources."""
        return [name for name in self.splits if name.startswith("test.")]

    @property
    def folds(self) -> int:
        """How many splits `fold-0`, `fold-1`, ... stand in place of `train` and `val`; 0 where there are none."""
        return sum(name.startswith("fold-") for name in self.splits)

    def training_splits(self, fold: int | None = None) -> tuple[str, ...]:
        """Return the splits to train on: `train`, or all folds but number `fold`.

        Raises:
            UserError: a fold is asked for and there are none, or the other way round, or no such fold.
        """
        validation = self.validation_split(fold)
        if fold is None:
            return ("train",)
        return tuple(name for number in range(self.folds) if (name := f"fold-{number}") != validation)

    def validation_split(self, fold: int | None = None) -> str:
        """Return the split to validate on: `val`, or fold number `fold`; raises as `training_splits`."""
        if fold is None and self.folds:
            raise UserError(f"the dataset is cut into {self.folds} folds; choose one with --fold 0..{self.folds - 1}")
        if fold is not None and not self.folds:
            raise UserError(f"--fold {fold}: the dataset has no folds; rebuild it with build-tfrecords --folds K")
        if fold is not None and not 0 <= fold < self.folds:
            raise UserError(f"--fold {fold}: the dataset has the folds 0..{self.folds - 1}")
        return "val" if fold is None else f"fold-{fold}"

    @property
    def source_names(self) -> list[str]:
        """Names of the sources, in the order they were given."""
        return [source["name"] for source in self.sources]

    def write(self, directory: Path) -> None:
        """Write dataset.json into `directory`."""
        content = {**asdict(self), "fingerprint": self.fingerprint}
        content["checksum"] = _checksum(content)
        write_text(directory / FILE_NAME, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_manifest(directory: Path) -> Manifest:
    """Read and check dataset.json of `directory`.

    Raises:
        UserError: there is none, it is not valid, of another format version, or was edited (its fingerprint differs).
    """
    path = directory / FILE_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{directory}: no {FILE_NAME} in it; make a dataset with build-tfrecords --out DIR") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); rebuild with build-tfrecords --force") from None
    if not isinstance(content, dict) or "format_version" not in content:
        raise UserError(f"{path}: has no format_version; rebuild with build-tfrecords --force")
    if content["format_version"] != FORMAT_VERSION:
        raise UserError(
            f"{path}: format version {content['format_version']!r}, this fastmri-cls reads {FORMAT_VERSION}; "
            "rebuild with build-tfrecords --force"
        )
    try:
        manifest = _from_json(content)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(
            f"{path}: {type(error).__name__} {error} where a dataset manifest was expected; "
            "rebuild with build-tfrecords --force"
        ) from None
    if content.get("fingerprint") != manifest.fingerprint:
        raise UserError(f"{path}: was edited, its fingerprint does not fit; rebuild with build-tfrecords --force")
    if content.pop("checksum", None) != _checksum(content):
        raise UserError(f"{path}: was edited, its checksum does not fit; rebuild with build-tfrecords --force")
    return manifest


def _checksum(content: Mapping[str, Any]) -> str:
    """The sha256 of all that dataset.json says, in whatever order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _from_json(content: Mapping[str, Any]) -> Manifest:
    splits = {
        name: Split(
            num_examples=int(split["num_examples"]),
            per_class={str(key): int(count) for key, count in split["per_class"].items()},
            per_source={str(key): int(count) for key, count in split["per_source"].items()},
            shards=tuple(
                Shard(_file_name(shard["name"]), int(shard["num_examples"]), int(shard["bytes"]), str(shard["sha256"]))
                for shard in split["shards"]
            ),
        )
        for name, split in content["splits"].items()
    }
    manifest = Manifest(
        classes=tuple(str(name) for name in content["classes"]),
        image_size=int(content["image_size"]),
        channels=int(content["channels"]),
        encoding=str(content["encoding"]),
        options=dict(content["options"]),
        sources=[
            {"name": str(s["name"]), "path": str(s["path"]), "num_files": int(s["num_files"])}
            for s in content["sources"]
        ],
        split=str(content["split"]),
        splits=splits,
        rejected=[{"path": str(r["path"]), "reason": str(r["reason"])} for r in content["rejected"]],
        duplicates=dict(content["duplicates"]),
        notes=dict(content.get("notes", {})),
        passed_over=[dict(entry) for entry in content.get("passed_over", [])],
        patients=msgspec.convert(content.get("patients"), PatientCounts | None),
    )
    if manifest.image_size < 1 or manifest.channels not in (1, 3) or manifest.encoding not in _ENCODINGS:
        raise ValueError(f"{manifest.encoding} {manifest.image_size} x {manifest.image_size} x {manifest.channels}")
    counts = [n for s in splits.values() for n in (s.num_examples, *(shard.num_examples for shard in s.shards))]
    if min(counts, default=0) < 0:
        raise ValueError(f"a count of {min(counts)}")
    return manifest


def _file_name(name: str) -> str:
    if Path(name).name != name:
        raise ValueError(f"shard name {name!r} leaves the dataset folder")
    return name


def check_files(directory: Path, manifest: Manifest) -> None:
    """The check every reader makes: each shard is there with the size and the sha256 dataset.json says.

    Every byte is read once, a file a thread, at 0.4 GB/s a core or more (measured on a loaded machine): about a second
    for the two public sets at 224 px, whose files the training then finds in the page cache.

    Raises:
        UserError: naming every shard that is missing, of another size or of other bytes.
    """
    shards = [shard for split in manifest.splits.values() for shard in split.shards]
    with ThreadPoolExecutor(available_cores()) as pool:
        problems = [problem for problem in pool.map(lambda shard: _shard_problem(directory, shard), shards) if problem]
    if problems:
        raise UserError(f"{directory}: {'; '.join(problems)}; rebuild with build-tfrecords --force")


def _shard_problem(directory: Path, shard: Shard) -> str:
    path = directory / shard.name
    if not path.is_file():
        return f"{shard.name} is missing"
    size = path.stat().st_size
    if size != shard.bytes:
        return f"{shard.name} has {size} bytes, {FILE_NAME} says {shard.bytes}"
    return "" if file_sha256(path) == shard.sha256 else f"{shard.name} has other bytes than {FILE_NAME} says"
