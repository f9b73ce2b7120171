"""Jobs two at a time, each thread with a zygote of its own; the materials are made first."""

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from rich.console import Console

from tests.campaign.materials import Materials, make_materials
from tests.campaign.plan import Job
from tests.campaign.runner import Zygote

_AT_ONCE = 2  # a zygote takes 0.6 GB, and a command uses one to two cores


@dataclass(frozen=True)
class Result:
    """What became of a job; `wrong` is empty where all was as it must be."""

    job: Job
    wrong: str


def run_jobs(jobs: Sequence[Job], place: Path, console: Console) -> list[Result]:
    """Run the jobs in a temporary folder and return their results in order; what is wrong is printed at once."""
    environment = {"HOME": str(place), "COLUMNS": "200"}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        started = list(pool.map(lambda n: Zygote(place / f"said-{n}", environment), range(_AT_ONCE)))
        zygotes: Queue[Zygote] = Queue()
        for zygote in started:
            zygotes.put(zygote)
        given = make_materials(place / "given", started)

        def run(numbered: tuple[int, Job]) -> Result:
            number, job = numbered
            zygote = zygotes.get()
            folder = place / f"job-{number}"
            zygote.use_cache(folder / "cache")
            try:
                wrong = _run(job, folder, given, zygote)
            finally:
                zygotes.put(zygote)
                for leftover in place.glob(f"{folder.name}*"):
                    shutil.rmtree(leftover, ignore_errors=True)
            if wrong:
                console.print(f"{job.part} {job.name}: {wrong}", markup=False, highlight=False, soft_wrap=True)
            return Result(job, wrong)

        try:
            return list(pool.map(run, enumerate(jobs)))
        finally:
            for zygote in started:
                zygote.close()


def _run(job: Job, folder: Path, given: Materials, zygote: Zygote) -> str:
    try:
        return job.run(folder, given, zygote)
    except (OSError, AssertionError, ValueError) as error:
        return f"the campaign itself failed: {type(error).__name__}: {error}"
