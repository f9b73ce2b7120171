"""What the report says of test images that a model was trained on, or that duplicate its training images."""

from fastmri_cls.evaluation.sets import POOLED
from fastmri_cls.foundation.tables import Cell, Table
from fastmri_cls.runs.metrics import TrainedOn


def trained_on_table(found: TrainedOn) -> Table:
    """Return the accuracy on the seen and the unseen test images, by test set."""
    columns = ("test set", "seen", "accuracy, seen", "unseen", "accuracy, unseen", "difference")
    rows: list[tuple[Cell, ...]] = [
        (name, part.seen, part.seen_accuracy, part.unseen, part.unseen_accuracy, part.difference)
        for name, part in found.sets.items()
    ]
    note = (
        f"Seen: the test image lies in the training set ({', '.join(found.training_sets)}; {found.images:,} images) or "
        f"duplicates one of its images in some orientation.{_not_compared(found)} Difference: seen minus unseen, with "
        "the 95 % interval of a bootstrap over groups. trained-on.csv lists every test image."
    )
    return Table("trained-on", "Test images that the training set has, and the others", columns, rows, note)


def trained_on_findings(found: TrainedOn) -> list[str]:
    """Say how many test images are seen, and whether the model is more accurate on them."""
    part = found.sets[POOLED]
    training = f"the training set ({', '.join(found.training_sets)})"
    share = f"{part.seen:,} of {part.seen + part.unseen:,} test images lie in {training} or duplicate one of its images"
    if part.seen_accuracy is None:
        return [f"No test image lies in {training} or duplicates one of its images.{_not_compared(found)}"]
    if part.unseen_accuracy is None or part.difference is None:
        return [f"All test images lie in {training} or duplicate one of its images: they say nothing about new ones."]
    is_clear = part.difference.low is not None and part.difference.low > 0
    verdict = "" if is_clear else ", which is not clearly above 0"
    return [
        f"{share}. The accuracy is {part.seen_accuracy} on them and {part.unseen_accuracy} on the others: "
        f"a difference of {part.difference}{verdict}.{_not_compared(found)}"
    ]


def _not_compared(found: TrainedOn) -> str:
    """Return a sentence on the training images that may be in the test set all the same; empty without any."""
    if not found.not_compared:
        return ""
    return (
        f" {found.not_compared:,} of the training images could not be compared: test images may duplicate them as well."
    )
