"""trained-on.csv: for every test image whether the model was trained on it or on a duplicate of it."""

import csv
from pathlib import Path

from fastmri_cls.foundation.atomic import new_file
from fastmri_cls.referee.trained_on import Seen
from fastmri_cls.runs.predictions import Predictions

_COLUMNS = ("source", "filename", "label", "prediction", "seen", "duplicate_of", "orientation")


def write_trained_on(path: Path, tests: Predictions, found: Seen) -> None:
    """Write one row for each test image; `duplicate_of` names a training image, which may be the test image itself."""
    names = tests.classes
    with new_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for i in range(len(tests)):
            writer.writerow(
                (
                    tests.sources[i],
                    tests.filenames[i],
                    names[tests.labels[i]],
                    names[tests.predicted[i]],
                    int(found.seen[i]),
                    found.duplicate_of[i],
                    found.orientation[i],
                )
            )
