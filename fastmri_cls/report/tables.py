"""What commands print on the terminal when they end: a dataset's counts, a run's metrics, the tables of a report."""

from rich.console import Console

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.tables import Cell, Table
from fastmri_cls.runs.metrics import RunMetrics

_PIPED_WIDTH = 120  # columns, if stdout is not a terminal


def print_dataset(dataset: Dataset) -> None:
    """Print the images by split and class, then what was rejected, found and left out."""
    manifest = dataset.manifest
    rows: list[tuple[Cell, ...]] = [
        (name, *(split.per_class.get(class_name, 0) for class_name in manifest.classes), split.num_examples)
        for name, split in manifest.splits.items()
    ]
    found = manifest.duplicates
    out = terminal()
    print_table(Table("splits", "", ("split", *manifest.classes, "all"), rows), out)
    out.print(
        f"duplicates: {found['exact']} exact pairs, {found['near']} near pairs; {found['groups']} independent groups, "
        f"{found['label_conflicts']} with conflicting labels, {found['straddling']} in more than one split"
    )
    for reason, count in manifest.dropped.items():
        out.print(f"left out: {count} ({reason})")
    if manifest.rejected:
        first = manifest.rejected[0]
        example = f"{first['path']}: {first['reason']}"
        out.print(f"rejected: {len(manifest.rejected)} files, listed in dataset.json (the first: {example})")
    out.print(f"dataset: {dataset.path}", soft_wrap=True)


def print_metrics(metrics: RunMetrics) -> None:
    """Print one row for each test set; more columns would be wider than a terminal."""
    rows: list[tuple[Cell, ...]] = [
        (name, found.n, found.accuracy, found.auc_macro, found.ece) for name, found in metrics.tests.items()
    ]
    columns = ("test set", "images", "accuracy [95 % CI]", "AUC [95 % CI]", "ECE")
    print_table(Table("metrics", "", columns, rows), terminal())


def print_table(table: Table, out: Console, columns: int | None = None) -> None:
    """Print a table: its title if it has one, its first `columns` columns, its note."""
    if table.title:
        out.print(table.title, style="bold")
    out.print(table.to_rich(columns))
    if table.note:
        out.print(table.note, style="dim")


def terminal() -> Console:
    """Return a console on stdout that takes brackets and colons as they are."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    return console
