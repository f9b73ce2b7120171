"""What commands print on stdout at their end: a dataset's counts, a run's metrics."""

from typing import Any

from rich.console import Console
from rich.table import Table

from fastmri_cls.dataset import Dataset
from fastmri_cls.report.text_tables import Table as TextTable

_PIPED_WIDTH = 120  # what is no terminal has no width that a table would have to keep to


def print_dataset(dataset: Dataset) -> None:
    """Print counts by split and class, then what was rejected, found and left out."""
    manifest = dataset.manifest
    table = _table("split", *manifest.classes, "all")
    for name, split in manifest.splits.items():
        counts = [str(split.per_class.get(class_name, 0)) for class_name in manifest.classes]
        table.add_row(name, *counts, str(split.num_examples))
    out = Console()
    out.print(table)
    found = manifest.duplicates
    out.print(
        f"copies: {found['exact']} exact pairs, {found['near']} near pairs; {found['groups']} independent groups, "
        f"{found['label_conflicts']} with conflicting labels, {found['straddling']} in more than one split",
        highlight=False,
    )
    for reason, count in found["dropped"].items():
        out.print(f"left out: {count} ({reason})", highlight=False)
    if manifest.rejected:
        first = manifest.rejected[0]
        example = f"{first['path']}: {first['reason']}"
        out.print(
            f"rejected: {len(manifest.rejected)} files, listed in dataset.json (the first: {example})",
            highlight=False,
            markup=False,
        )
    out.print(f"dataset: {dataset.path}", highlight=False, markup=False)


def print_metrics(metrics: dict[str, Any]) -> None:
    """Print one row a test set."""
    table = _table("test set", "images", "accuracy [95 % CI]", "AUC [95 % CI]", "ECE")
    for name, found in metrics["tests"].items():
        images, accuracy, auc, _, ece, _ = metric_cells(found)  # all of them would be wider than 80 columns
        table.add_row(name, images, accuracy, auc, ece)
    Console().print(table)


def print_text_table(table: TextTable, columns: int = 4) -> None:
    """Print the first `columns` of a table of a report; all of them would be wider than a terminal."""
    shown = _table(*table.columns[:columns])
    for row in table.text_rows:
        shown.add_row(*row[:columns])
    Console(width=None if Console().is_terminal else _PIPED_WIDTH).print(shown)


def metric_cells(found: dict[str, Any]) -> list[str]:
    """Return the cells of one M of metrics.json after its name: as text, `-` for what is not defined."""
    return [
        str(found["n"]),
        with_interval(found["accuracy"], found["ci95"]["accuracy"]),
        with_interval(found["auc_macro"], found["ci95"]["auc_macro"]),
        number(found["loss"]),
        number(found["ece"]),
        number(found["brier"]),
    ]


def number(value: float | None) -> str:
    """Return a metric with three decimals."""
    return "-" if value is None else f"{value:.3f}"


def with_interval(value: float | None, bounds: list[float] | None) -> str:
    """Return a metric and its interval."""
    return number(value) + (f" [{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else "")


def _table(first: str, *others: str) -> Table:
    table = Table(first, box=None, header_style="bold", pad_edge=False)
    for name in others:
        table.add_column(name, justify="right")
    return table
