"""Models x seeds (x folds, datasets, ablations): every cell a `train` in a process of its own, one report at the end.

A process of its own keeps a crash, and the memory of a model, from reaching the next cell. A finished cell is a RUN
folder with everything in it, and is never touched again; an unfinished one goes on from its last checkpoint.
"""

import csv
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from rich.live import Live
from rich.table import Table

from fastmri_cls.comparison.report import STUDY_FILE, Comparison, Failure, compare_runs
from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.atomic import write_text
from fastmri_cls.foundation.errors import Stopped, UserError
from fastmri_cls.foundation.progress import console, log
from fastmri_cls.foundation.signals import stop_requests
from fastmri_cls.models.registry import find_model
from fastmri_cls.runs import files
from fastmri_cls.runs.config import read_config
from fastmri_cls.runs.run import exclusive, is_taken

# Named variants as flags of `train`; which leakage is kept or dropped is a matter of building: give both folders.
ABLATIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "preprocessing": {"own": ("--preprocessing", "own"), "keras": ("--preprocessing", "keras")},
    "contrast": {"contrast1": ("--contrast", "1"), "contrast1.5": ("--contrast", "1.5")},
    "pretraining": {"pretrained": (), "scratch": ("--weights", "none")},
}

TRAIN = (sys.executable, "-m", "fastmri_cls", "train")

_FILES = ("config.json", "history.csv", "predictions.csv", "metrics.json", "report.html", "README.md")
_LOOK_SECONDS = 0.5
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_ERROR_MARK = "fastmri-cls: error: "


@dataclass(frozen=True)
class StudyOptions:
    """What a study varies, and `train_flags`, what every cell is trained with besides.

    A model is a name of the registry, or `NAME=WEIGHTS` with what train's --weights takes.
    """

    data: tuple[Path, ...]
    models: tuple[str, ...]
    seeds: tuple[int, ...]
    out: Path
    ablations: tuple[str, ...] = ()
    train_flags: tuple[str, ...] = ()


@dataclass
class Cell:
    """One training: its RUN folder, its log, and how far it is.

    Attributes:
        name: of its RUN folder.
        system: the name without seed and fold; cells of one system are repeats of the same training.
        flags: of `train`.
        run: its RUN folder.
        log: the output of its process.
        state: waiting, running, done, failed or kept.
        reason: of a failure.
        seconds: so far.
    """

    name: str
    system: str
    flags: list[str]
    run: Path
    log: Path
    state: str = "waiting"
    reason: str = ""
    seconds: float = field(default=0.0)

    @property
    def is_finished(self) -> bool:
        """Whether training, evaluation and report are all there; README.md is written last."""
        return all((self.run / name).exists() for name in _FILES)


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
        failures = [Failure(cell.name, cell.reason) for cell in cells if not cell.is_finished]
        if not finished:
            raise UserError(f"{options.out}: every cell failed, the first with: {failures[0].reason}")
        found = compare_runs(finished, options.out, "Study", failures)
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
            system = "-".join(parts)
            parts.append(f"seed{seed}")
            flags = ["--weights", weights] if weights else []
            flags += [flag for _, flags in variant for flag in flags]
            if fold is not None:
                parts.append(f"fold{fold}")
                flags += ["--fold", str(fold)]
            name = "-".join(parts)
            run = options.out / "runs" / name
            fixed = ["--data", str(data), "--model", architecture, "--seed", str(seed), "--out", str(run), "--resume"]
            all_flags = [*options.train_flags, *flags, *fixed]
            cells.append(Cell(name, system, all_flags, run, options.out / "logs" / f"{name}.log"))
    return cells


def _variants(model: str, options: StudyOptions) -> list[tuple[tuple[str, tuple[str, ...]], ...]]:
    """Return the combinations of (name, flags) a model is trained in; without pretrained weights none is `scratch`."""
    architecture, _, weights = model.partition("=")
    default = find_model(architecture).default_weights
    pretrained = (weights or default) != "none" or "--weights" in options.train_flags
    ablations = [name for name in options.ablations if name != "pretraining" or pretrained]
    return list(product(*(ABLATIONS[name].items() for name in ablations)))


def _remember(options: StudyOptions) -> None:
    """Write study.json, or refuse to go on with a folder that was begun with other data or flags."""
    path = options.out / STUDY_FILE
    now: dict[str, Any] = {
        "datasets": {str(data): Dataset(data).fingerprint for data in options.data},
        "train_flags": list(options.train_flags),
    }
    if not path.exists() and is_taken(options.out):
        raise UserError(f"{options.out}: exists already and is no study; choose another --out")
    if path.exists():
        try:
            begun = json.loads(path.read_text(encoding="utf-8"))
            begun = {"datasets": dict(begun["datasets"]), "train_flags": list(begun["train_flags"])}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(f"{path}: is damaged ({error}); choose another --out") from None
        for name in ("datasets", "train_flags"):
            before, here = begun[name], now[name]
            if name == "datasets":
                before, here = sorted(before.values()), sorted(here.values())
            if before != here:
                raise UserError(f"{options.out}: was begun with other {name.replace('_', ' ')}; choose another --out")
    write_text(path, json.dumps(now | {"models": options.models, "seeds": options.seeds}, indent=2) + "\n")


