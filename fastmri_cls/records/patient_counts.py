"""What dataset.json and audit.json say about patients: counts and sentences, never an id."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PatientOverlap:
    """The test images of one source: how many have a known patient, and one with images in training.

    `in_own_training` counts training images of the same source only, `in_training` those of any source.
    """

    images: int
    known: int
    in_own_training: int
    in_training: int


@dataclass(frozen=True)
class Inheritance:
    """What `--inherit patients` found.

    Attributes:
        images: images that got the patient of an image they duplicate.
        without: images that had none before.
        by_source: source -> split -> class -> (images that got one, images without one before).
        duplicate_groups: groups of duplicates.
        patient_groups: groups after joining those that share a patient.
        groups_with_two_patients: groups of duplicates that hold images of two patients; they give no id.
        contradictions: image, its label, the original and its label, where the labels differ.
    """

    images: int
    without: int
    by_source: dict[str, dict[str, dict[str, tuple[int, int]]]]
    duplicate_groups: int
    patient_groups: int
    groups_with_two_patients: int
    contradictions: list[dict[str, str]]


@dataclass(frozen=True)
class PatientCounts:
    """What is known about patients: their number, the images with a known one, where ids come from (images each).

    `straddling` patients have images in more than one split; `tests` is by source. `volumes` are those with an unknown
    patient; the slices of each stay together.
    """

    patients: int
    images: int
    known: int
    origins: dict[str, int]
    straddling: int
    tests: dict[str, PatientOverlap]
    volumes: int = 0
    inherited: Inheritance | None = None

    def sentence(self) -> str:
        """Return the sentence for terminal, card and report."""
        if not self.known:
            return f"patients unknown: slices of one patient may be on both sides{self._of_volumes()}"
        counted = ", ".join(f"{name} ({count} images)" for name, count in self.origins.items())
        text = f"{self.patients} patients from {next(iter(self.origins)) if len(self.origins) == 1 else counted}"
        unknown = self.images - self.known
        return (
            text
            + (f"; of {unknown} images unknown: their patients may be on both sides" if unknown else "")
            + self._of_volumes()
        )

    def _of_volumes(self) -> str:
        return f"; slices of one volume are on one side ({self.volumes} volumes)" if self.volumes else ""

    def lines(self) -> list[str]:
        """Return the sentence, then what else to know: patients in two splits, tests whose patient is trained on."""
        lines = [self.sentence()]
        if self.straddling:
            lines.append(f"{self.straddling} patients have images in more than one split")
        return lines + [
            f"test images of {source}: {found.in_training} of {found.images} have their patient in training"
            + (f" ({found.images - found.known} with unknown patient)" if found.known < found.images else "")
            for source, found in self.tests.items()
            if found.known
        ]
