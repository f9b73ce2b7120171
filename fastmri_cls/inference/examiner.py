"""One image -> all that the page of `try` shows: probabilities, heat map on the original, similar training images.

Works on bytes in memory. Nothing is written to disk.
"""

import threading
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.inference.ood import OodReference, read_reference
from fastmri_cls.inference.ood_features import kept_positions
from fastmri_cls.inference.predictor import PredictOptions, Predictor
from fastmri_cls.runs.run import Run
from fastmri_cls.sources.decode import decode_bytes

_NEAREST = 5


@dataclass(frozen=True)
class Similar:
    """A training image that resembles the examined one.

    Attributes:
        pixels: as stored, uint8 [size, size, 1 or 3].
        class_name: its label.
        cosine: similarity of the features, at most 1.
    """

    pixels: np.ndarray
    class_name: str
    cosine: float


@dataclass(frozen=True)
class Examined:
    """What is known of one image.

    Attributes:
        pixels: the image as decoded, uint8 [height, width], or [height, width, 3].
        probabilities: by class, the most probable first; calibrated if the RUN has a calibration.
        ood_score: out-of-distribution score; None if the RUN has no reference for it.
        heat: evidence for the most probable class, float32 [height, width], 0..1.
        similar: the most similar training images; empty where the dataset is not at hand.
        notes: what decoding had to ignore or guess, as kinds.
    """

    pixels: np.ndarray
    probabilities: dict[str, float]
    ood_score: float | None
    heat: np.ndarray
    similar: tuple[Similar, ...]
    notes: tuple[str, ...]


class Examiner:
    """A RUN, ready to examine images one by one.

    Args:
        run: a finished RUN.
        device: where to compute: `auto`, `gpu` or `cpu`.

    Attributes:
        is_calibrated: whether probabilities are calibrated.

    Raises:
        UserError: the RUN is unfinished or damaged.
    """

    def __init__(self, run: Run, device: str = "auto") -> None:
        self.run = run
        self.is_calibrated = run.calibration is not None
        options = PredictOptions(1, self.is_calibrated, explain=True, engine="keras", device=device)
        self._predictor = Predictor(run, options)
        self._lock = threading.Lock()  # one image at a time

    def examine(self, content: bytes, name: str) -> Examined:
        """Examine the content of a file.

        Raises:
            RejectedImage: it is not a usable image; the message says why.
        """
        image = decode_bytes(content, name, keep_colour=self._predictor.keeps_colour)
        with self._lock:
            found = self._predictor.examine(image)
            similar = self._similar(found.features)
        assert found.heat is not None  # asked for in __init__
        height, width = image.pixels.shape[:2]
        heat = Image.fromarray(found.heat.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
        order = np.argsort(-found.probabilities)
        return Examined(
            pixels=image.pixels,
            probabilities={self._predictor.classes[i]: float(found.probabilities[i]) for i in order},
            ood_score=found.ood_score,
            heat=np.asarray(heat),
            similar=similar,
            notes=tuple(note.kind.value.replace("_", " ") for note in image.notes),
        )

    @cached_property
    def dataset(self) -> Dataset | None:
        """The dataset of the RUN, if it is still where it was and still the same."""
        config = self.run.config
        try:
            dataset = Dataset(config.data)
        except UserError:
            return None
        return dataset if dataset.fingerprint == config.dataset.fingerprint else None

    @cached_property
    def _reference(self) -> OodReference | None:
        return read_reference(self.run.ood_reference)

    def _similar(self, features: np.ndarray | None) -> tuple[Similar, ...]:
        if features is None or self._reference is None or self.dataset is None:
            return ()
        splits = self.dataset.manifest.training_splits(self.run.config.fold)
        positions = kept_positions(self.dataset.count(splits))
        rows, cosines = self._reference.nearest(features, _NEAREST)
        if len(positions) != len(self._reference.features):
            return ()  # a reference of another version, whose rows cannot be told
        labels = self._training_labels[positions[rows]]
        images = self.dataset.images(splits, positions[rows])
        return tuple(
            Similar(pixels, self.run.config.classes[label], float(cosine))
            for pixels, label, cosine in zip(images, labels, cosines, strict=True)
        )

    @cached_property
    def _training_labels(self) -> np.ndarray:
        assert self.dataset is not None
        return self.dataset.facts(self.dataset.manifest.training_splits(self.run.config.fold)).labels
