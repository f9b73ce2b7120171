"""What the candidates do; every function builds one candidate in its own process and returns a Workload.

Modules other than ours.py import nothing of fastmri_cls that needs TensorFlow.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple


class Workload(NamedTuple):
    """What worker.py runs.

    Attributes:
        open: starts anew and returns an iterator over batches; to take one is the work that is timed.
        batch_size: images in a batch.
    """

    open: Callable[[], Iterator[Any]]
    batch_size: int


def repeated(call: Callable[[], object], batch_size: int) -> Workload:
    """Return the workload of a call that is over when it returns."""
    return Workload(lambda: (call() for _ in count()), batch_size)


def search_of(call: Callable[[], Iterable[tuple[str, str]]], images: int, found: str) -> Workload:
    """Return the workload of a search for duplicates among `images`; its pairs go to the file `found`, untimed."""

    def search() -> Iterator[None]:
        pairs = call()
        try:
            yield
        finally:
            Path(found).write_text(json.dumps(sorted({(min(pair), max(pair)) for pair in pairs})), encoding="utf-8")

    return Workload(search, images)
