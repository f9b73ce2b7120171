"""The dataset that an evaluation was made on, as report and card describe it."""

from dataclasses import dataclass

from fastmri_cls.dataset import Dataset
from fastmri_cls.runs.predictions import Predictions


@dataclass(frozen=True)
class EvaluatedData:
    """The dataset that was evaluated.

    Attributes:
        name: of its folder.
        split: the split method.
        fingerprint: see `Manifest.fingerprint`.
        splits: {split: images}.
        clean: {source: (test images without a duplicate in training or validation, all test images)}.
    """

    name: str
    split: str
    fingerprint: str
    splits: dict[str, int]
    clean: dict[str, tuple[int, int]]

    @property
    def leaking(self) -> bool:
        """Whether any test image has a duplicate in training or validation."""
        return any(clean < images for clean, images in self.clean.values())


def evaluated_data(dataset: Dataset, tests: Predictions) -> EvaluatedData:
    """Describe a dataset and its test images."""
    return EvaluatedData(
        name=dataset.name,
        split=dataset.manifest.split,
        fingerprint=dataset.fingerprint,
        splits={name: split.num_examples for name, split in dataset.splits.items()},
        clean={
            source: (int(tests.clean[tests.sources == source].sum()), int((tests.sources == source).sum()))
            for source in tests.source_names
        },
    )
