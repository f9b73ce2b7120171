"""Commands run by a zygote, under chosen conditions, to their end or a kill; what is on disk before and after."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TIMEOUT = 150.0  # seconds; what takes longer hangs: the slowest command here takes twenty


@dataclass(frozen=True)
class Conditions:
    """What a command runs under.

    Fields:
        file_bytes, address_bytes: ulimit -f and -v. memory_group: a control group's folder. nobody: without rights.
        often: a checkpoint after every second step in place of every minute. clock_shift: seconds the clock is off.
        unevaluated: `train` ends after training. late: two hours pass after some calls of the graph.
        crowded: what a command leaves free for others on a disk is taken, so that its check of space finds nothing.
    """

    file_bytes: int = 0
    address_bytes: int = 0
    memory_group: str = ""
    nobody: bool = False
    often: bool = False
    unevaluated: bool = False
    late: bool = False
    clock_shift: float = 0.0
    crowded: bool = False


NORMAL = Conditions()


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (negative: the signal), what it said, how long it took; None if it hung."""

    code: int | None
    stdout: str
    stderr: str
    seconds: float

    @property
    def error_lines(self) -> list[str]:
        """The lines people read as the error."""
        return [line for line in self.stderr.splitlines() if line.startswith("fastmri-cls: error: ")]

    @property
    def crashed(self) -> str:
        """What no command may do, in a few words; empty when it did not."""
        if self.code is None:
            return f"hung for {_TIMEOUT:.0f} s"
        if "Traceback (most recent call last)" in self.stderr:
            return f"traceback: {self.stderr.strip().splitlines()[-1][:200]}"
        return f"ended by signal {-self.code}" if self.code < 0 else ""


class Zygote:
    """One such process; use it from one thread."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self._numbers = 0
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "zygote.stderr").open("w") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.campaign.zygote"],
                cwd=ROOT, text=True, bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
            )  # fmt: skip
        assert self._answer() == "ready"

    def use_cache(self, folder: Path) -> None:
        """Let the commands keep weights and feature views in `folder`."""
        self._environment["FASTMRI_CLS_CACHE"] = str(folder)

    def start(self, *arguments: object, conditions: Conditions = NORMAL, **environment: str) -> "Running":
        """Start `fastmri-cls ARGUMENTS...` with variables beside those of all commands."""
        self._numbers += 1
        said = [self._folder / f"{self._numbers}.{name}" for name in ("stdout", "stderr")]
        for path in said:
            path.touch()  # a child that is killed at once has not opened them
        pid = int(
            self._ask(
                {
                    "arguments": [str(argument) for argument in arguments],
                    "environment": self._environment | environment,
                    "conditions": asdict(conditions),
                    "stdout": str(said[0]),
                    "stderr": str(said[1]),
                }
            )
        )
        return Running(self, pid, said)

    def run(self, *arguments: object, conditions: Conditions = NORMAL) -> Ended:
        """Start it and wait for its end."""
        return self.start(*arguments, conditions=conditions).wait()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def wait_for(self, pid: int) -> int:
        """Return the exit code of a child, negative for a signal."""
        return int(self._ask({"wait": pid}))

    def _ask(self, request: dict[str, object]) -> str:
        assert self._process.stdin
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, f"the zygote has died: {(self._folder / 'zygote.stderr').read_text()[-500:]}"
        return line.strip()


@dataclass
class Running:
    """A command that was started."""

    zygote: Zygote
    pid: int
    said: list[Path]
    began: float = field(default_factory=time.monotonic)

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; an ended one that nobody has waited for is a zombie."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except FileNotFoundError:
            return False

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there: it is not waited for yet, so its id is its own."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, timeout: float = _TIMEOUT) -> Ended:
        """Wait for its end; it is killed when it hangs."""
        hung = threading.Event()

        def give_up() -> None:
            hung.set()
            self.send(signal.SIGKILL)

        timer = threading.Timer(timeout, give_up)
        timer.start()
        code = self.zygote.wait_for(self.pid)
        timer.cancel()
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in self.said]
        return Ended(None if hung.is_set() else code, texts[0], texts[1], time.monotonic() - self.began)


def snapshot(folder: Path) -> dict[str, str]:
    """Return what is in `folder` by relative path: kind and, of files, the sha256."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = "folder" if path.is_dir() else "special"
    return found


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return the names that appeared, vanished or changed."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
