"""The last look at what is about to leave the machine: no absolute path and no name of an image file is in any text.

Binary files hold numbers alone (weights, features) or records that dataset_files.py has written.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.runs import files

_TEXT = (".json", ".csv", ".md")
_ABSOLUTE = re.compile(r"(?<![\w.:/<~*)\]-])/(?:[\w.+@-]+/)+[\w.+@-]+")  # two parts at least: neither "/" nor "</b>"


def refuse_leaks(folder: Path, names: Iterable[str]) -> None:
    """Raise UserError if a text file in `folder` holds an absolute path or one of `names`.

    Args:
        folder: the files to look through.
        names: paths of image files, relative to their sources.
    """
    known = {part for name in names for part in (name, name.rpartition("/")[2]) if _is_telling(part)}
    for path in sorted(folder.iterdir()):
        if path.suffix not in _TEXT:
            continue
        text = path.read_text(encoding="utf-8")
        found = _ABSOLUTE.search(text)
        leak = found[0] if found else next((name for name in sorted(known) if name in text), None)
        if leak:
            line = text[: text.index(leak)].count("\n") + 1
            raise UserError(
                f"{path.name}: line {line} would publish {leak!r}, a path or the name of an image; nothing was "
                f"uploaded; take it out of {files.CARD}, or run evaluate on that RUN again"
            )


def _is_telling(name: str) -> bool:
    """Return whether a file name is more than a number, which is anywhere."""
    return len(name) > 3 and any(character.isalpha() for character in name)
