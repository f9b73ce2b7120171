"""What every fuzz target shares: a folder to write to, the limit of memory, what a clear refusal looks like."""

import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_MUCH_MEMORY = 1 << 20  # KiB, 1 GiB more than the process had before


@dataclass(frozen=True)
class Target:
    """A reader, and bytes to begin with."""

    seeds: Callable[[], list[bytes]]
    check: Callable[[bytes], None]


@contextmanager
def within_memory() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < _MUCH_MEMORY, f"took {grown >> 10} MiB"


@cache
def fuzz_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="fuzz-"))


def one_line(error: Exception) -> None:
    assert len(str(error)) < 100_000
    assert str(error)
