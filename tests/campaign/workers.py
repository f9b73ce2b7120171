"""Jobs two at a time, each thread with a zygote of its own; the materials are made first."""

import shutil
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from rich.console import Console
from rich.progress import track

from tests.campaign.faults import alone_folder
from tests.campaign.materials import Materials, make_materials
from tests.campaign.plan import Job
from tests.campaign.runner import Zygote

_SAY_EVERY = 20
_AT_ONCE = 2  # a zygote takes 0.6 GB, and a command uses one to two cores


@dataclass(frozen=True)
class Result:
    """What became of a job; `wrong` is empty where all was as it must be."""

    job: Job
    wrong: str


def print_wrong(console: Console, result: Result) -> None:
    """Print one line of what was wrong."""
    line = f"{result.job.part} {result.job.name}: {result.wrong}"
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def run_jobs(jobs: Sequence[Job], place: Path, console: Console) -> list[Result]:
    """Run the jobs in a temporary folder and return their results; what is wrong is printed at once.

    Ctrl-C and SIGTERM end it early, with the results there are.
    """
    environment = {"HOME": str(place), "COLUMNS": "200"}
    results: list[Result] = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        started = list(pool.map(lambda n: Zygote(place / f"said-{n}", environment), range(_AT_ONCE)))
        zygotes: Queue[Zygote] = Queue()
        for zygote in started:
            zygotes.put(zygote)
        given = make_materials(place / "given", started)

        def run(number: int, job: Job) -> Result:
            zygote, folder = zygotes.get(), place / f"job-{number}"
            zygote.use_cache(folder / "cache")
            try:
                return Result(job, _run(job, folder, given, zygote))
            finally:
                zygotes.put(zygote)
                for used in (folder, alone_folder(folder)):
                    shutil.rmtree(used, ignore_errors=True)

        running = [pool.submit(run, number, job) for number, job in enumerate(jobs)]
        try:
            for done in track(
                as_completed(running),
                "campaign",
                total=len(jobs),
                console=console,
                transient=True,
                disable=not console.is_terminal,
            ):
                results.append(done.result())
                if len(results) % _SAY_EVERY == 0 and not console.is_terminal:
                    console.print(f"{len(results)} of {len(jobs)} done")
                if results[-1].wrong:
                    print_wrong(console, results[-1])
        except KeyboardInterrupt:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            pool.shutdown(wait=False, cancel_futures=True)
        finally:
            for zygote in started:
                zygote.close()
    return results


def _run(job: Job, folder: Path, given: Materials, zygote: Zygote) -> str:
    try:
        return job.run(folder, given, zygote)
    except (OSError, AssertionError, ValueError) as error:
        return f"the campaign itself failed: {type(error).__name__}: {error}"
