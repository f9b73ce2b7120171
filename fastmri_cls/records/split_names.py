"""The names of splits; no other module takes one apart.

`train` and `val`, or `fold-0`, `fold-1`, ... in place of both; and `test.SOURCE` for each source with test images.
"""

TRAIN = "train"
VAL = "val"
TEST = "test"
KINDS = (TRAIN, VAL, TEST)
_FOLD, _OF_SOURCE = "fold-", "."

# What a source may be called, and so what is safe in the name of a file.
SOURCE_PATTERN = r"[A-Za-z0-9_-]+"
PATTERN = rf"\A({TRAIN}|{VAL}|{_FOLD}[0-9]{{1,9}}|{TEST}\.{SOURCE_PATTERN})\Z"


def fold_name(number: int) -> str:
    """Return the name of a fold's split."""
    return f"{_FOLD}{number}"


def test_name(source: str) -> str:
    """Return the name of the test split of a source."""
    return f"{TEST}{_OF_SOURCE}{source}"


def is_fold(name: str) -> bool:
    """Return whether a split is a fold."""
    return name.startswith(_FOLD)


def is_test(name: str) -> bool:
    """Return whether a split is the test split of a source."""
    return kind_of(name) == TEST


def is_training(name: str) -> bool:
    """Return whether a split is `train` or a fold."""
    return name == TRAIN or is_fold(name)


def kind_of(name: str) -> str:
    """Return `train`, `val`, `test` or `fold-N`: the name without its source."""
    return name.partition(_OF_SOURCE)[0]


def source_of(name: str) -> str | None:
    """Return the source of a test split, None for the other splits, which hold images of all sources."""
    return name.partition(_OF_SOURCE)[2] or None
