"""Class names: which spellings of a folder or a label mean which class, and the order of the labels."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from fastmri_cls.foundation.errors import UserError

# The spellings of the public brain-tumour sets, after `_normalise`.
_BRAIN_TUMOUR_ALIASES = {
    "glioma": ("gliomas", "gliomatumor", "gliomatumour"),
    "meningioma": ("meningiomas", "meningiomatumor", "meningiomatumour"),
    "notumor": ("notumour", "notumors", "nontumor", "nontumour"),  # "normal" may be any set's class
    "pituitary": ("pituitarytumor", "pituitarytumour", "pituitaryadenoma"),
}


@dataclass(frozen=True)
class ClassNames:
    """Maps the spellings of class folders and of labels in tables to class names.

    Attributes:
        aliases: normalised spelling -> class name.
        exact: spelling as written -> class name; it decides before `aliases`, so that `A` and `a` can be two classes.
        names: the class names in label order. Empty: any class is accepted and labels are in alphabetical order.
        file: the file they were read from; None for the brain-tumour classes.
    """

    aliases: dict[str, str] = field(
        default_factory=lambda: {
            alias: name for name, aliases in _BRAIN_TUMOUR_ALIASES.items() for alias in (name, *aliases)
        }
    )
    exact: dict[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    file: Path | None = None

    def canonical(self, spelling: str) -> str:
        """Return the class a spelling means: case, spaces, dashes and underscores make no difference."""
        known = self.exact.get(_composed(spelling.strip())) or self.aliases.get(_normalise(spelling))
        return known or re.sub(r"[\s_-]+", "_", _composed(spelling.strip()).casefold())

    def knows(self, spelling: str) -> bool:
        """Return whether a spelling is listed, not only guessed from its letters."""
        return _composed(spelling.strip()) in self.exact or _normalise(spelling) in self.aliases

    def order(self, found: Iterable[str]) -> list[str]:
        """Return the class names in label order."""
        return list(self.names) if self.names else sorted(set(found))

    def check(self, source: str, spellings: Iterable[str]) -> None:
        """Refuse what --classes does not list, and two unlisted spellings that would silently become one class.

        Args:
            source: the source's name.
            spellings: the names of its class folders or the labels of its table.

        Raises:
            UserError: see above.
        """
        first: dict[str, str] = {}
        for spelling in dict.fromkeys(map(_composed, spellings)):
            label = self.canonical(spelling)
            if self.names and label not in self.names:
                raise UserError(
                    f"source {source}: class {spelling!r} is not in the --classes file; add it there or move the folder"
                )
            other = first.setdefault(label, spelling)
            if other != spelling and not (self.knows(other) and self.knows(spelling)):
                raise UserError(
                    f"source {source}: the classes {other!r} and {spelling!r} differ in case, spaces or signs only; "
                    "list both in a --classes file (on one line for one class, on two for two), or rename one"
                )


def read_classes(path: Path) -> ClassNames:
    """Read a file of classes, one a line in label order: `name` or `name: alias, another alias`; `#` begins a comment.

    Raises:
        UserError: the file cannot be read, is empty, or gives a spelling to two classes.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"--classes {path}: cannot be read ({error.strerror}); give a text file") from None
    except UnicodeDecodeError:
        raise UserError(f"--classes {path}: is no text in UTF-8; save it as UTF-8") from None
    exact: dict[str, str] = {}
    meanings: dict[str, set[str]] = {}
    names: list[str] = []
    for line in (line.split("#")[0].strip() for line in lines):
        if not line:
            continue
        name, _, others = line.partition(":")
        names.append(name.strip())
        for spelling in (name, *others.split(",")):
            if not spelling.strip():
                continue
            if exact.setdefault(_composed(spelling.strip()), names[-1]) != names[-1]:
                raise UserError(f"--classes {path}: {spelling.strip()!r} stands for two classes; keep one of them")
            meanings.setdefault(_normalise(spelling), set()).add(names[-1])
    if len(set(names)) < 2:
        raise UserError(f"--classes {path}: names {len(set(names))} classes; name at least two, one a line")
    # A normalised spelling that two classes share decides nothing: those classes are told apart as they are written.
    aliases = {spelling: next(iter(classes)) for spelling, classes in meanings.items() if len(classes) == 1}
    return ClassNames(aliases, exact, tuple(dict.fromkeys(names)), path.absolute())


def _normalise(spelling: str) -> str:
    return re.sub(r"[\s_-]+", "", _composed(spelling).casefold())


def _composed(name: str) -> str:
    """Return one form for letters with accents, which macOS takes apart in file names."""
    return unicodedata.normalize("NFC", name)
