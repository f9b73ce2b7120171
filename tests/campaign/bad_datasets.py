"""Datasets that are not as build-tfrecords left them, for train, evaluate, export, audit and verify."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.campaign.kinds import BadInput, kind
from tests.campaign.materials import TRAIN, Materials, copy

SHARD = "train-00000-of-00001.tfrecord"


def train(data: Path, folder: Path, *flags: object) -> tuple[object, ...]:
    """The command that trains on `data` into `folder`/run."""
    return ("train", "--data", data, "--out", folder / "run", *TRAIN, *flags)


def _damaged(name: str, damage: Callable[[Path, Materials], object], says: str) -> None:
    """Register the kind `name`: a training on a dataset after `damage`."""

    def make(folder: Path, given: Materials) -> BadInput:
        data = copy(given.dataset, folder / "data")
        damage(data, given)
        return BadInput(train(data, folder), says=says)

    make.__name__ = name
    kind(make)


def _edited(name: str, change: Callable[[dict[str, Any]], object], says: str = "dataset.json") -> None:
    """Register the kind `name`: a training on a dataset whose dataset.json was edited."""

    def damage(data: Path, given: Materials) -> None:
        content = json.loads((data / "dataset.json").read_text())
        change(content)
        (data / "dataset.json").write_text(json.dumps(content, indent=2))

    _damaged(name, damage, says)


def flip(path: Path, place: int | float) -> None:
    """Flip a bit of a file at a byte, or at a share of its length."""
    content = bytearray(path.read_bytes())
    content[int(place * len(content)) if isinstance(place, float) else place] ^= 4
    path.write_bytes(content)


_damaged("dataset_folder_is_empty", lambda d, _: [shutil.rmtree(d), d.mkdir()], "data")
_damaged("dataset_json_empty", lambda d, _: (d / "dataset.json").write_text(""), "dataset.json")
_damaged("dataset_json_cut", lambda d, _: _cut(d / "dataset.json", 0.5), "dataset.json")
_damaged("dataset_json_of_bytes", lambda d, _: (d / "dataset.json").write_bytes(b"\xff\0\1"), "dataset.json")
_damaged("dataset_json_a_list", lambda d, _: (d / "dataset.json").write_text("[]"), "dataset.json")
_damaged("dataset_json_deep", lambda d, _: (d / "dataset.json").write_text("[" * 10**5), "dataset.json")
_edited("dataset_of_another_version", lambda c: c.update(format_version=99), "format version 99")
_edited("dataset_with_another_image_size", lambda c: c.update(image_size=64))
_edited("dataset_with_an_absurd_image_size", lambda c: c.update(image_size=10**9))
_edited("dataset_with_classes_swapped", lambda c: c["classes"].reverse())
_edited("dataset_with_another_resize", lambda c: c["options"].update(resize="nearest"))
_edited("dataset_with_another_split_method", lambda c: c.update(split="grouped"))
_edited("dataset_with_another_count", lambda c: c["splits"]["train"].update(num_examples=10**12))
_edited("dataset_with_a_shard_elsewhere", lambda c: c["splits"]["train"]["shards"][0].update(name="../x.tfrecord"))
_edited("dataset_with_text_for_a_number", lambda c: c.update(channels="many"))
_damaged("shard_missing", lambda d, _: (d / SHARD).unlink(), SHARD)
_damaged("shard_empty", lambda d, _: (d / SHARD).write_bytes(b""), SHARD)
_damaged("shard_cut", lambda d, _: _cut(d / SHARD, 0.7), SHARD)
_damaged("shard_with_a_flipped_bit_in_a_payload", lambda d, _: flip(d / SHARD, 0.5), SHARD)
_damaged("shard_with_a_flipped_bit_in_a_length", lambda d, _: flip(d / SHARD, 2), SHARD)
_damaged("shard_of_another_dataset", lambda d, g: shutil.copy(g.other / SHARD, d / SHARD), SHARD)


def _cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def _repeat_a_record(path: Path) -> None:
    """Put the first record in the place of the second, which is as long."""
    content = path.read_bytes()
    size = 16 + int.from_bytes(content[:8], "little")
    path.write_bytes(content[:size] + content[:size] + content[2 * size :])


_damaged("shard_with_a_repeated_record", lambda d, _: _repeat_a_record(d / SHARD), SHARD)


@kind
def dataset_not_there(folder: Path, given: Materials) -> BadInput:
    return BadInput(train(folder / "absent", folder), says="absent")


@kind
def dataset_is_a_file(folder: Path, given: Materials) -> BadInput:
    (folder / "data").write_text("x")
    return BadInput(train(folder / "data", folder), says="data")


@kind
def dataset_is_a_source_of_one_class(folder: Path, given: Materials) -> BadInput:
    copy(given.source / "Training" / "glioma", folder / "source" / "glioma")
    return BadInput(train(folder / "source", folder), says="only the class glioma", makes=("cache",))


@kind
def dataset_too_small_for_a_batch(folder: Path, given: Materials) -> BadInput:
    return BadInput(train(given.dataset, folder, "--batch-size", 10_000), says="--batch-size")


@kind
def dataset_with_other_classes_for_evaluate(folder: Path, given: Materials) -> BadInput:
    data = _with_classes(given, folder)
    return BadInput(("evaluate", given.run, "--data", data, "--out", folder / "out"), says="has the classes")


@kind
def dataset_with_other_classes_for_export(folder: Path, given: Materials) -> BadInput:
    data = _with_classes(given, folder)
    command = ("export", given.run, "--format", "saved_model", "--out", folder / "out", "--data", data)
    return BadInput(command, says="classes is")


def _with_classes(given: Materials, folder: Path) -> Path:
    """The dataset with a class under another name, its fingerprints as they must be."""
    from dataclasses import replace

    from fastmri_cls.records.manifest import read_manifest

    data = copy(given.dataset, folder / "data")
    manifest = read_manifest(data)
    replace(manifest, classes=("a", *manifest.classes[1:])).write(data)
    return data


@kind
def shard_of_another_dataset_for_evaluate(folder: Path, given: Materials) -> BadInput:
    data = copy(given.dataset, folder / "data")
    name = "test.mri-00000-of-00001.tfrecord"
    shutil.copy(given.other / name, data / name)
    return BadInput(("evaluate", given.run, "--data", data, "--out", folder / "out"), says=name)


@kind
def shard_with_a_flipped_bit_for_audit(folder: Path, given: Materials) -> BadInput:
    data = copy(given.dataset, folder / "data")
    flip(data / SHARD, 0.5)
    return BadInput(("audit", data, "--out", folder / "out", "--workers", 1), says=SHARD)


@kind
def shard_with_a_flipped_bit_for_verify(folder: Path, given: Materials) -> BadInput:
    data = copy(given.dataset, folder / "data")
    flip(data / SHARD, 0.5)
    return BadInput(("verify", data), prints=f"{SHARD}: its sha256")
