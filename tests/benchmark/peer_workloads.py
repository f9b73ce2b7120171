"""Fake candidates for test_peers.py, run by benchmarks/peers/worker.py in processes of their own."""

import os
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from benchmarks.peers.workloads import Workload, search_of


def sleeper(seconds: float, diary: str, name: str) -> Workload:
    """Takes `seconds` a batch of ten images and writes its name into the diary."""

    def batch() -> None:
        with Path(diary).open("a") as file:
            file.write(name)
        print("what a library prints is no answer")
        time.sleep(seconds)

    return Workload(lambda: (batch() for _ in count()), 10)


def failing(after: int, how: str) -> Workload:
    """Raises, or ends its process, in batch number `after`."""
    done = count()

    def batches() -> Iterator[None]:
        while next(done) < after:
            yield
        if how == "killed":
            os.kill(os.getpid(), 9)
        raise ValueError("the third\nbatch is bad")

    return Workload(batches, 10)


def needs_a_library() -> Workload:
    """Cannot be built."""
    import a_library_that_nobody_has  # noqa: F401

    raise AssertionError


def finder(found: str) -> Workload:
    """Finds one pair of two images, twice."""
    return search_of(lambda: [("b", "a"), ("a", "b")], 2, found)
