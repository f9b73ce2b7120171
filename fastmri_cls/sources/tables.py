"""Tables of labels, patients and splits: CSV or TSV files with a column `filename` and any of the others.

`group` is an older name of `patient`, `class` of `label`; an optional column `source` limits a row to one source.
"""

import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.sources.folders import Source
from fastmri_cls.sources.layout import SPLITS

_COLUMNS = {"filename": "filename", "source": "source", "label": "label", "class": "label", "patient": "patient",
            "group": "patient", "split": "split"}  # fmt: skip
_DELIMITERS = "\t,;"
_LARGEST = 1 << 28  # bytes: a row takes about 100


@dataclass(frozen=True)
class Row:
    """What a table says of one image; empty where it says nothing. `patient` is never printed or written."""

    label: str = ""
    patient: str = field(default="", repr=False)
    split: str = ""


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: how to call it in a message.
        argument: what to give to --table, with an absolute path; empty for a table that a source brings.
        source: the source it is for; None for all sources.
        columns: those of label, patient and split that it has.
        rows: (source or "", filename) -> Row.
        used: the keys of `rows` that were found to name an image.
    """

    name: str
    argument: str
    source: str | None
    columns: frozenset[str]
    rows: dict[tuple[str, str], Row]
    used: set[tuple[str, str]] = field(default_factory=set)

    @cached_property
    def is_flat(self) -> bool:
        """Whether all file names come without a folder, so that they may be looked for in any folder."""
        return not any("/" in filename for _, filename in self.rows)

    def find(self, source: str, filename: str) -> Row | None:
        """Return the row of an image, and remember that it was used."""
        for key in ((source, _clean(filename)), ("", _clean(filename))):
            if key in self.rows:
                self.used.add(key)
                return self.rows[key]
        return None


def read_tables(arguments: Sequence[str], sources: Sequence[Source]) -> list[Table]:
    """Read the tables of `--table [NAME=]FILE` arguments; NAME= limits a table to that source.

    Raises:
        UserError: a file cannot be read, or is no such table; there is no such source.
    """
    tables = []
    names = [source.name for source in sources]
    for argument in arguments:
        name, separator, path = argument.partition("=")
        source = name if separator and name in names else None
        file = Path(path if source else argument).expanduser().absolute()
        if separator and source is None and not file.exists():
            raise UserError(
                f"--table {argument}: no such file, and no source is named {name}; the sources are {', '.join(names)}"
            )
        tables.append(_read(file, f"--table {argument}", f"{source}={file}" if source else str(file), source))
    return tables


def read_one_hot(name: str, content: bytes) -> dict[str, str]:
    """Return filename -> label of a table with `filename` and a column for each class, 1 for the image's class.

    Args:
        name: how to call the table in a message.
        content: its bytes. A row with no class or several gives an empty label.

    Raises:
        UserError: it is no such table.
    """
    header, lines = _parse(name, content)
    if "filename" not in header or len(header) < 2:
        raise UserError(f"{name}: needs the column filename and one for each class; it has {', '.join(header)}")
    found = {}
    for _, line in lines:
        values = dict(zip(header, line, strict=False))
        filename = _clean(values.pop("filename", ""))
        labels = [label for label, value in values.items() if value.strip() not in ("", "0", "0.0")]
        found[filename] = labels[0] if len(labels) == 1 else ""
    return found


def check_used(tables: Iterable[Table]) -> list[str]:
    """Return a line for each table with rows that name no image.

    Raises:
        UserError: a table names no image at all.
    """
    lines = []
    for table in tables:
        unused = sorted(filename for source, filename in table.rows.keys() - table.used)
        if unused and not table.used:
            raise UserError(f"{table.name}: no row names an image; filename is relative to its source")
        if unused:
            lines.append(f"{table.name}: {len(unused)} rows name no image (the first: {unused[0]})")
    return lines


def _read(path: Path, name: str, argument: str, source: str | None) -> Table:
    try:
        if path.stat().st_size > _LARGEST:
            raise UserError(f"{name}: {path.stat().st_size} bytes are too many for a table; is it the right file?")
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{name}: no such file; give [NAME=]FILE, a CSV or TSV") from None
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({error.strerror})") from None
    header, lines = _parse(name, content)
    columns = [_COLUMNS.get(column.casefold(), "") for column in header]
    known = frozenset(columns) & {"label", "patient", "split"}
    if "filename" not in columns or not known:
        raise UserError(
            f"{name}: needs the column filename and any of label, patient, split; it has {', '.join(header) or 'none'}"
        )
    twice = [column for column in columns if column and columns.count(column) > 1]
    if twice:
        raise UserError(f"{name}: has two columns for {twice[0]}; keep one of them")
    rows: dict[tuple[str, str], Row] = {}
    for number, line in lines:
        values = {column: value.strip() for column, value in zip(columns, line, strict=False) if column}
        key = (values.get("source", ""), _clean(values.get("filename", "")))
        split = values.get("split", "")
        if split and split.casefold() not in SPLITS:
            raise UserError(f"{name}: line {number}: split {split!r} is none of train, val, test")
        row = Row(values.get("label", ""), values.get("patient", ""), SPLITS.get(split.casefold(), ""))
        if not key[1]:
            continue
        if rows.setdefault(key, row) != row:
            raise UserError(f"{name}: line {number}: {key[1]} has another entry already; keep one of them")
    if not rows:
        raise UserError(f"{name}: has no rows; write one for each image")
    return Table(name, argument, source, known, rows)


def _parse(name: str, content: bytes) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header of a CSV or TSV, and its rows with the number of their line; lines without a value are skipped.

    The delimiter is the one the header holds most of.

    Raises:
        UserError: it is neither, or a row has more values than the header has columns.
    """
    try:
        text = content.decode("utf-8-sig")
        if "\0" in text:
            raise ValueError("it holds a zero byte")
        delimiter = max(_DELIMITERS, key=text.lstrip("\r\n").partition("\n")[0].count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        lines = [(reader.line_num, line) for line in reader if any(map(str.strip, line))]
    except (ValueError, csv.Error) as error:
        raise UserError(f"{name}: is no CSV or TSV in UTF-8 ({error}); save it as one") from None
    header = [column.strip() for column in lines[0][1]] if lines else []
    for number, line in lines:
        if any(map(str.strip, line[len(header) :])):
            raise UserError(
                f"{name}: line {number}: has {len(line)} values for {len(header)} columns; put a value that holds "
                f"{delimiter!r} in double quotes"
            )
    return header, lines[1:]


def _clean(filename: str) -> str:
    """Return a path with `/`, without `./` in front, letters with accents in one form."""
    return unicodedata.normalize("NFC", filename.strip().replace("\\", "/")).removeprefix("./")
