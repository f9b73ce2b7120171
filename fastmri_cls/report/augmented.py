"""The grid of the paper's Figure I: an image of each class, and what draws of a policy make of it."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fastmri_cls.augment.batch import Batch
from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.pipeline.examples import Selection, StreamedExamples
from fastmri_cls.records.manifest import Manifest
from fastmri_cls.report.figures import augmented_examples

_DRAWS = 4


def augmented_grid(data: Path, manifest: Manifest, policy: str, *, contrast: float = 1.0, seed: int = 0) -> Figure:
    """Draw the first training image of each class of dataset `data` as stored and in four draws of `policy`.

    Raises:
        UserError: there is no such policy, or no training image.
    """
    augment = make_augmentation(policy, contrast=contrast)
    splits = tuple(name for name in manifest.splits if name == "train" or name.startswith("fold-"))
    counts = [sum(manifest.splits[split].per_class.get(name, 0) for split in splits) for name in manifest.classes]
    wanted = [label for label, count in enumerate(counts) if count]
    if not wanted:
        raise UserError(f"{data}: has no training images to show; rebuild with build-tfrecords")
    images: dict[int, np.ndarray] = {}
    for batch in StreamedExamples(data, manifest, Selection(splits)).in_order(64).as_numpy_iterator():
        for image, label in zip(batch["image"], batch["label"].tolist(), strict=True):
            images.setdefault(label, image)
        if len(images) == len(wanted):
            break
    originals = np.stack([images[label] for label in wanted])
    batch = Batch(originals, np.eye(len(manifest.classes), dtype=np.float32)[wanted], np.ones(len(wanted), np.float32))
    draws = [augment(batch, np.array([seed, draw], np.int32)).images.numpy() for draw in range(_DRAWS)]
    return augmented_examples(originals, draws, [manifest.classes[label] for label in wanted], policy)
