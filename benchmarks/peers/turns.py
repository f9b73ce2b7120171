"""Candidates that take turns, each in a process of its own: what the four programs of this folder share.

All candidates of a table are built at once. Then they run one after the other in every round, so that only one
computes at a time and a machine that slows down slows all of them. The ratio is that to the best peer: the median over
the rounds of the ratio in the same round. A candidate that is not installed, cannot be built or fails in a round is
left out of the table, and named below it with its reason.
"""

import argparse
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import environments

from fastmri_cls.benchmark.measure import Kind, Result, Timing, make_row, print_result
from fastmri_cls.foundation.atomic import write_text
from fastmri_cls.foundation.environment import describe
from fastmri_cls.foundation.progress import log, show_log

WORKER = Path(__file__).resolve().with_name("worker.py")
WORKLOADS = "benchmarks.peers.workloads"
BUILD_LIMIT, ROUND_LIMIT = 1200, 600  # seconds; torch.compile takes minutes on two cores
_GRACE = 5  # seconds that a process has to end by itself


class CandidateError(Exception):
    """A candidate cannot be measured; the message is the reason."""


@dataclass(frozen=True)
class Candidate:
    """A candidate of a table.

    Attributes:
        name: shown in the table and in the JSON.
        workload: `module:function`, called with `arguments` in the candidate's process; returns a `worker.Workload`.
        arguments: what JSON can hold.
        what: one line of description.
        environment: of the peer, see environments.py; None for the interpreter of fastmri-cls.
        packages: whose versions are reported.
        kind: `ours` or `peer`.
    """

    name: str
    workload: str
    arguments: Mapping[str, Any]
    what: str
    environment: str | None = None
    packages: Sequence[str] = ()
    kind: Kind = "peer"


@dataclass(frozen=True)
class Plan:
    """How a table is measured.

    Attributes:
        rounds: in each, all candidates take turns.
        timing: of a candidate in a round; its `rounds` is not used.
        trial: batches before the first round.
    """

    rounds: int
    timing: Timing
    trial: int = 2


@dataclass(frozen=True)
class Table:
    """Measured rows, whose baseline is the best peer; {name: reason} of what was left out; {package: version}."""

    result: Result
    skipped: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


