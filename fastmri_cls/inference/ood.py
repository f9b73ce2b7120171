"""Out-of-distribution score: distance to the k-th nearest training image in feature space.

Deep nearest neighbours (Sun et al. 2022, arXiv 2204.06507) on the backbone's pooled features, scaled to length 1. The
distance is divided by its 99th percentile on validation images, so that a score above 1 means: farther from the
training images than 99 % of validation images. ood_features.py writes the training features into the RUN.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastmri_cls.foundation.errors import UserError

OOD_THRESHOLD = 1.0
_NEIGHBOUR = 10  # k: 1/1000 of a set like the public ones; Sun et al. take 50 of 50 000
_QUANTILE = 0.99  # fraction of validation images below OOD_THRESHOLD


@dataclass(frozen=True)
class OodReference:
    """What images are compared with.

    Attributes:
        features: unit vectors of training images, float32 [images, d].
        unit_distance: the distance that scores 1.
    """

    features: np.ndarray
    unit_distance: float

    def score(self, features: np.ndarray) -> np.ndarray:
        """Return the scores, float64 [n], of images with pooled `features` [n, d]."""
        return _distances(unit(features), self.features) / self.unit_distance

    def nearest(self, features: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of the `count` training images most similar to `features` [d], and their cosines."""
        cosines = self.features @ unit(features[None])[0]
        rows = np.argsort(-cosines)[:count]
        return rows, cosines[rows]


def fit_reference(training: np.ndarray, validation: np.ndarray) -> OodReference:
    """Return the reference for pooled features [images, d] of training and of validation images."""
    reference = unit(training)
    distance = float(np.quantile(_distances(unit(validation), reference), _QUANTILE))
    return OodReference(reference, max(distance, float(np.finfo(np.float32).eps)))


def read_reference(path: Path) -> OodReference | None:
    """Read what ood_features.py wrote, in this version or an earlier one; None where there is no file.

    Raises:
        UserError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            distance = arrays["unit_distance" if "unit_distance" in arrays else "usual"]  # the name in earlier versions
            return OodReference(unit(arrays["features"].astype(np.float32)), float(distance))
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run evaluate on the dataset of that RUN again") from None


def unit(features: np.ndarray) -> np.ndarray:
    """Return feature vectors [n, d] scaled to length 1, float32."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)


def _distances(features: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return float64 [n]: Euclidean distances of unit vectors to the k-th nearest row of `reference`."""
    k = min(_NEIGHBOUR, len(reference)) - 1
    cosines = -np.partition(-(features @ reference.T), k, axis=1)[:, k].astype(np.float64)
    return np.asarray(np.sqrt(np.maximum(2 - 2 * cosines, 0)))
