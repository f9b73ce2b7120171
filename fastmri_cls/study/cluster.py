"""The cells of a study on a Dask cluster: one a worker at a time; a cell whose worker is lost is resumed by another.

A file in the study's folder shows that workers share it. Trainings stop, with a checkpoint, once that file is gone.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, wait
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from fastmri_cls.foundation.dask_cluster import check_workers, dask_client
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.runs import files
from fastmri_cls.study.cells import begin, finish, precision_flags
from fastmri_cls.study.child import train_in_worker
from fastmri_cls.study.plan import Cell

if TYPE_CHECKING:
    from distributed import Client

_POLL_SECONDS = 0.5
_STOP_SECONDS = 120  # for a checkpoint to be saved
_TOKEN = ".running-"


def train_on_cluster(cells: Sequence[Cell], where: str, out: Path, say: Callable[[Cell], None]) -> None:
    """Train every waiting cell in the workers of a cluster.

    Args:
        cells: of the study.
        where: the cluster, see `dask_client`.
        out: the folder of the study, absolute.
        say: is told of a cell that begins or ends.

    Raises:
        UserError: there is no such cluster, its workers do not fit, or it is lost.
    """
    with dask_client(where) as client, _token(out) as token:
        check_workers(client, where, [token])
        _check_one_thread(client, where)
        executor = client.get_executor(pure=False)
        waiting = [cell for cell in cells if cell.state == "waiting"]
        running: dict[Future[int], tuple[Cell, float]] = {}
        try:
            while waiting or running:
                for cell in _ready(waiting, cells)[: max(0, len(client.nthreads()) - len(running))]:
                    waiting.remove(cell)
                    command = begin(cell, precision_flags(cell, cells))
                    future = executor.submit(train_in_worker, command, cell.log, token, Path.cwd())
                    running[future] = cell, time.monotonic()
                    say(cell)
                for future in [future for future in running if future.done()]:
                    ended, _ = running.pop(future)
                    _end(ended, future)
                    say(ended)
                for cell, started in running.values():
                    cell.seconds = time.monotonic() - started
                time.sleep(_POLL_SECONDS)
        finally:
            token.unlink(missing_ok=True)
            wait(running, timeout=_STOP_SECONDS)


@contextmanager
def _token(out: Path) -> Iterator[Path]:
    """Make the file that trainings look for; those of a study that was killed here find theirs gone."""
    for left in out.glob(f"{_TOKEN}*"):
        left.unlink(missing_ok=True)
    with NamedTemporaryFile(dir=out, prefix=_TOKEN, delete=False) as file:
        path = Path(file.name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _check_one_thread(client: "Client", where: str) -> None:
    crowded = [worker for worker, threads in client.nthreads().items() if threads > 1]
    if crowded:
        raise UserError(
            f"--dask {where}: worker {crowded[0]} has several threads and would train several cells at once; start "
            "workers with --nthreads 1"
        )


def _ready(waiting: Sequence[Cell], cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells that may begin: of a model whose precision nobody knows yet, one alone."""
    ready: list[Cell] = []
    undecided = {cell.model for cell in cells if cell.state == "running"}
    for cell in waiting:
        if (cell.run / files.CONFIG).exists() or precision_flags(cell, cells) or cell.model not in undecided:
            ready.append(cell)
        undecided.add(cell.model)
    return ready


def _end(cell: Cell, future: "Future[int]") -> None:
    from distributed.scheduler import KilledWorker

    try:
        finish(cell, future.result())
    except KilledWorker:
        cell.state, cell.reason = "failed", f"several workers were lost while they trained it, see {cell.log}"
    except (CancelledError, OSError) as error:
        cell.state, cell.reason = "failed", f"{error or 'the cluster is gone'}, see {cell.log}"
