"""A dataset folder, opened: its facts, its stored images, and batches for training.

`Dataset` stands for the folder wherever code above the pipeline needs one. Importing this module loads no TensorFlow.
"""

import html
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.option_checks import check_choice, check_range
from fastmri_cls.records.manifest import Manifest, Split, check_files, read_manifest

if TYPE_CHECKING:
    import tensorflow as tf

    from fastmri_cls.pipeline.examples import Examples, Selection, WorkerShard
    from fastmri_cls.pipeline.reader import Facts

_READ_BATCH = 256


class Dataset:
    """A dataset folder made by `build-tfrecords`.

    Opening reads dataset.json only. Size and sha256 of every shard are compared with it before the first record is
    read, or on opening with `verify=True`.

    Args:
        path: the dataset folder.
        verify: check the shards now.

    Attributes:
        path: the dataset folder.
        manifest: the content of dataset.json.

    Raises:
        UserError: the folder is no dataset, or a shard is missing or changed.

    Example:
        >>> dataset = Dataset("data/mri")
        >>> dataset.classes
        ('glioma', 'meningioma', 'notumor', 'pituitary')
        >>> for images, facts in dataset.records("val"):
        ...     print(images.shape, facts.class_names[0])
    """

    def __init__(self, path: str | os.PathLike[str], *, verify: bool = False) -> None:
        self.path = Path(path)
        self.manifest: Manifest = read_manifest(self.path)
        self._is_checked = False
        if verify:
            self.check_files()

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.resolve().name

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; a label is an index into them."""
        return self.manifest.classes

    @property
    def splits(self) -> dict[str, Split]:
        """The splits by name: `train`, `val`, `test.<source>`, or `fold-0`, `fold-1`, ... for the first two."""
        return self.manifest.splits

    @property
    def image_size(self) -> int:
        """Height and width of the stored images in pixels."""
        return self.manifest.image_size

    @property
    def channels(self) -> int:
        """Channels of the stored images: 1 (grey) or 3 (RGB)."""
        return self.manifest.channels

    @property
    def fingerprint(self) -> str:
        """Hash of everything training depends on; equal for equal datasets in any folder."""
        return self.manifest.fingerprint

    def check_files(self) -> None:
        """Compare size and sha256 of every shard with dataset.json, once for this object.

        Raises:
            UserError: names every shard that is missing or changed.
        """
        if not self._is_checked:
            check_files(self.path, self.manifest)
            self._is_checked = True

    def count(self, splits: str | Sequence[str]) -> int:
        """Return the number of images in `splits`."""
        return sum(self.splits[name].num_examples for name in self._names(splits))

    def records(
        self, splits: str | Sequence[str], batch_size: int = _READ_BATCH
    ) -> Iterator[tuple[np.ndarray, "Facts"]]:
        """Yield the stored images of one or several splits with their facts, in the order written.

        Args:
            splits: name or names of splits.
            batch_size: images at once; a batch holds one split only.

        Yields:
            Images, uint8 [n, image_size, image_size, channels], and their facts, columns of [n].
        """
        from fastmri_cls.pipeline.reader import read_records

        names = self._names(splits)
        self.check_files()
        return read_records(self.path, self.manifest, names, batch_size)

    def facts(self, splits: str | Sequence[str]) -> "Facts":
        """Return labels, file names, groups and so on of all images of `splits`, in the order written."""
        from fastmri_cls.pipeline.reader import read_facts

        names = self._names(splits)
        self.check_files()
        return read_facts(self.path, self.manifest, names)

    def images(self, splits: str | Sequence[str], indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return chosen images of `splits`; only these are decoded.

        Args:
            splits: name or names of splits.
            indices: positions in `facts(splits)`, in any order.

        Returns:
            uint8 [len(indices), image_size, image_size, channels].
        """
        from fastmri_cls.pipeline.reader import read_images

        names = self._names(splits)
        self.check_files()
        return read_images(self.path, self.manifest, names, indices)

    def examples(
        self, selection: "str | Sequence[str] | Selection", cache: str = "none", worker: "WorkerShard | None" = None
    ) -> "Examples":
        """Open examples for training or prediction in one cache tier.

        Args:
            selection: name or names of splits, or a Selection.
            cache: `none`, `ram`, `device`, or `auto` for the fastest of them that fits.
            worker: what this worker reads of each batch; None for all of it.

        Returns:
            The examples, which deliver batches of images and labels.
        """
        from fastmri_cls.pipeline.examples import Selection, WorkerShard
        from fastmri_cls.pipeline.tiers import choose_tier, open_examples

        chosen = selection if isinstance(selection, Selection) else Selection(self._names(selection))
        self.check_files()
        if cache == "auto":
            cache = choose_tier(cache, chosen.count(self.manifest) * self.image_size**2 * self.channels)
        return open_examples(self.path, self.manifest, chosen, cache, worker or WorkerShard())

    def batches(
        self,
        splits: str | Sequence[str],
        batch_size: int = 32,
        *,
        augment: str | None = None,
        shuffle: bool | None = None,
        seed: int = 0,
        first_epoch: int = 0,
        rgb: bool = False,
        cache: str = "auto",
    ) -> "tf.data.Dataset":
        """Return batches for `keras.Model.fit`, `evaluate` and `predict`, or any other loop.

        Every iterator over the result delivers one epoch: every image of `splits` once; the last batch may be smaller.
        The next iterator delivers the next epoch, with an order and an augmentation of its own, so that
        `fit(batches, epochs=10)` trains on ten different epochs. All of them depend on `seed` and the number of the
        epoch alone: a new call of this method starts again from `first_epoch`.

        Args:
            splits: name or names of splits.
            batch_size: images in a batch.
            augment: a policy (`paper`, `paper+flip`, `randaugment`, `augmix`, `cutmix`, `mixup`), or None.
            shuffle: a new order in each epoch. None: yes for `train` and with `augment`, otherwise the order written.
            seed: of order and augmentation, 0..2**31 - 1.
            first_epoch: number of the first epoch; give `initial_epoch` of `fit` to continue a training.
            rgb: repeat the channel of grey images three times, for networks that need RGB.
            cache: `ram` decodes all images once into memory, `none` reads the shards in each epoch, `auto` takes `ram`
                if 40 % of the free memory hold the images.

        Returns:
            Dataset of (images, labels). Images are float32 [batch, image_size, image_size, channels] in 0..255, not
            normalised; labels are one-hot float32 [batch, classes], with `cutmix` and `mixup` mixed.

        Raises:
            UserError: no such split, policy or cache, a number out of range, no images, or images that do not fit into
                memory with `ram`.

        Example:
            >>> dataset = Dataset("data/mri")
            >>> train = dataset.batches("train", augment="paper")
            >>> model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
            >>> model.fit(train, validation_data=dataset.batches("val"), epochs=10)
        """
        from fastmri_cls.augment.policies import make_augmentation
        from fastmri_cls.pipeline.keras_fit import FitBatches
        from fastmri_cls.pipeline.tiers import TIERS, choose_tier

        check_range("batch_size", batch_size, 1)
        check_range("seed", seed, 0, 2**31 - 1)
        check_choice("cache", cache, ("auto", *TIERS))
        names = self._names(splits)
        if self.count(names) == 0:
            raise UserError(f"{self.path}: has no images in {'+'.join(names)}; choose another split")
        tier = choose_tier(cache, self.count(names) * self.image_size**2 * self.channels, device=False)
        batches = FitBatches(
            self.examples(names, tier),
            len(self.classes),
            batch_size,
            make_augmentation(augment or "none"),
            seed,
            shuffle=("train" in names or augment is not None) if shuffle is None else shuffle,
            rgb=rgb,
        )
        return batches.dataset(first_epoch)

    def _names(self, splits: str | Sequence[str]) -> tuple[str, ...]:
        names = (splits,) if isinstance(splits, str) else tuple(splits)
        unknown = [name for name in names if name not in self.splits]
        if unknown:
            raise UserError(f"{self.path}: has no split {unknown[0]}; choose from {', '.join(self.splits)}")
        return names

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {split.num_examples}" for name, split in self.splits.items())
        form = f"{self.image_size} x {self.image_size} x {self.channels}"
        return f"Dataset({str(self.path)!r}: {form}; {counts}; {len(self.classes)} classes)"

    def _repr_html_(self) -> str:
        """Return the table of images by split and class that a notebook shows."""
        header = "".join(f"<th>{html.escape(name)}</th>" for name in ("split", *self.classes, "all"))
        rows = []
        for name, split in self.splits.items():
            counts = [split.per_class.get(label, 0) for label in self.classes]
            cells = "".join(f"<td>{count}</td>" for count in (*counts, split.num_examples))
            rows.append(f"<tr><th>{html.escape(name)}</th>{cells}</tr>")
        form = f"{self.image_size} × {self.image_size} × {self.channels}"
        caption = f"<caption>{html.escape(str(self.path))}: {form}</caption>"
        return f"<table>{caption}<thead><tr>{header}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
