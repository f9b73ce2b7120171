"""Claim: with an export in the RUN, `predict` on one image answers in a fraction of the time that Keras takes.

python benchmarks/start.py --run RUN --image FILE [--json]
    RUN after `fastmri-cls export RUN --format onnx`, and after the same with litert

Each command is a process of its own, from its start to its end, and all take turns. Medians of three rounds: the first
may find files that are not in the page cache. `processor_seconds` is what the process used of all cores, which depends
less on what else the machine does. The ratio is that of the wall times to Keras'.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from fastmri_cls.foundation.environment import describe
from fastmri_cls.runs.exports import export_folder

ROUNDS = 3
BASELINE = "keras"


def timed(run: Path, image: Path, engine: str) -> tuple[float, float]:
    """Return wall and processor seconds of one `predict`."""
    command = [sys.executable, "-m", "fastmri_cls", "predict", str(run), str(image), "--engine", engine]
    before, started = os.times(), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    seconds, after = time.perf_counter() - started, os.times()
    return seconds, sum(after[2:4]) - sum(before[2:4])


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    engines = [BASELINE, *(name for name in ("onnx", "litert") if export_folder(options.run, name).is_dir())]
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
    for _ in range(ROUNDS):
        for name in engines:
            times[name].append(timed(options.run, options.image, name))
    rows = []
    for name in engines:
        seconds, processor = (statistics.median(column) for column in zip(*times[name], strict=True))
        rows.append({"name": name, "seconds": round(seconds, 2), "processor_seconds": round(processor, 2)})
    for row in rows:
        row["ratio"] = round(row["seconds"] / rows[0]["seconds"], 3)
        print("  ".join(f"{key} {value}" for key, value in row.items()))
    if options.json:
        print(json.dumps({"rows": rows, "baseline": BASELINE, "environment": describe()}))


if __name__ == "__main__":
    main()
