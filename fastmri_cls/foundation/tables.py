"""One table for every place that shows one: CSV with all digits; Markdown, LaTeX and terminal text as people read it.

A cell is a plain value, or an object whose `str()` is what people read. A cell with `value`, `low` and `high` (an
estimate) takes several columns of a CSV file; a cell with `value` alone is written as that value.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tabulate import LATEX_ESCAPE_RULES, tabulate

if TYPE_CHECKING:
    from rich.table import Table as RichTable

Cell = object

_SMALLEST_P = 0.001  # smaller p-values are printed as "< 0.001"


@runtime_checkable
class Bounded(Protocol):
    """A number with its interval; any of the three may be None."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class PValue:
    """A p-value; None if the test is not defined."""

    value: float | None

    def __str__(self) -> str:
        if self.value is None:
            return "-"
        return f"< {_SMALLEST_P}" if self.value < _SMALLEST_P else f"{self.value:.3f}"


@dataclass(frozen=True)
class Seconds:
    """A duration in seconds."""

    value: float

    def __str__(self) -> str:
        return f"{self.value:,.0f} s" if self.value >= 10 else f"{self.value:.1f} s"


@dataclass(frozen=True)
class Rounded:
    """A number shown with three significant digits."""

    value: float

    def __str__(self) -> str:
        return f"{self.value:.3g}"


def text(cell: Cell) -> str:
    """Return a cell as people read it: `-` for None, three decimals for a float, thousands separated for an int."""
    match cell:
        case None:
            return "-"
        case bool():
            return str(cell)
        case float():
            return f"{cell:.3f}"
        case int():
            return f"{cell:,}"
    return str(cell)


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: the stem of its files.
        title: the caption.
        columns: the column names.
        rows: the cells, one tuple a row, as long as `columns`.
        note: what a reader must know to read the table.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]] = field(default_factory=list)
    note: str = ""

    @property
    def text_rows(self) -> list[list[str]]:
        """Every cell as people read it."""
        return [[text(cell) for cell in row] for row in self.rows]

    @property
    def is_text(self) -> list[bool]:
        """For each column, whether it holds words (aligned to the left) and not numbers (to the right)."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.columns)
        return [i == 0 or _holds_words(cells) for i, cells in enumerate(columns)]

    def to_csv(self) -> str:
        """Return the table with all digits; an estimate takes the columns `x`, `x low`, `x high` and `x sd`."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        wide = [any(isinstance(row[i], Bounded) for row in self.rows) for i in range(len(self.columns))]
        header: list[str] = []
        for name, is_wide in zip(self.columns, wide, strict=True):
            header += [name, f"{name} low", f"{name} high", f"{name} sd"] if is_wide else [name]
        writer.writerow(header)
        for row in self.rows:
            cells: list[object] = []
            for cell, is_wide in zip(row, wide, strict=True):
                cells += _numbers(cell) if is_wide else [getattr(cell, "value", cell)]
            writer.writerow(cells)
        return out.getvalue()

    def to_markdown(self) -> str:
        """Return a Markdown table."""
        escaped = [[cell.replace("|", "\\|") for cell in row] for row in (self.columns, *self.text_rows)]
        return self._tabulate(escaped, "pipe") + "\n"

    def to_latex(self) -> str:
        """Return a LaTeX table environment; it needs the package booktabs."""
        caption = f"{self.title}. {self.note}".strip()
        caption = "".join(LATEX_ESCAPE_RULES.get(character, character) for character in caption)
        body = self._tabulate([list(self.columns), *self.text_rows], "latex_booktabs")
        head = [r"\begin{table}", r"\centering", rf"\caption{{{caption}}}", rf"\label{{tab:{self.name}}}"]
        lines = [*head, body, r"\end{table}"]
        return "\n".join(lines) + "\n"

    def to_rich(self, columns: int | None = None) -> "RichTable":
        """Return the first `columns` columns (all by default) for a terminal; title and note are left to the caller."""
        from rich.table import Table as RichTable
        from rich.text import Text

        shown = RichTable(box=None, header_style="bold", pad_edge=False)
        for name, is_text in list(zip(self.columns, self.is_text, strict=True))[:columns]:
            shown.add_column(Text(name), justify="left" if is_text else "right")
        for row in self.text_rows:
            shown.add_row(*(Text(cell) for cell in row[:columns]))
        return shown

    def _tabulate(self, rows: Sequence[Sequence[str]], form: str) -> str:
        header, *body = rows
        sides = ["left" if is_text else "right" for is_text in self.is_text]
        return tabulate(body, header, tablefmt=form, disable_numparse=True, colalign=sides)


def _holds_words(cells: Iterable[Cell]) -> bool:
    known = [cell for cell in cells if cell is not None]
    return bool(known) and all(isinstance(cell, str) for cell in known)


def _numbers(cell: Cell) -> list[object]:
    """Return value, low, high and standard deviation of a cell in a column of estimates."""
    if isinstance(cell, Bounded):
        return [cell.value, cell.low, cell.high, getattr(cell, "sd", None)]
    return [getattr(cell, "value", cell), None, None, None]
