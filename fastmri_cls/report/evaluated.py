"""The dataset that an evaluation was made on, as report and card describe it."""

from dataclasses import dataclass

from fastmri_cls.dataset import Dataset
from fastmri_cls.records.patient_counts import PatientCounts
from fastmri_cls.runs.predictions import Predictions


@dataclass(frozen=True)
class EvaluatedData:
    """The dataset that was evaluated.

    Attributes:
        name: of its folder.
        split: the split method.
        fingerprint: see `Manifest.fingerprint`.
        splits: {split: images}.
        clean: {source: (test images whose group has no training or validation image, all test images)}.
        patients: what is known of patients; None in datasets of versions that did not record it.
    """

    name: str
    split: str
    fingerprint: str
    splits: dict[str, int]
    clean: dict[str, tuple[int, int]]
    patients: PatientCounts | None

    @property
    def leaking(self) -> bool:
        """Whether any test image shares its group with a training or validation image."""
        return any(clean < images for clean, images in self.clean.values())

    @property
    def grouping(self) -> str:
        """What the groups hold that intervals and leakage go by, in sentences."""
        known = self.patients.sentence() if self.patients else "this dataset does not record which"
        text = f"A group holds the duplicates of an image and all images of a patient, as far as known ({known})."
        if self.patients and self.patients.known == self.patients.images:
            return text
        return f"{text} Images of an unknown patient count as independent, which makes the intervals too narrow."


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
        patients=dataset.manifest.patients,
    )
