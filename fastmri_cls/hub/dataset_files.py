"""A dataset as it goes to the hub: the same images and splits under running numbers in place of file names.

What names a file, a folder or a table on its owner's machine is left out of dataset.json, and times of change out of
images.csv; shards get new bytes, and so the dataset another fingerprint.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.checksums import file_sha256
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import track
from fastmri_cls.records.example import parse
from fastmri_cls.records.images_csv import ImageRow, read_images_csv, write_images_csv
from fastmri_cls.records.manifest import CURE, Manifest, Shard
from fastmri_cls.records.options import BuildOptions, MetadataOptions
from fastmri_cls.records.patient_counts import PatientCounts
from fastmri_cls.records.tfrecord import read_records, write_record
from fastmri_cls.sources.storage import FileStamp

WITHHELD = "(not published)"
_ORIGIN = "published_from"  # key of the options: the fingerprint of the dataset with file names

_Numbers = Mapping[tuple[str, str], str]  # (source, file name) -> its number


def publish_dataset(dataset: Dataset, folder: Path) -> Manifest:
    """Write shards, images.csv and dataset.json of a dataset into an empty folder, as they go to the hub.

    Returns:
        The content of the new dataset.json.

    Raises:
        UserError: the dataset is damaged, or is one that was pulled from the hub.
    """
    dataset.check_files()
    rows = read_images_csv(dataset.path)
    numbers = {(row.source, row.filename): f"{number:06}" for number, row in enumerate(rows)}
    splits = {}
    for name, split in track(dataset.splits.items(), "replacing file names (splits)", len(dataset.splits)):
        shards = [_publish_shard(dataset.path, shard, folder, numbers) for shard in split.shards]
        splits[name] = replace(split, shards=tuple(shards))
    write_images_csv(folder, [_publish_row(row, numbers) for row in rows])
    manifest = replace(without_names(dataset.manifest), splits=splits)
    manifest.options[_ORIGIN] = dataset.fingerprint
    manifest.write(folder)
    return manifest


def without_names(manifest: Manifest) -> Manifest:
    """Return the content of dataset.json without what names files, folders or tables; again, it changes nothing."""
    options = _known(manifest.options, BuildOptions)
    options["metadata"] = _known(options.get("metadata", {}), MetadataOptions) | {"table": [], "patient_pattern": None}
    sources = " ".join(f"{name}={name}" for name in manifest.source_names)
    options["command"] = f"fastmri-cls build-tfrecords {sources} --out DIR"
    if _ORIGIN in manifest.options:
        options[_ORIGIN] = manifest.options[_ORIGIN]
    return replace(
        manifest,
        options=options,
        sources=[{**source, "path": WITHHELD} for source in manifest.sources],
        rejected=[
            {"path": f"{_source(entry['path'], manifest)}/{WITHHELD}", "reason": WITHHELD}
            for entry in manifest.rejected
        ],
        notes={kind: _counts(found) for kind, found in manifest.notes.items()},
        passed_over=[_counts(entry) for entry in manifest.passed_over],
        patients=manifest.patients and _publish_patients(manifest.patients),
    )


def is_published(manifest: Manifest) -> bool:
    """Return whether a dataset.json is one that `publish_dataset` wrote: nothing in it names a file."""
    return _ORIGIN in manifest.options and asdict(without_names(manifest)) == asdict(manifest)


def _publish_shard(directory: Path, shard: Shard, folder: Path, numbers: _Numbers) -> Shard:
    """Copy a shard with numbers for file names."""
    path = folder / shard.name
    with path.open("wb") as file:
        for serialized in read_records(directory / shard.name):
            try:
                example = parse(serialized)
                number = numbers[example.source, example.filename]
            except (ValueError, KeyError) as error:
                raise UserError(f"{directory}: {shard.name} and images.csv do not fit ({error}); {CURE}") from None
            write_record(file, replace(example, filename=number).serialize())
    return Shard(path.name, shard.num_examples, path.stat().st_size, file_sha256(path))


def _publish_row(row: ImageRow, numbers: _Numbers) -> ImageRow:
    return replace(row, filename=numbers[row.source, row.filename], file=FileStamp(row.file.bytes, 0))


def _publish_patients(counts: PatientCounts) -> PatientCounts:
    """Return the counts without the images whose labels contradict each other."""
    return replace(counts, inherited=counts.inherited and replace(counts.inherited, contradictions=[]))


def _known(values: Mapping[str, Any], kind: type[BuildOptions] | type[MetadataOptions]) -> dict[str, Any]:
    """Return the values that are fields of a dataclass."""
    return {field.name: values[field.name] for field in fields(kind) if field.name in values}


def _counts(values: Mapping[str, Any]) -> dict[str, int | str]:
    return {name: value for name, value in values.items() if isinstance(value, int)}


def _source(path: str, manifest: Manifest) -> str:
    """Return the source of a rejected file, SOURCE/FILE."""
    return next((name for name in manifest.source_names if path.startswith(f"{name}/")), WITHHELD)
