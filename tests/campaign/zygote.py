"""A process that has imported TensorFlow once and runs each command in a child of its own, forked before any use.

A child is the command as users run it (its own process, exit code, stdout and stderr) without the seconds of imports,
so that kills fall on the work itself. Requests and answers are JSON lines on stdin and stdout, see runner.py.
"""

import ctypes
import gc
import itertools
import json
import os
import resource
import signal
import sys
import time
import traceback
import types
from typing import Any

_PR_SET_PDEATHSIG = 1


def import_everything() -> None:
    """Import what the commands import when they run; nothing here makes TensorFlow start its threads."""
    import encodings.cp437  # noqa: F401 - zipfile asks for it late, and nobody may not read every Python

    import fastmri_cls.auditing.run
    import fastmri_cls.comparison.report
    import fastmri_cls.experiment
    import fastmri_cls.export.run
    import fastmri_cls.inference.predictor
    import fastmri_cls.records.build
    import fastmri_cls.records.verify
    import fastmri_cls.records.writer
    import fastmri_cls.report.tables
    import fastmri_cls.study.run  # noqa: F401


def set_conditions(conditions: dict[str, Any]) -> None:
    """Put this process under what `runner.Conditions` says."""
    if group := conditions["memory_group"]:
        with open(f"{group}/cgroup.procs", "w") as file:  # noqa: PTH123 - one write, as the kernel wants it
            file.write(str(os.getpid()))
    if size := conditions["file_bytes"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    if size := conditions["address_bytes"]:
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    if conditions["nobody"]:
        os.setgid(65534)
        os.setuid(65534)
    if conditions["often"]:
        from fastmri_cls.training import checkpoint, loops

        checkpoint._SECONDS_BETWEEN = 0.0
        loops.STEPS_PER_CALL = 2, 2
    if conditions["unevaluated"]:
        from fastmri_cls import experiment

        experiment.evaluate = lambda *_, **__: sys.exit(0)  # type: ignore[assignment]
    if conditions["late"]:
        from fastmri_cls.training import checkpoint

        asked = itertools.count()
        checkpoint.time = types.SimpleNamespace(  # type: ignore[assignment]
            monotonic=lambda: time.monotonic() + 7200 * (next(asked) > 20)
        )
    if conditions["crowded"]:
        from fastmri_cls.training import feature_store

        feature_store._RESERVE = -(1 << 40)
    if shift := conditions["clock_shift"]:
        _shift_the_clock(shift)


def _shift_the_clock(seconds: float) -> None:
    """Let the wall clock stand `seconds` off, and off by the opposite after every third reading."""
    true_time, readings = time.time, iter(range(10**12))
    time.time = lambda: true_time() + (seconds if next(readings) % 3 else -seconds)


def run_child(request: dict[str, Any]) -> None:
    """Be the command; never returns."""
    # A hard end of the campaign must not leave commands behind.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for descriptor, name in ((0, os.devnull), (1, request["stdout"]), (2, request["stderr"])):
        opened = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(opened, descriptor)
    os.environ.update(request["environment"])
    sys.argv = ["fastmri-cls", *request["arguments"]]
    code: Any = 1
    try:
        set_conditions(request["conditions"])
        from fastmri_cls.cli.app import main

        main()
        code = 0
    except SystemExit as end:
        code = 0 if end.code is None else end.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def serve() -> None:
    """Answer {"arguments": ...} with a process id, and {"wait": id} with how that process ended."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    gc.set_threshold(50_000, 20, 20)
    import_everything()
    gc.freeze()  # no child need look through what it never frees
    print("ready", file=answers)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(os.waitstatus_to_exitcode(status), file=answers)
            continue
        child = os.fork()
        if child == 0:
            run_child(request)
        print(child, file=answers)


if __name__ == "__main__":
    serve()
