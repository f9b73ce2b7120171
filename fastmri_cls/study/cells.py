"""Trains one cell of a study in its own process, so that neither a crash nor a leak reaches the next.

`auto` for precision and XLA is decided once for each model, by its first cell, so that its runs can be compared.
"""

import time
from collections.abc import Sequence

from fastmri_cls.runs import files
from fastmri_cls.runs.run import Run
from fastmri_cls.study.child import run_train
from fastmri_cls.study.plan import Cell

TRAIN = ("-m", "fastmri_cls", "train")

_ERROR_MARK = "fastmri-cls: error: "


def train_cell(cell: Cell, first_flags: Sequence[str]) -> None:
    """Train one cell in a child process of this one."""
    command = begin(cell, first_flags)
    started = time.monotonic()

    def count_time() -> bool:
        cell.seconds = time.monotonic() - started
        return True

    finish(cell, run_train(command, cell.log, count_time))
    count_time()


def begin(cell: Cell, first_flags: Sequence[str]) -> list[str]:
    """Say in the log of a cell how it is trained; return the command, see `run_train`."""
    flags = [*first_flags, *cell.flags]  # of two flags of one name the last counts
    cell.state = "running"
    cell.log.parent.mkdir(parents=True, exist_ok=True)
    with cell.log.open("a", encoding="utf-8") as output:
        output.write(f"$ fastmri-cls train {' '.join(flags)}\n")
    return [*TRAIN, *flags]


def finish(cell: Cell, code: int) -> None:
    """Note how the training of a cell ended."""
    cell.state = "done" if code == 0 and cell.is_finished else "failed"
    if cell.state == "failed":
        cell.reason = _reason(cell, code)


def precision_flags(cell: Cell, cells: Sequence[Cell]) -> list[str]:
    """Return the precision and XLA of the study's first run of the same model, as flags of train.

    A cell that was begun keeps its own.
    """
    if (cell.run / files.CONFIG).exists():
        return []
    for other in cells:
        if other.model == cell.model and (other.run / files.CONFIG).exists():
            config = Run(other.run).config
            return ["--precision", config.precision, "--xla", config.xla]
    return []


def _reason(cell: Cell, code: int) -> str:
    """Return the child's error, or how it ended."""
    lines = cell.log.read_text(encoding="utf-8", errors="replace").splitlines()
    own = lines[max(i for i, line in enumerate(lines) if line.startswith("$ ")) :]
    said = [line.split(_ERROR_MARK, 1)[1] for line in own if _ERROR_MARK in line]
    if said:
        return said[-1]
    ended = f"killed by signal {-code}" if code < 0 else f"exit code {code}, {own[-1].strip()}"
    return f"{ended}, see {cell.log}"
