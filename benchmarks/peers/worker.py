"""One candidate of a benchmark in a process of its own, started by turns.py with the interpreter that it needs.

stdin: one line of JSON (`workload` as module:function, its `arguments`, `packages`, `timing`, `trial`), then an empty
line for every round. stdout: one line of JSON in answer to each, first `versions`, then `images_per_second`; or
`error`, which is the last. What the libraries print goes to stderr. Imports nothing beside the standard library and
the package's timing, so that it runs in every peer's environment.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any


def serve(request: dict[str, Any], answer: Callable[..., None]) -> None:
    """Build the workload, try it, and run a round for every line of stdin."""
    from fastmri_cls.benchmark.measure import Candidate, Timing, images_per_second

    module, _, function = request["workload"].partition(":")
    opened = getattr(importlib.import_module(module), function)(**request["arguments"])
    candidate = Candidate(function, opened.open, module, opened.batch_size)
    if request["trial"]:  # compiles and fills caches
        images_per_second(candidate, Timing(seconds=0, min_batches=request["trial"], warm_up=0))
    answer(versions={package: metadata.version(package) for package in request["packages"]})
    timing = Timing(**request["timing"])
    for _ in sys.stdin:
        answer(images_per_second=images_per_second(candidate, timing))


def main() -> None:
    """Answer on what stdout was at the start."""
    # Python puts this script's folder here, whose module `inference` might hide somebody else's.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")

    try:
        serve(json.loads(sys.stdin.readline()), answer)
    except Exception as error:  # whatever a peer raises is its result
        answer(error=" ".join(f"{type(error).__name__}: {error}".split())[:300])
        raise


if __name__ == "__main__":
    main()
