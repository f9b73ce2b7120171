"""One `train` in a process of its own: here, or in a worker of a cluster, which need not import TensorFlow for it."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_POLL_SECONDS = 0.5
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def run_train(
    command: Sequence[str],
    log: Path,
    goes_on: Callable[[], bool],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Run Python with `command`, its output appended to `log`; return its exit code, or minus its signal.

    If this process ends early, or `goes_on` (asked twice a second) says no, the child saves a checkpoint and ends.

    Args:
        command: what follows the interpreter; the flags of train come last.
        log: the file.
        goes_on: whether to go on.
        folder: the working folder; None for this process's.
        environment: added to this process's.
    """
    with log.open("a", encoding="utf-8") as output:
        child = subprocess.Popen(
            [sys.executable, *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            preexec_fn=_end_with_parent,
            cwd=folder,
            env={**os.environ, **(environment or {})},
        )
        try:
            while child.poll() is None and goes_on():
                time.sleep(_POLL_SECONDS)
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
    return child.returncode


def train_in_worker(command: list[str], log: Path, token: Path, folder: Path) -> int:
    """Run train in a child of this worker until it ends or `token` is gone; return its exit code.

    Args:
        command: see `run_train`.
        log: what it prints is appended to this file.
        token: training goes on as long as this file is there.
        folder: where the study was started, so that relative paths in flags mean the same here.
    """
    from distributed import get_worker

    return run_train(command, log, token.exists, folder=folder, environment=_own_gpu(get_worker().name))


def _own_gpu(worker: object) -> dict[str, str]:
    """Return the variable that gives worker number `worker` of this machine one of several GPUs."""
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    if not isinstance(worker, int) or gpus < 2 or "CUDA_VISIBLE_DEVICES" in os.environ:
        return {}
    return {"CUDA_VISIBLE_DEVICES": str(worker % gpus)}


def _end_with_parent() -> None:
    """Have Linux kill this child when its parent is killed: it would hold the RUN that a new study resumes.

    It loses what came after its last checkpoint, at most a minute; `--resume` repeats that to the bit.
    """
    if hasattr(_LIBC, "prctl"):
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