class Process:
    """A candidate's process.

    Args:
        candidate: the candidate.
        plan: how it will be measured.

    Raises:
        CandidateError: its environment is missing.
    """

    def __init__(self, candidate: Candidate, plan: Plan) -> None:
        python = environments.interpreter(candidate.environment) if candidate.environment else Path(sys.executable)
        if not python.exists():
            raise CandidateError(f"not installed; python benchmarks/peers/environments.py {candidate.environment}")
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        self._process = subprocess.Popen(
            [python, WORKER], bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
            start_new_session=True,
        )  # fmt: skip
        timing = {name: value for name, value in asdict(plan.timing).items() if name != "rounds"}
        request = {"workload": candidate.workload, "arguments": dict(candidate.arguments), "timing": timing}
        self._send(json.dumps(request | {"packages": list(candidate.packages), "trial": plan.trial}))

    def versions(self) -> dict[str, str]:
        """Wait until the candidate is built; return the versions of its packages.

        Raises:
            CandidateError: it cannot be built.
        """
        return self._answer(BUILD_LIMIT)["versions"]

    def round(self) -> float:
        """Let it run; return its images per second.

        Raises:
            CandidateError: it ended instead.
        """
        self._send("")
        return self._answer(ROUND_LIMIT)["images_per_second"]

    def end(self) -> None:
        """End it and all processes that it has started."""
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def _send(self, line: str) -> None:
        with suppress(BrokenPipeError):  # then there is no answer either
            self._process.stdin.write(f"{line}\n".encode())

    def _answer(self, limit: float) -> dict[str, Any]:
        if not select.select([self._process.stdout], [], [], limit)[0]:
            raise CandidateError(f"no answer in {limit:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise CandidateError(self._last_words())
        answer = json.loads(line)
        if "error" in answer:
            raise CandidateError(answer["error"])
        return answer

    def _last_words(self) -> str:
        """Return how the process ended and the last line that it wrote."""
        code = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        ended = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"{ended}: {last[:200]}" if last else ended


@contextmanager
def started(candidates: Sequence[Candidate], plan: Plan, skipped: dict[str, str]) -> Iterator[dict[str, Process]]:
    """Yield the processes of the candidates that can be started; put the others into `skipped`."""
    with ExitStack() as stack:
        processes = {}
        for candidate in candidates:
            try:
                processes[candidate.name] = Process(candidate, plan)
                stack.callback(processes[candidate.name].end)
            except CandidateError as reason:
                skipped[candidate.name] = str(reason)
        yield processes


def measure(title: str, candidates: Sequence[Candidate], plan: Plan) -> Table:
    """Measure a table."""
    skipped: dict[str, str] = {}
    versions: dict[str, str] = {}
    rates: dict[str, list[float]] = {}

    def attempt(name: str, when: str, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except CandidateError as reason:
            skipped[name] = f"{when}{reason}"
            rates.pop(name, None)
            log.info(f"{name}: {skipped[name]}")
            return None

    log.info(f"{title}: building {len(candidates)} candidates")
    with started(candidates, plan, skipped) as processes:
        for name, process in processes.items():
            rates[name] = []
            versions |= attempt(name, "", process.versions) or {}
        for number in range(1, plan.rounds + 1):
            for name in list(rates):
                rate = attempt(name, f"round {number}: ", processes[name].round)
                if rate is not None:
                    rates[name].append(rate)
                    log.info(f"round {number}/{plan.rounds}  {name:32} {rate:10,.1f} images/s")
    measured = [candidate for candidate in candidates if candidate.name in rates]
    baseline = best_peer(measured, rates)
    rows = tuple(make_row(one.name, one.what, rates[one.name], rates[baseline], one.kind) for one in measured)
    return Table(Result(title, rows, baseline, describe()), skipped, versions)


def best_peer(measured: Sequence[Candidate], rates: Mapping[str, list[float]]) -> str:
    """Return the name of the fastest peer; without any, the first candidate's; without these, an empty one."""
    peers = [one.name for one in measured if one.kind == "peer"] or [one.name for one in measured[:1]]
    return max(peers, key=lambda name: statistics.median(rates[name]), default="")


def document(tables: Sequence[Table]) -> dict[str, Any]:
    """Return the JSON of `--json`; rows of all tables stand in one list and name their table."""
    return {
        "rows": [
            {"table": one.result.title, "what": row.what, **plain}
            for one in tables
            for row, plain in zip(one.result.rows, json.loads(one.result.to_json())["rows"], strict=True)
        ],
        "baseline": {one.result.title: one.result.baseline for one in tables},
        "skipped": [
            {"table": one.result.title, "name": name, "reason": reason}
            for one in tables
            for name, reason in one.skipped.items()
        ],
        "versions": {name: version for one in tables for name, version in one.versions.items()},
        "environment": describe(),
    }


def print_table(table: Table) -> None:
    """Print a table, the versions of the peers, and what was left out."""
    print_result(table.result)
    if table.versions:
        print("peers: " + ", ".join(f"{name} {version}" for name, version in sorted(table.versions.items())))
    for name, reason in table.skipped.items():
        print(f"skipped: {name}: {reason}")
    print(flush=True)


def parser(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with the options that all programs have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"default: {rounds}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results; complete after every table")
    return parser


def run(tables: Iterator[Table], json_file: Path | None) -> None:
    """Measure, print and write down one table after the other."""
    show_log()
    done: list[Table] = []
    for table in tables:
        done.append(table)
        print_table(table)
        if json_file:
            write_text(json_file, json.dumps(document(done), indent=1) + "\n")
