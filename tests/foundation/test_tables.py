"""One table in four forms: CSV with all digits; Markdown, LaTeX and terminal text as people read it."""

import csv
import io

import pytest
from rich.console import Console

from fastmri_cls.foundation.tables import PValue, Rounded, Seconds, Table, text
from fastmri_cls.runs.metrics import Estimate

TABLE = Table(
    "t1",
    "Accuracy & more",
    ("model", "accuracy", "p"),
    [
        ("small_cnn | a", Estimate(0.91234567, 0.8, 0.95, 0.0123), PValue(0.0001)),
        ("100 %", None, PValue(None)),
    ],
    "One note.",
)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (None, "-"),
        (0.5, "0.500"),
        (3, "3"),
        (12345, "12,345"),
        (True, "True"),
        (Estimate(0.5), "0.500"),
        (Estimate(0.5, 0.4, 0.6), "0.500 [0.400, 0.600]"),
        (Estimate(0.5, 0.4, 0.6, 0.01), "0.500 ± 0.010 [0.400, 0.600]"),
        (PValue(0.04999), "0.050"),
        (PValue(0.00099), "< 0.001"),
        (Seconds(1234.5), "1,234 s"),
        (Seconds(1.25), "1.2 s"),
        (Rounded(3.0), "3"),
        (Rounded(28.94), "28.9"),
    ],
)
def test_cells_read_well(cell, expected):
    assert text(cell) == expected


def test_csv_keeps_every_digit_and_splits_estimates():
    rows = list(csv.reader(io.StringIO(TABLE.to_csv())))
    assert rows[0] == ["model", "accuracy", "accuracy low", "accuracy high", "accuracy sd", "p"]
    assert rows[1] == ["small_cnn | a", "0.91234567", "0.8", "0.95", "0.0123", "0.0001"]
    assert rows[2] == ["100 %", "", "", "", "", ""]


def test_markdown_escapes_bars_and_aligns_numbers():
    lines = TABLE.to_markdown().splitlines()
    assert [set(cell.strip()) for cell in lines[1].strip("|").split("|")] == [{":", "-"}, {"-", ":"}, {"-", ":"}]
    assert [cell.strip()[-1] for cell in lines[1].strip("|").split("|")] == ["-", ":", ":"]
    assert " ".join(lines[2].split()) == "| small_cnn \\| a | 0.912 ± 0.012 [0.800, 0.950] | < 0.001 |"


def test_latex_escapes_what_would_break_it():
    latex = TABLE.to_latex()
    assert r"\caption{Accuracy \& more. One note.}" in latex
    rows = [" ".join(line.split()) for line in latex.splitlines() if line.endswith(r"\\")]
    assert rows[1] == r"small\_cnn | a & 0.912 ± 0.012 [0.800, 0.950] & \ensuremath{<} 0.001 \\"
    assert rows[2] == r"100 \% & - & - \\"
    assert len(rows) == 3


def test_a_column_of_words_is_aligned_to_the_left():
    table = Table("t", "", ("a", "b", "c", "d"), [("x", 1, "y", None), ("x", None, None, None)])
    assert table.is_text == [True, False, True, False]
    assert Table("t", "", ("a", "b")).is_text == [True, False]


def test_a_terminal_shows_brackets_in_a_name_as_they_are():
    shown = Console(width=80, record=True, file=io.StringIO())
    shown.print(Table("t", "", ("name", "n"), [("[bold]glioma[/bold]", 1)]).to_rich())
    assert "[bold]glioma[/bold]" in shown.export_text()


def test_a_terminal_shows_the_first_columns():
    assert [str(column.header) for column in TABLE.to_rich(2).columns] == ["model", "accuracy"]
