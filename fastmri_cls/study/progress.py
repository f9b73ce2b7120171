"""How far the cells of a study are: a table that updates itself on a terminal."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from rich.live import Live
from rich.table import Table

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import console
from fastmri_cls.runs.run import Run
from fastmri_cls.study.plan import Cell


def live_table(cells: Sequence[Cell]) -> AbstractContextManager[Live | None]:
    """Return a table that updates itself if stderr is a terminal."""
    if not console.is_terminal:
        return nullcontext()
    return Live(get_renderable=lambda: _progress(cells), console=console, refresh_per_second=2)


def _progress(cells: Sequence[Cell]) -> Table:
    """Return the table of cells and how far each is."""
    table = Table("cell", box=None, header_style="bold", pad_edge=False)
    for name in ("state", "epochs", "validation", "test", "time"):
        table.add_column(name, justify="right")
    for cell in cells:
        epochs, validation = _progress_of_training(cell)
        seconds = f"{cell.seconds:.0f} s" if cell.seconds else ""
        table.add_row(cell.name, cell.state, epochs, validation, _test_accuracy(cell), seconds)
    return table


def _progress_of_training(cell: Cell) -> tuple[str, str]:
    """Return the number of epochs and the last validation accuracy."""
    try:
        history = Run(cell.run).history
    except UserError:  # not there yet, or being written
        return "", ""
    return str(len(history)), f"{history[-1].val_accuracy:.3f}"


def _test_accuracy(cell: Cell) -> str:
    return f"{Run(cell.run).metrics['pooled'].accuracy.value:.3f}" if cell.is_finished else ""
