"""Models x seeds (x folds, datasets, ablations): each cell is a `train` in its own process; one report at the end.

Separate processes keep a crash, and the memory of a model, from reaching the next cell. A finished cell is a complete
RUN folder and is never touched again; an unfinished one resumes from its last checkpoint. What `auto` means for
precision and XLA is decided once for each model, by its first cell, so that its runs can be compared.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

from rich.live import Live
from rich.table import Table

from fastmri_cls.comparison.report import STUDY_FILE, Comparison, FailedRun, analyse, write_comparison
from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation import json_files
from fastmri_cls.foundation.errors import Stopped, UserError
from fastmri_cls.foundation.progress import console, log
from fastmri_cls.foundation.signals import stop_requests
from fastmri_cls.models.registry import find_model
from fastmri_cls.runs import files
from fastmri_cls.runs.run import Run, exclusive, is_finished, is_taken

# Named variants as flags of `train`. Leakage kept or dropped is decided when a dataset is built: give both folders.
ABLATIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "preprocessing": {"own": ("--set", "preprocessing=own"), "keras": ("--set", "preprocessing=keras")},
    "contrast": {"contrast1": ("--set", "contrast=1"), "contrast1.5": ("--set", "contrast=1.5")},
    "pretraining": {"pretrained": (), "scratch": ("--weights", "none")},
}

TRAIN = (sys.executable, "-m", "fastmri_cls", "train")

_POLL_SECONDS = 0.5
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_ERROR_MARK = "fastmri-cls: error: "


@dataclass(frozen=True)
class StudyOptions:
    """What a study varies.

    Attributes:
        data: dataset folders.
        models: names from the registry, or NAME=WEIGHTS with a value of train's --weights.
        seeds: one run of every model for each.
        out: the folder of the study.
        ablations: keys of ABLATIONS, each tried both ways.
        train_flags: flags of `train` for every cell.
    """

    data: tuple[Path, ...]
    models: tuple[str, ...]
    seeds: tuple[int, ...]
    out: Path
    ablations: tuple[str, ...] = ()
    train_flags: tuple[str, ...] = ()


@dataclass
class Cell:
    """One training of a study.

    Attributes:
        name: unique in the study; the name of its RUN folder and log.
        model: name from the registry.
        flags: of its `train`.
        run: the RUN folder.
        log: what its `train` printed.
        state: how far it is; `kept` was finished before the study began.
        reason: why it failed.
        seconds: how long it has been running.
    """

    name: str
    model: str
    flags: list[str]
    run: Path
    log: Path
    state: Literal["waiting", "running", "done", "failed", "kept"] = "waiting"
    reason: str = ""
    seconds: float = 0.0

    @property
    def is_finished(self) -> bool:
        """Whether its RUN is complete."""
        return is_finished(self.run)


@dataclass(frozen=True)
class _StudyFile:
    """study.json: what a study was begun with; {folder: fingerprint} of its datasets."""

    datasets: dict[str, str]
    train_flags: list[str]
    models: list[str]
    seeds: list[int]


def run_study(options: StudyOptions) -> Comparison:
    """Train what is not finished yet, then compare everything that is, into `options.out`.

    Raises:
        UserError: the options do not fit together or differ from those OUT was begun with; or, after the report, some
            cells failed.
        Stopped: SIGTERM or Ctrl-C came; the same command goes on.
    """
    cells = plan(options)
    with exclusive(options.out), _stopping_on_signals(options.out):
        _remember(options)
        _train(cells)
        finished = [cell.run for cell in cells if cell.is_finished]
        failures = [FailedRun(cell.name, cell.reason) for cell in cells if not cell.is_finished]
        if not finished:
            raise UserError(f"{options.out}: every cell failed, the first with: {failures[0].reason}")
        found = analyse(finished)
        write_comparison(found, options.out, "Study", failures)
    if failures:
        listed = "; ".join(f"{failure.name}: {failure.reason}" for failure in failures)
        raise UserError(
            f"{options.out}: {len(failures)} of {len(cells)} cells failed ({listed}); report.html has the others, the "
            "same command tries these again"
        )
    return found


def plan(options: StudyOptions) -> list[Cell]:
    """Return the cells: seeds outermost, so that a study that is stopped early has every model with the first seed."""
    folds = {data: range(Dataset(data).manifest.folds) or (None,) for data in options.data}
    variants = {model: _variants(model, options) for model in options.models}
    cells = []
    for seed, data, model in product(options.seeds, options.data, options.models):
        for fold, variant in product(folds[data], variants[model]):
            architecture, _, weights = model.partition("=")
            # A hybrid's colon would be a drive's on Windows and a host's to rsync.
            parts = [architecture.replace(":", "-"), *([Path(weights).name] if weights else [])]
            parts += [name for name, _ in variant]
            if len(options.data) > 1:
                parts.insert(0, data.name)
            parts.append(f"seed{seed}")
            flags = ["--weights", weights] if weights else []
            flags += [flag for _, flags in variant for flag in flags]
            if fold is not None:
                parts.append(f"fold{fold}")
                flags += ["--fold", str(fold)]
            name = "-".join(parts)
            run = options.out / "runs" / name
            fixed = ["--data", str(data), "--model", architecture, "--seed", str(seed), "--out", str(run), "--resume"]
            log_file = options.out / "logs" / f"{name}.log"
            cells.append(Cell(name, architecture, [*options.train_flags, *flags, *fixed], run, log_file))
    return cells


def _variants(model: str, options: StudyOptions) -> list[tuple[tuple[str, tuple[str, ...]], ...]]:
    """Return the combinations of (name, flags) of a model; one without pretrained weights has no `scratch` variant."""
    architecture, _, weights = model.partition("=")
    default = find_model(architecture).default_weights
    pretrained = (weights or default) != "none" or "--weights" in options.train_flags
    ablations = [name for name in options.ablations if name != "pretraining" or pretrained]
    return list(product(*(ABLATIONS[name].items() for name in ablations)))


def _remember(options: StudyOptions) -> None:
    """Write study.json, or refuse to resume a folder that was begun with other data or flags."""
    path = options.out / STUDY_FILE
    datasets = {str(data): Dataset(data).fingerprint for data in options.data}
    now = _StudyFile(datasets, list(options.train_flags), list(options.models), list(options.seeds))
    if not path.exists() and is_taken(options.out):
        raise UserError(f"{options.out}: exists already and is no study; choose another --out")
    if path.exists():
        begun = json_files.read(path, _StudyFile, "choose another --out")
        if sorted(begun.datasets.values()) != sorted(now.datasets.values()):
            raise UserError(f"{options.out}: was begun with other datasets; choose another --out")
        if begun.train_flags != now.train_flags:
            raise UserError(f"{options.out}: was begun with other train flags; choose another --out")
    json_files.write(path, now)


def _train(cells: list[Cell]) -> None:
    for cell in cells:
        if cell.is_finished:
            cell.state = "kept"
    with _live(cells):
        for number, cell in enumerate(cells):
            if cell.is_finished:
                continue
            cell.state = "running"
            _say(f"{number + 1}/{len(cells)} {cell.name}: running")
            _run(cell, _precision_flags(cell, cells))
            _say(
                f"{number + 1}/{len(cells)} {cell.name}: {cell.state} after {cell.seconds:.0f} s {cell.reason}".rstrip()
            )


def _precision_flags(cell: Cell, cells: Sequence[Cell]) -> list[str]:
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


def _run(cell: Cell, first_flags: Sequence[str]) -> None:
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


def _live(cells: Sequence[Cell]) -> AbstractContextManager[Live | None]:
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


def _say(line: str) -> None:
    """Log a line if there is no live table."""
    if not console.is_terminal:
        log.info(line)


@contextmanager
def _stopping_on_signals(out: Path) -> Iterator[None]:
    def stop(number: signal.Signals) -> None:
        raise Stopped(f"study stopped; the same command goes on with {os.fspath(out)}", number)

    with stop_requests(stop):
        yield
