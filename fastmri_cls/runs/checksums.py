"""checksums.json of a RUN: the sha256 of every file that is read again, so that a damaged or edited file is noticed."""

from collections.abc import Iterable
from pathlib import Path

from fastmri_cls.foundation import json_files
from fastmri_cls.foundation.checksums import file_sha256
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.runs import files

_TRAIN_AGAIN = "bring it back from a copy, or train again into another --out"
_EVALUATE_AGAIN = "run evaluate on that RUN's dataset again"


def record(run: Path, names: Iterable[str]) -> None:
    """Write the present sha256 of the files `names` of a RUN; entries of other files stay.

    Args:
        run: the RUN folder.
        names: paths relative to it; a file that does not exist is left out.
    """
    known = _read(run) | {name: file_sha256(run / name) for name in names if (run / name).exists()}
    json_files.write(run / files.CHECKSUMS, known)


def check(run: Path, names: Iterable[str]) -> None:
    """Compare the files `names` of a RUN with their recorded sha256; a file without an entry passes (unfinished RUN).

    Raises:
        UserError: a file has changed; the message names the first.
    """
    known = _read(run)
    for name in names:
        path = run / name
        if name in known and path.exists() and file_sha256(path) != known[name]:
            cure = _TRAIN_AGAIN if name in files.TRAINED else _EVALUATE_AGAIN
            raise UserError(f"{path}: has changed since it was written ({files.CHECKSUMS} has another sha256); {cure}")


def forget(run: Path) -> None:
    """Remove the checksums of a RUN whose training goes on."""
    (run / files.CHECKSUMS).unlink(missing_ok=True)


def _read(run: Path) -> dict[str, str]:
    try:
        return json_files.read(run / files.CHECKSUMS, dict[str, str], "remove it and run evaluate on that RUN again")
    except (FileNotFoundError, NotADirectoryError):
        return {}
