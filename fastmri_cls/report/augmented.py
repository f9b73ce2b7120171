"""One image of each class as stored, and after several draws of an augmentation policy (the paper's Figure I)."""

import numpy as np
from matplotlib.figure import Figure

from fastmri_cls.augment.batch import Batch
from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.split_names import is_training
from fastmri_cls.report.figures import augmented_examples

_DRAWS = 4


def augmented_grid(dataset: Dataset, policy: str, *, contrast: float = 1.0, seed: int = 0) -> Figure:
    """Draw the first training image of each class, as stored and in four draws of `policy`.

    Args:
        dataset: an opened dataset.
        policy: name of the augmentation policy.
        contrast: contrast factor of the protocol.
        seed: of the draws.

    Raises:
        UserError: there is no such policy, or no training image.
    """
    augment = make_augmentation(policy, contrast=contrast)
    splits = [name for name in dataset.splits if is_training(name)]
    present, first = np.unique(dataset.facts(splits).labels, return_index=True)
    if not len(present):
        raise UserError(f"{dataset.path}: has no training images to show; rebuild with build-tfrecords")
    originals = dataset.images(splits, first)
    targets = np.eye(len(dataset.classes), dtype=np.float32)[present]
    batch = Batch(originals, targets, np.ones(len(present), np.float32))
    draws = [augment(batch, np.array([seed, draw], np.int32)).images.numpy() for draw in range(_DRAWS)]
    return augmented_examples(originals, draws, [dataset.classes[label] for label in present], policy)
