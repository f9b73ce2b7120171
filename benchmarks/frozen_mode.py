"""What it saves that frozen layers rest: seconds of a training step with `frozen_mode` training and inference.

python benchmarks/frozen_mode.py --json [--model efficientnetv2s] [--phase 1] [--image-size 224]

Steps of `train` on one batch of 32 random images in memory, in the precision that suits this machine. The two modes
take turns; the ratio is the median of the rounds' ratios, of wall time and of processor time, which other work on the
machine does not change much.
"""

import argparse
import json
import statistics
import time
from functools import partial

from fastmri_cls.foundation.environment import describe
from fastmri_cls.foundation.progress import show_log
from fastmri_cls.foundation.quiet import import_tensorflow

MODES = ("training", "inference")


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="efficientnetv2s")
    parser.add_argument("--phase", type=int, default=1, choices=(1, 2))
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--json", action="store_true", help="print a JSON object as the last line")
    arguments = parser.parse_args()
    show_log()
    import_tensorflow()
    from fastmri_cls.benchmark.step import constant_step
    from fastmri_cls.training.precision import default_policy

    policy = default_policy("auto", "auto")
    make = partial(constant_step, arguments.model, arguments.phase, policy, arguments.image_size)
    steps = {mode: make(frozen_mode=mode) for mode in MODES}
    for step in steps.values():
        step()  # traces
    seconds: dict[str, list[tuple[float, float]]] = {mode: [] for mode in MODES}
    for _ in range(arguments.rounds):
        for mode, step in steps.items():
            wall, processor = time.perf_counter(), time.process_time()
            step()
            seconds[mode].append((time.perf_counter() - wall, time.process_time() - processor))
    rows = []
    for mode, found in seconds.items():
        pairs = list(zip(seconds[MODES[0]], found, strict=True))
        rows.append({
            "name": f"{arguments.model} phase {arguments.phase} {mode}",
            "seconds": statistics.median(wall for wall, _ in found),
            "ratio": statistics.median(before[0] / after[0] for before, after in pairs),
            "processor_ratio": statistics.median(before[1] / after[1] for before, after in pairs),
        })  # fmt: skip
    for row in rows:
        print(f"{row['name']:36} {row['seconds']:7.2f} s  {row['ratio']:.2f}x  processor {row['processor_ratio']:.2f}x")
    if arguments.json:
        print(
            json.dumps({"rows": rows, "baseline": MODES[0], "precision": policy.precision, "environment": describe()})
        )


if __name__ == "__main__":
    main()
