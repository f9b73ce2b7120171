"""Features on disk: one folder per split and view in the cache, written once and found by everything it depends on.

A folder holds `cut`, `pooled` and `labels` as .npy files, and `facts.json` with what the features depend on, what
computed them, and sha256 sums. Each split is stored separately, so a training on other folds finds the splits it
shares. `fastmri-cls cache` lists and removes them (foundation/cache.py).
"""

import hashlib
import json
import shutil
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from fastmri_cls.augment.batch import Augmentation
from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.atomic import new_directory, write_text
from fastmri_cls.foundation.cache import VIEWS
from fastmri_cls.foundation.checksums import file_sha256
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.gpus import visible_gpus
from fastmri_cls.foundation.openvino import is_installed
from fastmri_cls.foundation.progress import busy, log, track
from fastmri_cls.foundation.quiet import without_native_output
from fastmri_cls.models.head import Classifier
from fastmri_cls.models.surgery import CutClassifier
from fastmri_cls.pipeline.batches import EvaluationBatches, prefetch_to_accelerator
from fastmri_cls.pipeline.examples import Examples, Selection
from fastmri_cls.training.feature_writer import FeatureWriter, Rows
from fastmri_cls.training.view_forward import ViewBatch, ViewForward

NAMES = ("cut", "pooled", "labels")

_BATCH, _GPU_BATCH = 32, 256  # a GPU is not filled by 32 images; the size of a batch changes the draws of a view
_WORTHWHILE = 10_000  # images of 224 px; below, hardly more is gained than a trial takes, which is about 15 s
_RESERVE = 1 << 30  # bytes of disk that stay free


