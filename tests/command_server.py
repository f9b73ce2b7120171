"""Runs `fastmri-cls ARGUMENTS...` in a fresh process each, forked from one that has imported TensorFlow already.

Importing TensorFlow takes five seconds of processor time, and the suite runs the command line very often. Nothing of
TensorFlow is initialised before a fork, so that a command starts as it does in a shell. What each command imports by
itself is the subject of tests/test_architecture.py, in real processes.
"""

import atexit
import contextlib
import fcntl
import gc
import importlib
import json
import os
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

_IMPORTED = (
    "fastmri_cls.api.data", "fastmri_cls.api.runs", "fastmri_cls.experiment", "fastmri_cls.comparison.report",
    "fastmri_cls.auditing.run",
    "fastmri_cls.records.build", "fastmri_cls.inference.predictor", "fastmri_cls.cli.app",
)  # fmt: skip


class CommandServer:
    """Use as a context manager; `run` is what `subprocess.run` of the command line would be."""

    def __enter__(self) -> "CommandServer":
        self._server: subprocess.Popen[str] | None = None
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def run(self, *arguments: object, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, in this process's folder and environment."""
        self._start()
        assert self._server
        assert self._server.stdout
        texts = list(map(str, arguments))
        with tempfile.TemporaryDirectory() as folder:
            printed = [Path(folder) / name for name in ("stdout", "stderr")]
            self._ask(texts, list(map(str, printed)))
            if not select.select([self._server.stdout], [], [], timeout)[0]:
                self._stop()
                raise subprocess.TimeoutExpired(texts, timeout)
            code = int(self._server.stdout.readline())
            output, errors = (path.read_text(encoding="utf-8") for path in printed)
        return subprocess.CompletedProcess([sys.executable, "-m", "fastmri_cls", *texts], code, output, errors)

    def run_in_terminal(self, *arguments: object, timeout: float = 120) -> tuple[int, list[tuple[float, str]]]:
        """Run a command on a pseudo-terminal of 80 columns; return its code, and what it wrote at which second."""
        self._start()
        assert self._server
        assert self._server.stdout
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        written: list[tuple[float, str]] = []
        begun = time.monotonic()
        self._ask(list(map(str, arguments)), [os.ttyname(theirs)] * 2)
        try:
            while time.monotonic() - begun < timeout:
                ready = select.select([ours, self._server.stdout], [], [], timeout)[0]
                if ours in ready:
                    written.append((time.monotonic() - begun, os.read(ours, 65536).decode(errors="replace")))
                elif ready:
                    return int(self._server.stdout.readline()), written
        finally:
            os.close(ours)
            os.close(theirs)
        self._stop()
        raise subprocess.TimeoutExpired(list(map(str, arguments)), timeout)

    def _start(self) -> None:
        if self._server is None or self._server.poll() is not None:
            command = [sys.executable, __file__]
            self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _ask(self, arguments: list[str], printed: list[str]) -> None:
        assert self._server
        assert self._server.stdin
        environment = {**os.environ, "TERM": "xterm"}
        request = {"arguments": arguments, "environment": environment, "folder": str(Path.cwd()), "printed": printed}
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()

    def _stop(self) -> None:
        if self._server:
            self._server.kill()
            self._server.communicate()
        self._server = None


def _serve() -> None:
    gc.set_threshold(50_000, 20, 20)
    for name in _IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # no child need look through what it never frees
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            with contextlib.suppress(Exception):
                answers.close()
            _become(**json.loads(line))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answers.write(f"{code}\n")
        answers.flush()


def _become(arguments: list[str], environment: dict[str, str], folder: str, printed: list[str]) -> None:
    """Run `python -m fastmri_cls ARGUMENTS...` in this process, and end it."""
    from fastmri_cls.cli import app
    from fastmri_cls.foundation import progress

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for descriptor, path in zip((1, 2), printed, strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    progress.console.is_interactive = os.isatty(2)  # Rich decided it when this server started
    sys.argv = [str(Path(app.__file__).parents[1] / "__main__.py"), *arguments]
    try:
        app.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    # As an interpreter ends: multiprocessing and TensorFlow register what to do with atexit.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve()
