"""One table in three forms: CSV with all digits, Markdown and LaTeX as people read it."""

import csv
import io

import pytest

from fastmri_cls.report.text_tables import (
    Estimate,
    PValue,
    Rounded,
    Seconds,
    Table,
    text,
    to_csv,
    to_latex,
    to_markdown,
)

TABLE = Table(
    "t1",
    "Accuracy & more",
    ("model", "accuracy", "p"),
    [
        ("small_cnn | a", Estimate(0.91234567, [0.8, 0.95], 0.0123), PValue(0.0001)),
        ("100 %", Estimate(None), PValue(None)),
    ],
    "One note.",
)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (None, "-"),
        (0.5, "0.500"),
        (3, "3"),
        (Estimate(0.5), "0.500"),
        (Estimate(0.5, [0.4, 0.6]), "0.500 [0.400, 0.600]"),
        (Estimate(0.5, [0.4, 0.6], 0.01), "0.500 ± 0.010 [0.400, 0.600]"),
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
    rows = list(csv.reader(io.StringIO(to_csv(TABLE))))
    assert rows[0] == ["model", "accuracy", "accuracy low", "accuracy high", "accuracy sd", "p"]
    assert rows[1] == ["small_cnn | a", "0.91234567", "0.8", "0.95", "0.0123", "0.0001"]
    assert rows[2] == ["100 %", "", "", "", "", ""]


def test_markdown_escapes_bars_and_aligns_numbers():
    lines = to_markdown(TABLE).splitlines()
    assert lines[1] == "| :--- | ---: | ---: |"
    assert lines[2] == "| small_cnn \\| a | 0.912 ± 0.012 [0.800, 0.950] | < 0.001 |"


def test_latex_escapes_what_would_break_it():
    latex = to_latex(TABLE)
    assert r"\caption{Accuracy \& more. One note.}" in latex
    assert r"small\_cnn | a & 0.912 $\pm$ 0.012 [0.800, 0.950] & $<$ 0.001 \\" in latex
    assert r"100 \% & - & - \\" in latex
    assert latex.count(r"\\") == 3