def _train(cells: list[Cell]) -> None:
    for cell in cells:
        if cell.is_finished:
            cell.state = "kept"
    with _live(cells):
        for number, cell in enumerate(cells):
            if cell.is_finished:
                continue
            cell.state = "running"
            cell.flags += _as_resolved(cell.system, cells) if not (cell.run / files.CONFIG).exists() else []
            _say(f"{number + 1}/{len(cells)} {cell.name}: running")
            _run(cell)
            _say(
                f"{number + 1}/{len(cells)} {cell.name}: {cell.state} after {cell.seconds:.0f} s {cell.reason}".rstrip()
            )


def _as_resolved(system: str, cells: Sequence[Cell]) -> list[str]:
    """Return what `auto` meant in the first cell of a system, as flags for its other cells.

    Precision and XLA are measured, and a busy machine can measure differently: another seed would become another
    system. The measurement stays in the process of the first cell, so that its device memory is free for the next.
    """
    for cell in cells:
        if cell.system == system and (cell.run / files.CONFIG).exists():
            try:
                config = read_config(cell.run)
            except UserError:  # damaged; the comparison reports it
                continue
            return ["--precision", config.precision, "--xla", config.xla]
    return []


def _run(cell: Cell) -> None:
    """Train one cell in a child process; if we end early, so does the child, which saves a checkpoint."""
    started = time.monotonic()
    cell.log.parent.mkdir(parents=True, exist_ok=True)
    with cell.log.open("a", encoding="utf-8") as output:
        output.write(f"$ fastmri-cls train {' '.join(cell.flags)}\n")
        output.flush()
        child = subprocess.Popen(
            [*TRAIN, *cell.flags],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            preexec_fn=_end_with_parent,
        )
        try:
            while child.poll() is None:
                cell.seconds = time.monotonic() - started
                time.sleep(_LOOK_SECONDS)
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
    cell.seconds = time.monotonic() - started
    cell.state = "done" if child.returncode == 0 and cell.is_finished else "failed"
    if cell.state == "failed":
        cell.reason = _reason(cell, child.returncode)


def _end_with_parent() -> None:
    """Have Linux kill this child when a kill -9 ends its parent: it would hold the RUN that a new study goes on with.

    It loses what came after its last checkpoint, a minute at most, and `--resume` makes up for that to the bit.
    """
    if hasattr(_LIBC, "prctl"):
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _reason(cell: Cell, code: int) -> str:
    """What the child said last, or how it ended."""
    lines = cell.log.read_text(encoding="utf-8", errors="replace").splitlines()
    own = lines[max(i for i, line in enumerate(lines) if line.startswith("$ ")) :]
    said = [line.split(_ERROR_MARK, 1)[1] for line in own if _ERROR_MARK in line]
    if said:
        return said[-1]
    ended = f"killed by signal {-code}" if code < 0 else f"exit code {code}, {own[-1].strip()}"
    return f"{ended}, see {cell.log}"


def _live(cells: Sequence[Cell]) -> AbstractContextManager[Live | None]:
    """The table while it changes, where stderr is a terminal."""
    if not console.is_terminal:
        return nullcontext()
    return Live(get_renderable=lambda: _progress(cells), console=console, refresh_per_second=2)


def _progress(cells: Sequence[Cell]) -> Table:
    """The live table: how far each cell is."""
    table = Table("cell", box=None, header_style="bold", pad_edge=False)
    for name in ("state", "epochs", "validation", "test", "time"):
        table.add_column(name, justify="right")
    for cell in cells:
        epochs, validation = _history_end(cell)
        seconds = f"{cell.seconds:.0f} s" if cell.seconds else ""
        table.add_row(cell.name, cell.state, epochs, validation, _test_accuracy(cell), seconds)
    return table


def _history_end(cell: Cell) -> tuple[str, str]:
    try:
        with (cell.run / "history.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return str(len(rows)), f"{float(rows[-1]['val_accuracy']):.3f}"
    except (OSError, IndexError, KeyError, TypeError, ValueError):  # not there yet, or just being written
        return "", ""


def _test_accuracy(cell: Cell) -> str:
    if not cell.is_finished:
        return ""
    metrics = json.loads((cell.run / "metrics.json").read_text(encoding="utf-8"))
    return f"{metrics['tests']['pooled']['accuracy']:.3f}"


def _say(line: str) -> None:
    """A log line where there is no live table."""
    if not console.is_terminal:
        log.info(line)


@contextmanager
def _stopping_on_signals(out: Path) -> Iterator[None]:
    def stop(number: signal.Signals) -> None:
        raise Stopped(f"study stopped; the same command goes on with {os.fspath(out)}", number)

    with stop_requests(stop):
        yield
