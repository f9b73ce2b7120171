"""checksums.json of a RUN: the sha256 of every file that is read back, so that damage or an edit is never a result."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from fastmri_cls.foundation.atomic import write_text
from fastmri_cls.foundation.errors import UserError

FILE_NAME = "checksums.json"
TRAINED = ("config.json", "model.keras", "history.csv")  # what training leaves; all else comes from evaluate
_TRAIN_AGAIN = "bring it back from a copy, or train again into another --out"
_EVALUATE_AGAIN = "run evaluate on that RUN's dataset again"


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record(run: Path, names: Iterable[str]) -> None:
    """Note the files `names` of a RUN as they are now; what is known of others stays."""
    known = _read(run) | {name: file_sha256(run / name) for name in names if (run / name).exists()}
    write_text(run / FILE_NAME, json.dumps(known, indent=2) + "\n")


def check(run: Path, names: Iterable[str]) -> None:
    """Compare the files `names` of a RUN with what was noted; a file nothing is known of passes (an unfinished RUN).

    Raises:
        UserError: naming the first file that is not as it was written.
    """
    known = _read(run)
    for name in names:
        path = run / name
        if name in known and path.exists() and file_sha256(path) != known[name]:
            cure = _TRAIN_AGAIN if name in TRAINED else _EVALUATE_AGAIN
            raise UserError(f"{path}: has changed since it was written ({FILE_NAME} knows another sha256); {cure}")


def forget(run: Path) -> None:
    """Forget what is known of a RUN whose training goes on."""
    (run / FILE_NAME).unlink(missing_ok=True)


def _read(run: Path) -> dict[str, str]:
    path = run / FILE_NAME
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, RecursionError):
        known = None
    if not isinstance(known, dict):
        raise UserError(f"{path}: is damaged; remove it and run evaluate on that RUN again")
    return known
