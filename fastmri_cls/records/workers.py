"""What reads the files of a build or audit: processes of this machine, or the workers of a Dask cluster.

Both are an executor; a task that a Dask worker did not finish before it was lost is given to another one.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeAlias

from fastmri_cls.foundation.dask_cluster import check_workers, dask_client
from fastmri_cls.sources.archives import find_in_archive
from fastmri_cls.sources.folders import SourceFile

# A number of processes here; or a Dask cluster, as --dask names it.
Workers: TypeAlias = int | str


class Pool(NamedTuple):
    """Workers that take tasks.

    Attributes:
        executor: takes them.
        size: how many it does at once.
        broken: what it raises if a worker that held a task died for good.
        cure: what the user can do then.
        is_remote: whether the workers may be on other machines.
    """

    executor: Executor
    size: int
    broken: tuple[type[BaseException], ...]
    cure: str
    is_remote: bool

    def prepare(self, files: Sequence[SourceFile]) -> Sequence[SourceFile]:
        """Return files as the workers need them: found from any folder, and without patients on a network."""
        if not self.is_remote:
            return files
        return [replace(file, path=file.path.absolute(), patient="") for file in files]


@contextmanager
def open_pool(workers: Workers, files: Sequence[SourceFile]) -> Iterator[Pool]:
    """Start or connect to `workers`, which will read `files`.

    Raises:
        UserError: there is no such cluster, or its workers do not see the files.
    """
    if isinstance(workers, int):
        context = multiprocessing.get_context("spawn")  # fork would copy the threads' locks of the progress bar
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_follow_parent) as executor:
            try:
                yield Pool(executor, workers, (BrokenProcessPool,), "try --workers 1", is_remote=False)
            finally:
                executor.shutdown(wait=True, cancel_futures=True)
        return
    with dask_client(workers) as client:
        from distributed.comm import CommClosedError
        from distributed.scheduler import KilledWorker

        one_a_source = {file.source: _on_disk(file.path.absolute()) for file in files}
        check_workers(client, workers, list(one_a_source.values()))
        size = sum(client.nthreads().values())
        broken = (KilledWorker, CommClosedError, CancelledError)
        executor = client.get_executor(pure=False)
        try:
            yield Pool(executor, size, broken, "look at the logs of the cluster", is_remote=True)
        finally:
            executor.shutdown(wait=False)  # cancels what has not begun


def _on_disk(path: Path) -> Path:
    """Return the file itself, or the archive that it is in."""
    place = find_in_archive(path)
    return place[0] if place else path


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it is gone: after a kill -9 of the parent nobody else would end us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
