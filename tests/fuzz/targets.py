"""The readers of bytes from outside as targets: seeds made by code, and a check that raises only on a finding.

A finding is any exception but the clear ones (UserError, RejectedImage), a wrong result, or far more memory than the
input can need. `scripts/fuzz TARGET` mutates the seeds guided by coverage; test_findings.py replays what was found.
"""

import hashlib
import io
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.manifest import (
    FILE_NAME,
    FORMAT_VERSION,
    Manifest,
    Shard,
    Split,
    _checksum,
    check_files,
    read_manifest,
)
from tests.fuzz.checking import Target, fuzz_folder, one_line, within_memory
from tests.fuzz.image_targets import IMAGE_TARGETS
from tests.fuzz.source_targets import SOURCE_TARGETS

_SIZE = 8


# --- manifest: dataset.json -------------------------------------------------------------------------------------------


def small_manifest(encoding: str = "raw", record: bytes = b"") -> Manifest:
    """Return a manifest of one shard `one.tfrecord` that holds `record`."""
    content = framed(record)
    shard = Shard("one.tfrecord", 1, len(content), hashlib.sha256(content).hexdigest())
    return Manifest(
        classes=("a", "b"), image_size=_SIZE, channels=1, encoding=encoding, options={"resize": "bilinear", "seed": 0},
        sources=[{"name": "s", "path": "nowhere", "num_files": 1}], split="grouped",
        splits={"train": Split(1, {"a": 1, "b": 0}, {"s": 1}, (shard,)), "test.s": Split(0, {"a": 0, "b": 0}, {}, ())},
        rejected=[{"path": "s/x.jpg", "reason": "the file is empty"}], duplicates={"exact": 0, "straddling": 0},
    )  # fmt: skip


def manifest_seeds() -> list[bytes]:
    """Return a whole manifest and some that are nearly one."""
    small_manifest().write(fuzz_folder())
    whole = (fuzz_folder() / FILE_NAME).read_bytes()
    content = json.loads(whole)
    variants: list[dict[str, Any]] = [
        {**content, "format_version": 3}, {**content, "splits": {}}, {**content, "image_size": 1e400},
        {**content, "channels": "3"}, {**content, "classes": "ab"}, {**content, "sources": None},
    ]  # fmt: skip
    return [whole, b"[]", b"{", b"[" * 2000, *(json.dumps(variant).encode() for variant in variants)]


def check_manifest(data: bytes) -> None:
    """dataset.json of `data` is refused clearly, or is a manifest that everything else can work with."""
    folder = fuzz_folder()
    path = folder / FILE_NAME
    path.write_bytes(data)
    with within_memory():
        _read_or_refuse(folder)
        # Once more with the fingerprint that fits, which no mutation would hit: a checksum keeps no attacker out.
        try:
            content = json.loads(data)
            content["fingerprint"] = msgspec.convert(content, Manifest).fingerprint
            content["format_version"] = FORMAT_VERSION
            content.pop("checksum", None)
            content["checksum"] = _checksum(content)
        except Exception:  # what is wrong with it was read_manifest's to say, above
            return
        path.write_text(json.dumps(content), encoding="utf-8")
        manifest = _read_or_refuse(folder)
    if manifest is None:
        return
    assert manifest.image_size > 0
    assert manifest.channels in (1, 3)
    assert manifest.pixels_bytes >= 0
    for use in (lambda: check_files(folder, manifest), manifest.validation_split, manifest.training_splits):
        try:
            use()
        except UserError as error:
            one_line(error)
    manifest.write(folder)
    assert read_manifest(folder) == manifest


def _read_or_refuse(folder: Path) -> Manifest | None:
    try:
        return read_manifest(folder)
    except UserError as error:
        one_line(error)
        return None


# --- record: a tf.train.Example in a shard ----------------------------------------------------------------------------


def record_seeds() -> list[bytes]:
    """Return one record of each encoding, and some with a feature amiss; the first byte chooses the encoding."""
    from fastmri_cls.records.example import Example

    pixels = np.arange(_SIZE * _SIZE, dtype=np.uint8).reshape(_SIZE, _SIZE)
    whole = Example(b"", "raw", _SIZE, 1, 0, "a", "s", "a/1.jpg", "0" * 64, 0, True)
    seeds = []
    for number, encoding in enumerate(_ENCODINGS):
        example = replace(whole, encoded=_encoded(pixels, encoding), format=encoding)
        amiss = [replace(example, encoded=b""), replace(example, label=-1), replace(example, filename="")]
        seeds += [bytes([number]) + one.serialize() for one in (example, *amiss)]
    return seeds


def check_record(data: bytes) -> None:
    """`verify` tells what is wrong with a shard that holds the record, and training's reader reads it or says so."""
    import tensorflow as tf

    from fastmri_cls.records import verify
    from fastmri_cls.records.images_csv import write_images_csv

    number, record = (data[0] if data else 0), data[1:]
    folder = fuzz_folder()
    manifest = replace(small_manifest(_ENCODINGS[number % len(_ENCODINGS)], record), sources=[])
    if not (folder / "images.csv").exists():
        write_images_csv(folder, [])
    (folder / "one.tfrecord").write_bytes(framed(record))
    with within_memory():
        problems = verify.find_problems(folder, manifest)
        assert not any("\n" in problem for problem in problems)
        if any("does not parse" in problem for problem in problems):
            return  # it can crash TensorFlow 2.21, so datasets of strangers are run through `verify` first
        try:
            for batch in _training_reader(manifest.encoding):
                assert batch["image"].shape[1:] == (_SIZE, _SIZE, 1)
        except tf.errors.InvalidArgumentError:
            pass  # cli/app.py makes one line of it


_ENCODINGS = ("raw", "png", "jpeg")


@cache
def _training_reader(encoding: str) -> Any:
    """The dataset training reads, which opens the shard again each time it is iterated."""
    from fastmri_cls.pipeline.examples import Selection, StreamedExamples

    return StreamedExamples(fuzz_folder(), small_manifest(encoding), Selection(("train",))).in_order(1)


def _encoded(pixels: np.ndarray, encoding: str) -> bytes:
    if encoding == "raw":
        return pixels.tobytes()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, encoding)
    return buffer.getvalue()


def framed(record: bytes) -> bytes:
    """TFRecord's frame: length, its checksum, the record, its checksum, so that the mutation reaches the parser."""
    length = len(record).to_bytes(8, "little")
    return length + _masked_crc(length) + record + _masked_crc(record)


@cache
def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # Castagnoli's polynomial, reversed
        table.append(value)
    return table


def _masked_crc(data: bytes) -> bytes:
    crc, table = 0xFFFFFFFF, _crc_table()
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


TARGETS = {
    "manifest": Target(manifest_seeds, check_manifest),
    "record": Target(record_seeds, check_record),
    **IMAGE_TARGETS,
    **SOURCE_TARGETS,
}