class Joined:
    """Arrays [n, ...] of one shape as if they were concatenated; they stay on disk."""

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        self.shape, self.dtype = parts[0].shape[1:], parts[0].dtype
        self._parts = parts
        self._starts = np.cumsum([0, *(len(part) for part in parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        rows = np.empty((len(indices), *self.shape), self.dtype)
        owners = np.searchsorted(self._starts, indices, side="right") - 1
        for number in np.unique(owners):
            mine = owners == number
            rows[mine] = self._parts[number][indices[mine] - self._starts[number]]
        return rows


Features = dict[str, Joined]  # `cut`, `pooled` and `labels` of the same examples


@dataclass(frozen=True)
class Source:
    """A dataset, and which of its examples are trained and validated on."""

    dataset: Dataset
    training: Selection
    validation: Selection


class FeatureStore:
    """Runs trunk and tail over a split, one view at a time, and keeps the features.

    Args:
        classifier: the whole model.
        parts: the classifier, cut.
        source: the dataset.
        augment: the augmentation of a view.
        facts: what the features depend on besides weights, cut and precision, as JSON values.
        keras_alone: use what Keras computed, nothing else; otherwise OpenVINO is tried on a CPU if it is installed.
    """

    def __init__(
        self,
        classifier: Classifier,
        parts: CutClassifier,
        source: Source,
        augment: Augmentation,
        facts: dict[str, object],
        *,
        keras_alone: bool = False,
    ) -> None:
        weights = hashlib.sha256()
        for base in classifier.bases:
            for array in base.get_weights():
                weights.update(array.tobytes())
        self._key = facts | {"weights": weights.hexdigest(), "options": vars(classifier.options), "cut": parts.places}
        self._batch = _GPU_BATCH if visible_gpus() else _BATCH
        if self._batch != _BATCH:
            self._key |= {"batch": self._batch}
        self._parts = parts
        self._source = source
        self._name = classifier.backbone.name.replace(":", "-")
        self.dtype = _storage_dtype(classifier)
        with without_native_output():  # oneDNN says once a process if it cannot compute in this type, which only stores
            tf.cast(0.0, self.dtype)
        self.root = VIEWS.directory
        self._forward = ViewForward(classifier, parts, augment, self._batch, self.dtype)
        if self._forward.drops:
            self._key |= {"drops": "keyed"}  # earlier versions drew other numbers
        self._engines = ("keras",) if keras_alone else ("keras", "openvino")
        has_choice = not (keras_alone or visible_gpus()) and classifier.options.precision != "mixed_float16"
        self._tries_openvino = has_choice and is_installed()

    def provide(self, wanted: Sequence[tuple[Selection, int | None]]) -> list[Features]:
        """Return the features of each selection and view, computed where the cache lacks them.

        Args:
            wanted: selections, each with the number of a view, or None for the images without augmentation.

        Raises:
            UserError: what is missing takes more than the free disk space, or overflows float16.
        """
        entries = [self._entries(selection, view) for selection, view in wanted]
        unique = dict.fromkeys(entry for of_one in entries for entry in of_one)
        missing = [entry for entry in unique if not _is_sound(entry.folder, self._engines)]
        rows = sum(entry.selection.count(self._source.dataset.manifest) for entry in missing)
        self._check_space(rows)
        if self._tries_openvino and rows * (self._source.dataset.image_size / 224) ** 2 >= _WORTHWHILE:
            self._try_openvino(self._source.dataset.examples(missing[0].selection))
        for entry in missing:
            self._compute(entry)
        return [{name: _load([entry.folder for entry in of_one], name) for name in NAMES} for of_one in entries]

    def _try_openvino(self, examples: Examples) -> None:
        first = next(iter(EvaluationBatches(examples, self._batch).epoch(0)))
        with busy("trying OpenVINO"):
            self._forward.try_openvino(examples.fetch(first)["image"], tf.constant([0, 0]))

    def _entries(self, selection: Selection, view: int | None) -> list["_Entry"]:
        single = [Selection((split,), selection.source) for split in selection.splits]
        return [self._entry(one, view) for one in single if one.count(self._source.dataset.manifest)]

    def _entry(self, selection: Selection, view: int | None) -> "_Entry":
        (split,) = selection.splits
        key = json.dumps(self._key | {"split": split, "source": selection.source, "view": view}, sort_keys=True)
        which = "clean" if view is None else f"view{view}"
        name = f"{self._name}-{split}-{which}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        return _Entry(selection, view, key, self.root / name)

    def _check_space(self, rows: int) -> None:
        """Log how much disk space `rows` examples take, and refuse to begin where there is less."""
        needed = rows * (int(np.prod(self._parts.trunk.output_shape[1:])) * 2 + self._parts.tail.output_shape[1] * 4)
        self.root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.root).free
        log.info(f"feature views: cut behind {self._parts.cut}, {needed / 2**30:.1f} GiB to compute in {self.root}")
        if needed > free - _RESERVE and needed:
            raise UserError(
                f"--feature-views: the missing features take {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free "
                f"in {self.root}; choose fewer views, run fastmri-cls cache clear, or set FASTMRI_CLS_CACHE to another "
                "folder"
            )

    def _compute(self, entry: "_Entry") -> None:
        (split,) = entry.selection.splits
        which = "clean" if entry.view is None else f"view {entry.view}"
        examples = self._source.dataset.examples(entry.selection)
        with new_directory(entry.folder, force=True) as directory:
            sums = self._write(directory, examples, _Draws(split, entry.view), f"features of {split}, {which}")
            facts = {"key": entry.key, "sha256": sums, "engine": self._forward.engine}
            write_text(directory / VIEWS.marker, json.dumps(facts))

    def _write(self, directory: Path, examples: Examples, draws: "_Draws", description: str) -> dict[str, str]:
        """Write the features of `examples`; return the sha256 of each file."""
        count = examples.count
        arrays: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {
            "cut": ((count, *self._parts.trunk.output_shape[1:]), np.dtype(np.uint16)),
            "pooled": ((count, *self._parts.tail.output_shape[1:]), np.dtype(np.float32)),
            "labels": ((count,), np.dtype(np.int64)),
        }
        batches = EvaluationBatches(examples, self._batch)
        ahead = prefetch_to_accelerator(batches.epoch(0), examples)
        with FeatureWriter(directory, arrays) as writer:
            for number, element in enumerate(track(ahead, description, batches.count)):
                image = examples.fetch(element)["image"]
                found = self._forward(image, number, draws.key, augmented=draws.view is not None)
                real = min(count - number * self._batch, self._batch)
                writer.append(partial(_rows, found, element["label"], real))
        return writer.sums


@dataclass(frozen=True)
class _Entry:
    """One folder of the cache: a view (None: no augmentation) of a split, and what it depends on, as JSON."""

    selection: Selection
    view: int | None
    key: str
    folder: Path


def _rows(found: ViewBatch, labels: tf.Tensor, real: int) -> Rows:
    """Return the first `real` rows of a batch on the host.

    Raises:
        UserError: a feature is not finite.
    """
    if not found.finite:
        raise UserError("--feature-views: features beyond float16's range; choose --precision mixed_bfloat16")
    return {"cut": found.cut.numpy()[:real], "pooled": found.pooled.numpy()[:real], "labels": labels.numpy()[:real]}


def _load(folders: Sequence[Path], name: str) -> Joined:
    return Joined([np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for folder in folders])


@dataclass(frozen=True)
class _Draws:
    """The seeds of a view of a split: they depend only on its number and the name of the split."""

    split: str
    view: int | None

    @property
    def key(self) -> tf.Tensor:
        """The seed of the view, int32 [2]."""
        return tf.constant([zlib.crc32(self.split.encode()) >> 1, self.view or 0])  # fits int32


def _storage_dtype(classifier: Classifier) -> tf.DType:
    """Return the type of stored features: bfloat16 for bfloat16 features; float16 is 8 times finer for float32."""
    return tf.bfloat16 if classifier.options.precision == "mixed_bfloat16" else tf.float16


def _is_sound(folder: Path, engines: Sequence[str]) -> bool:
    """Whether the folder holds what one of `engines` computed, as it was written; if so, mark it as used now."""
    try:
        facts = json.loads((folder / VIEWS.marker).read_text(encoding="utf-8"))
        sums = facts["sha256"]
        if facts.get("engine", "keras") not in engines:
            return False
        sound = all(file_sha256(folder / name) == digest for name, digest in sums.items())
    except (OSError, ValueError, KeyError):
        return False
    if sound:
        VIEWS.mark_used(folder)
    else:
        log.info(f"{folder}: damaged, computed again")
    return sound
