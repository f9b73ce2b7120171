"""A table once, and as CSV, Markdown, LaTeX and text cells for HTML: what a comparison hands to papers and people."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, and its standard deviation over repeats; None where there is none."""

    value: float | None
    interval: Sequence[float] | None = None
    sd: float | None = None


@dataclass(frozen=True)
class PValue:
    """A p-value, None where a test is not defined."""

    value: float | None


@dataclass(frozen=True)
class Seconds:
    """A duration."""

    value: float


@dataclass(frozen=True)
class Rounded:
    """A number people read in three digits."""

    value: float


Cell = str | int | float | None | Estimate | PValue | Seconds | Rounded


@dataclass(frozen=True)
class Table:
    """A table: `name` for files, `title` and `note` for people, column names, and rows of cells."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]] = field(default_factory=list)
    note: str = ""

    @property
    def text_rows(self) -> list[list[str]]:
        """Every cell as people read it."""
        return [[text(cell) for cell in row] for row in self.rows]


def text(cell: Cell) -> str:
    """Return a cell as people read it; `-` for what is not defined."""
    match cell:
        case None:
            return "-"
        case float():
            return f"{cell:.3f}"
        case Estimate():
            spread = "" if cell.sd is None else f" ± {cell.sd:.3f}"
            bounds = f" [{cell.interval[0]:.3f}, {cell.interval[1]:.3f}]" if cell.interval else ""
            return text(cell.value) + spread + bounds
        case PValue():
            return "-" if cell.value is None else "< 0.001" if cell.value < 0.001 else f"{cell.value:.3f}"
        case Seconds():
            return f"{cell.value:,.0f} s" if cell.value >= 10 else f"{cell.value:.1f} s"
        case Rounded():
            return f"{cell.value:.3g}"
    return str(cell)


def to_csv(table: Table) -> str:
    """Return the table with all digits; an estimate takes the columns `x`, `x low`, `x high` and `x sd`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    wide = [any(isinstance(row[i], Estimate) for row in table.rows) for i in range(len(table.columns))]
    header: list[str] = []
    for name, is_wide in zip(table.columns, wide, strict=True):
        header += [name, f"{name} low", f"{name} high", f"{name} sd"] if is_wide else [name]
    writer.writerow(header)
    for row in table.rows:
        cells: list[object] = []
        for cell, is_wide in zip(row, wide, strict=True):
            cells += _raw(cell) if isinstance(cell, Estimate) or not is_wide else [*_raw(cell), None, None, None]
        writer.writerow(cells)
    return out.getvalue()


def to_markdown(table: Table) -> str:
    """Return a Markdown table, numbers to the right."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rule = [":---", *(["---:"] * (len(table.columns) - 1))]
    return "\n".join([line(table.columns), line(rule), *map(line, table.text_rows)]) + "\n"


def to_latex(table: Table) -> str:
    """Return a LaTeX table environment; it needs the package booktabs."""
    rows = [" & ".join(map(_latex, row)) + r" \\" for row in (table.columns, *table.text_rows)]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(table.title)}. {_latex(table.note)}}}",
            rf"\label{{tab:{table.name}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}",
            r"\toprule",
            rows[0],
            r"\midrule",
            *rows[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _raw(cell: Cell) -> list[object]:
    if isinstance(cell, Estimate):
        return [cell.value, *(cell.interval or (None, None)), cell.sd]
    return [cell.value if isinstance(cell, PValue | Seconds | Rounded) else cell]


def _latex(text_: str) -> str:
    special = {"\\": r"\textbackslash{}", "<": "$<$", ">": "$>$", "±": r"$\pm$", "~": r"\textasciitilde{}"}
    special |= {character: "\\" + character for character in "&%$#_{}"}
    return "".join(special.get(character, character) for character in text_)
