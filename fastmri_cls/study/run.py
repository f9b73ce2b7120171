"""Runs a study: each cell is a `train` in its own process; one report at the end.

A finished cell is a complete RUN folder and is never touched again; an unfinished one resumes from its last checkpoint.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fastmri_cls.comparison.report import STUDY_FILE, Comparison, FailedRun, analyse, write_comparison
from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation import json_files
from fastmri_cls.foundation.errors import Stopped, UserError
from fastmri_cls.foundation.progress import console, log
from fastmri_cls.foundation.signals import stop_requests
from fastmri_cls.runs.run import exclusive, is_taken
from fastmri_cls.study.cells import precision_flags, train_cell
from fastmri_cls.study.cluster import train_on_cluster
from fastmri_cls.study.plan import Cell, StudyOptions, check_tests, plan, study_command
from fastmri_cls.study.progress import live_table


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
    if options.dask:  # workers have another working folder
        data = tuple(folder.absolute() for folder in options.data)
        options = replace(options, data=data, out=options.out.absolute())
    cells = plan(options)
    check_tests(options.data)
    with exclusive(options.out), _stopping_on_signals(options.out):
        _remember(options)
        _train(cells, options)
        finished = [cell.run for cell in cells if cell.is_finished]
        failures = [FailedRun(cell.name, cell.reason) for cell in cells if not cell.is_finished]
        if not finished:
            raise UserError(f"{options.out}: every cell failed, the first with: {failures[0].reason}")
        found = analyse(finished)
        write_comparison(found, options.out, "Study", failures, study_command(options))
    if failures:
        listed = "; ".join(f"{failure.name}: {failure.reason}" for failure in failures)
        raise UserError(
            f"{options.out}: {len(failures)} of {len(cells)} cells failed ({listed}); report.html has the others, the "
            "same command tries these again"
        )
    return found


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


def _train(cells: list[Cell], options: StudyOptions) -> None:
    for cell in cells:
        if cell.is_finished:
            cell.state = "kept"

    def say(cell: Cell) -> None:
        """Log how far a cell is, if there is no live table."""
        ended = "" if cell.state == "running" else f" after {cell.seconds:.0f} s {cell.reason}"
        if not console.is_terminal:
            log.info(f"{cells.index(cell) + 1}/{len(cells)} {cell.name}: {cell.state}{ended}".rstrip())

    with live_table(cells):
        if options.dask:
            train_on_cluster(cells, options.dask, options.out, say)
            return
        for cell in cells:
            if cell.is_finished:
                continue
            cell.state = "running"
            say(cell)
            train_cell(cell, precision_flags(cell, cells))
            say(cell)


@contextmanager
def _stopping_on_signals(out: Path) -> Iterator[None]:
    def stop(number: signal.Signals) -> None:
        raise Stopped(f"study stopped; the same command goes on with {os.fspath(out)}", number)

    with stop_requests(stop):
        yield
