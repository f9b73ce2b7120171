"""What an audit looks at: the images of source folders, or those stored in a dataset folder."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fastmri_cls.audit.leakage import Columns
from fastmri_cls.duplicates.hashing import Fingerprint, fingerprint
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log, track
from fastmri_cls.foundation.quiet import import_tensorflow
from fastmri_cls.records.catalogue import collect
from fastmri_cls.records.ingest import ingest
from fastmri_cls.records.manifest import check_files, read_manifest
from fastmri_cls.sources.decode import FileFacts, decode
from fastmri_cls.sources.folders import ClassNames, parse_sources, printable, scan

_BATCH = 64  # stored images decoded at once


@dataclass(frozen=True)
class Collection:
    """Images, number i of each column for image i.

    Fields:
        paths: relative to their sources. facts: of the files; None for a dataset, which does not keep them.
        known_groups: str [n], what belongs together whatever the pixels say (patients), or None.
        rejected: (file, reason).
        pixels: decodes the images of the given numbers, uint8 [height, width] or [height, width, 3] each.
    """

    columns: Columns
    paths: list[str]
    fingerprints: list[Fingerprint]
    facts: list[FileFacts] | None
    known_groups: np.ndarray | None
    rejected: list[tuple[str, str]]
    pixels: Callable[[Sequence[int]], list[np.ndarray]]


def read_folders(arguments: list[str], classes: ClassNames, workers: int) -> Collection:
    """Decode and fingerprint every image of the source folders `[NAME=]PATH`.

    Raises:
        UserError: a source cannot be read, or none of its files is an image.
    """
    files = [file for source in parse_sources(arguments) for file in scan(source, classes)]
    catalogue = collect(track(ingest(files, None, workers), "reading images", len(files)))
    for line in catalogue.notes.lines():
        log.warning(line)
    if not catalogue.files:
        file, reason = catalogue.rejected[0]
        raise UserError(f"none of {len(files)} files is an image (the first: {printable(str(file.path))}: {reason})")
    return Collection(
        columns=Columns(catalogue.sources, catalogue.given_splits, catalogue.labels),
        paths=[file.filename for file in catalogue.files],
        fingerprints=catalogue.fingerprints,
        facts=catalogue.facts,
        known_groups=None,
        rejected=[(printable(f"{file.source}/{file.filename}"), reason) for file, reason in catalogue.rejected],
        pixels=lambda numbers: [decode(catalogue.files[number].path) for number in numbers],
    )


def read_dataset(directory: Path) -> Collection:
    """Fingerprint every image of a dataset folder: near copies by the stored pixels, exact ones by the files' sha256.

    Raises:
        UserError: the folder is no whole dataset.
    """
    import_tensorflow()
    import tensorflow as tf

    from fastmri_cls.records.schema import parse_facts, parse_images

    manifest = read_manifest(directory)
    check_files(directory, manifest)
    form = (manifest.image_size, manifest.channels, manifest.encoding)
    shards = [(name, shard) for name, split in manifest.splits.items() for shard in split.shards]
    records = tf.data.TFRecordDataset([str(directory / shard.name) for _, shard in shards])

    def decode_batch(serialized: Any) -> Iterator[np.ndarray]:
        for image in parse_images(serialized, *form)["image"].numpy():
            yield image[:, :, 0] if manifest.channels == 1 else image

    def pixels(numbers: Sequence[int]) -> list[np.ndarray]:
        wanted = set(numbers)
        chosen = {number: next(decode_batch(record[None])) for number, record in enumerate(records) if number in wanted}
        return [chosen[number] for number in numbers]

    facts: dict[str, list[Any]] = {}
    fingerprints: list[Fingerprint] = []
    splits = np.repeat([name.partition(".")[0] for name, _ in shards], [shard.num_examples for _, shard in shards])
    for batch in track(records.batch(_BATCH), "reading shards", -(-len(splits) // _BATCH)):
        columns = {name: tensor.numpy().tolist() for name, tensor in parse_facts(batch).items()}
        for name, column in columns.items():
            facts.setdefault(name, []).extend(column)
        for image, sha256 in zip(decode_batch(batch), columns["sha256"], strict=True):
            fingerprints.append(replace(fingerprint(image), sha256=sha256.decode()))
    if len(fingerprints) != len(splits):
        raise UserError(f"{directory}: {len(fingerprints)} records where dataset.json says {len(splits)}; run verify")
    return Collection(
        columns=Columns(_text(facts["source"]), splits, _text(facts["class/text"])),
        paths=_text(facts["filename"]).tolist(),
        fingerprints=fingerprints,
        facts=None,
        known_groups=np.array(facts["group"]).astype(str),
        rejected=[],
        pixels=pixels,
    )


def _text(column: list[bytes]) -> np.ndarray:
    return np.array([value.decode() for value in column], dtype=str)
