"""Options of a build: what no flag of the command line could be is refused, whoever asks."""

import math

import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.options import BuildOptions, MetadataOptions, SplitOptions


@pytest.mark.parametrize(
    ("kind", "name", "value", "message"),
    [
        (SplitOptions, "leakage", "Drop", "--leakage Drop: choose one of report, drop, fail"),
        (MetadataOptions, "inherit", "patient", "--inherit patient: choose one of patients"),
        (BuildOptions, "encoding", "webp", "--encoding webp: choose one of raw, png, jpeg"),
        (BuildOptions, "resize", "cubic", "--resize cubic: choose one of"),
        (BuildOptions, "channels", "4", "--channels 4: choose one of"),
        (BuildOptions, "image_size", 8, "--image-size 8: give a number from 16 to 2048"),
        (BuildOptions, "max_rejected", 5, "--max-rejected 5: give a number from 0 to 1"),
        (BuildOptions, "shards", 0, "--shards 0: give at least 1"),
        (SplitOptions, "val_fraction", 1.5, "--val-fraction 1.5: give a number from 0 to 0.9"),
        (SplitOptions, "test_fraction", math.nan, "--test-fraction nan: give a number"),
        (SplitOptions, "folds", 1, "--folds 1: give at least 2"),
        (SplitOptions, "seed", -1, "--seed -1: give a number from 0"),
    ],
)
def test_a_wrong_value_is_refused(kind: type, name: str, value: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        kind(**{name: value})
