"""What tables say of the images of a source: rows found by path or bare name, several tables joined."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.sources.folders import Folder, Source, printable
from fastmri_cls.sources.layout import SPLITS
from fastmri_cls.sources.pixels import RejectedImage
from fastmri_cls.sources.storage import open_file
from fastmri_cls.sources.tables import Row, Table, read_one_hot

_ONE_HOT = "_classes.csv"  # beside the images of each split, as Roboflow exports them


def join_rows(
    source: Source, images: Iterable[str], tables: Sequence[Table], *, allow_unlisted: bool
) -> dict[str, Row]:
    """Return what the tables together say of each image of a source.

    Args:
        source: the source.
        images: paths relative to it.
        tables: the tables for it.
        allow_unlisted: accept images that a table leaves out.

    Raises:
        UserError: a table leaves images out, or two tables contradict each other.
    """
    paths = sorted(images)
    rows: dict[str, Row] = {}
    for table in tables:
        finder = row_finder(table, source, paths)
        missing = []
        for path in paths:
            row = finder(path)
            if row is None or ("label" in table.columns and not row.label):
                missing.append(path)
            if row is None:
                continue
            rows[path] = _joined(rows.get(path, Row()), row, f"{table.name}: {printable(path)}")
        if missing and not allow_unlisted:
            raise UserError(_leaves_out(source, table, missing, paths))
    return rows


def _joined(known: Row, more: Row, what: str) -> Row:
    """Return what two tables say of an image; `what` names the second table and the image in an error, never an id."""
    for column in ("label", "patient", "split"):
        one, other = getattr(known, column), getattr(more, column)
        if one and other and one != other:
            raise UserError(f"{what} has another {column} in an earlier --table; keep one of them")
    return Row(known.label or more.label, known.patient or more.patient, known.split or more.split)


def _leaves_out(source: Source, table: Table, missing: list[str], paths: list[str]) -> str:
    if len(missing) == len(paths):
        return (
            f"{table.name}: no row names an image of source {source.name}; "
            f"filename is relative to the source, for instance {printable(missing[0])}"
        )
    names = ", ".join(map(printable, missing[:3]))
    files = Counter(PurePosixPath(path).name for path in paths)
    listed = [name for name, count in files.items() if count > 1 and table.is_flat and table.find(source.name, name)]
    cure = f"several files are named {printable(listed[0])}: give their folders too" if listed else "add rows for them"
    return (
        f"{table.name}: leaves out {len(missing)} of {len(paths)} images of source {source.name} ({names}"
        f"{', …' if len(missing) > 3 else ''}); {cure}, give the table as NAME=FILE to the source it is for, or add "
        "--allow-unlisted"
    )


def row_finder(table: Table, source: Source, paths: Iterable[str]) -> Callable[[str], Row | None]:
    """Return a function path -> row: by the whole path, or by the bare name where the table gives no folders."""
    names = Counter(PurePosixPath(path).name for path in paths)

    def find(path: str) -> Row | None:
        row = table.find(source.name, path)
        name = PurePosixPath(path).name
        return row if row or not table.is_flat or names[name] > 1 else table.find(source.name, name)

    return find


def one_hot_table(source: Source, root: Folder) -> Table | None:
    """Return what the `_classes.csv` of a source and of its split folders say, as one table."""
    rows: dict[tuple[str, str], Row] = {}
    paths = []
    for folder in (root, *(f for f in root.folders if f.name.casefold() in SPLITS)):
        for name in folder.files:
            if name.casefold() == _ONE_HOT:
                paths.append(source.path / folder.join(name))
                labels = read_one_hot(str(paths[-1]), _content(paths[-1]))
                rows |= {(source.name, folder.join(filename)): Row(label) for filename, label in labels.items()}
    return Table(str(paths[0]), "", source.name, frozenset({"label"}), rows) if paths else None


def _content(path: Path) -> bytes:
    try:
        with open_file(path) as file:
            return file.read()
    except (OSError, RejectedImage) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
