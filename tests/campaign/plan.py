"""What the campaign does: every kind of bad input, and the faults at moments and places drawn from the seed."""

import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.campaign import (  # noqa: F401 - each adds its kinds to KINDS
    bad_datasets,
    bad_flags,
    bad_formats,
    bad_images,
    bad_runs,
    bad_sources,
    bad_targets,
    bad_weights,
    memory,
)
from tests.campaign.damage import READERS, Sound, flipped
from tests.campaign.faults import Alone, doubled, killed, off_the_clock, on_a_full_disk
from tests.campaign.kinds import KINDS, try_kind
from tests.campaign.materials import Materials
from tests.campaign.runner import Zygote

BAD_INPUT = "bad-input"
KILL, TERMINATE, STILL = "kill -9", "SIGTERM", "stands still"
FLIP, DISK, DOUBLE, CLOCK, MEMORY = "flipped bit", "full disk", "twice at once", "wrong clock", "little memory"

# How often each command is killed: 116 times, most where most is written and least where it takes longest.
_KILLS = {
    "build": 20, "build-workers": 6, "audit": 14, "train": 20, "feature-views": 6, "evaluate": 12, "predict": 14,
    "compare": 12, "export": 10, "study": 2,
}  # fmt: skip
_TERMINATED = ("build", "audit", "train", "train", "feature-views", "evaluate", "predict", "study")
_STILL = ("build", "train", "evaluate")
_DISKS = (
    "build", "build", "audit", "train", "train", "feature-views", "feature-views", "evaluate", "evaluate", "predict",
    "compare", "export",
)  # fmt: skip
_FLIPS_EACH = 3
_DAY = 86_400.0
_CLOCKS = {"build": 400 * _DAY, "train": 3 * _DAY, "evaluate": -56 * 365 * _DAY, "export": -56 * 365 * _DAY}
_SHORT_KINDS, _SHORT_FAULTS = 40, 12
_QUICK = ("build", "audit", "predict", "compare", "dataset.json", "predictions.csv")


@dataclass(frozen=True)
class Job:
    """One try: `part` is a row of the table; `run` returns what was wrong, empty when all was as it must be."""

    part: str
    name: str
    run: Callable[[Path, Materials, Zygote], str]


def make_jobs(seed: int, *, short: bool, parts: Sequence[str]) -> list[Job]:
    """Return the jobs, in random order; `short` takes a sample of the quick ones."""
    bad = [Job(BAD_INPUT, make.__name__, partial(try_kind, make)) for make in KINDS]
    faults = make_faults(seed)
    rng = random.Random(seed)
    rng.shuffle(faults)  # so that commands of many seconds do not run side by side
    if short:
        quick = [job for job in faults if job.name.split()[0] in _QUICK]
        return [*rng.sample(bad, _SHORT_KINDS), *quick[:_SHORT_FAULTS]]
    jobs = [*bad, *faults]
    return [job for job in jobs if not parts or any(f"{job.part}/{job.name}".startswith(part) for part in parts)]


def make_faults(seed: int) -> list[Job]:
    """Return all faults."""
    alone = Alone()
    jobs = [
        *_of_signal(KILL, signal.SIGKILL, [name for name, count in _KILLS.items() for _ in range(count)], seed, alone),
        *_of_signal(TERMINATE, signal.SIGTERM, _TERMINATED, seed, alone),
        *_of_signal(STILL, signal.SIGSTOP, _STILL, seed, alone),
    ]
    for number, name in enumerate(_DISKS):
        jobs.append(Job(DISK, f"{name} {number}", on_a_full_disk(name, f"{seed} {name} {number}", alone)))
    sound = Sound()
    jobs += [
        Job(FLIP, f"{name} {number}", flipped(name, f"{seed} {name} {number}", sound))
        for name in READERS
        for number in range(_FLIPS_EACH)
    ]
    jobs += [Job(CLOCK, name, off_the_clock(name, shift, alone)) for name, shift in _CLOCKS.items()]
    jobs.append(Job(DOUBLE, "train", doubled("train", "run/history.csv", "another training writes it", alone)))
    jobs.append(Job(DOUBLE, "build", doubled("build", ".out.incomplete", "another process is writing it", alone)))
    jobs.append(Job(MEMORY, "control group", memory.under_a_control_group))
    jobs.append(Job(MEMORY, "ulimit -v", memory.under_ulimit))
    return jobs


def _of_signal(part: str, number: signal.Signals, names: Sequence[str], seed: int, alone: Alone) -> list[Job]:
    return [
        Job(part, f"{name} {place}", killed(name, number, f"{seed} {part} {place}", alone))
        for place, name in enumerate(names)
    ]
