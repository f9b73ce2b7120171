"""Trains one cell of a study in its own process, so that neither a crash nor a leak reaches the next.

`auto` for precision and XLA is decided once for each model, by its first cell, so that its runs can be compared.
"""

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from fastmri_cls.runs import files
from fastmri_cls.runs.run import Run
from fastmri_cls.study.plan import Cell

TRAIN = (sys.executable, "-m", "fastmri_cls", "train")

_POLL_SECONDS = 0.5
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_ERROR_MARK = "fastmri-cls: error: "


def train_cell(cell: Cell, first_flags: Sequence[str]) -> None:
    """Train one cell in a child process; if this process ends early, so does the child, which saves a checkpoint."""
    flags = [*first_flags, *cell.flags]  # of two flags of one name the last counts
    started = time.monotonic()
    cell.log.parent.mkdir(parents=True, exist_ok=True)
    with cell.log.open("a", encoding="utf-8") as output:
        output.write(f"$ fastmri-cls train {' '.join(flags)}\n")
        output.flush()
        child = subprocess.Popen(
            [*TRAIN, *flags],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            preexec_fn=_end_with_parent,
        )
        try:
            while child.poll() is None:
                cell.seconds = time.monotonic() - started
                time.sleep(_POLL_SECONDS)
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
    cell.seconds = time.monotonic() - started
    cell.state = "done" if child.returncode == 0 and cell.is_finished else "failed"
    if cell.state == "failed":
        cell.reason = _reason(cell, child.returncode)


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


def _end_with_parent() -> None:
    """Have Linux kill this child when its parent is killed: it would hold the RUN that a new study resumes.

    It loses what came after its last checkpoint, at most a minute; `--resume` repeats that to the bit.
    """
    if hasattr(_LIBC, "prctl"):
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _reason(cell: Cell, code: int) -> str:
    """Return the child's error, or how it ended."""
    lines = cell.log.read_text(encoding="utf-8", errors="replace").splitlines()
    own = lines[max(i for i, line in enumerate(lines) if line.startswith("$ ")) :]
    said = [line.split(_ERROR_MARK, 1)[1] for line in own if _ERROR_MARK in line]
    if said:
        return said[-1]
    ended = f"killed by signal {-code}" if code < 0 else f"exit code {code}, {own[-1].strip()}"
    return f"{ended}, see {cell.log}"
