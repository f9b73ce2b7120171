"""What a change brings to a step of phase 2 on feature views: this checkout and another one, in turns.

python benchmarks/phase2_step.py --before DIR [--models A,B] [--image-size 224] [--rounds 3] [--json]

DIR is a checkout of an earlier version; without it this one is measured alone. Each round is a process of its own: one
constant batch of 32 random features in memory, in the precision that suits this machine, thirty steps after three that
count for nothing. The ratio is the median of the rounds' ratios.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
WARM_UP, STEPS, BATCH = 3, 30, 32


def median_step(model: str, size: int) -> float:
    """Return the median seconds of a step of phase 2 of the protocol `paper`."""
    from fastmri_cls.foundation.quiet import import_tensorflow

    import_tensorflow()
    import numpy as np
    import tensorflow as tf

    from fastmri_cls.augment.batch import Batch
    from fastmri_cls.augment.policies import make_augmentation
    from fastmri_cls.benchmark.step import ConstantExamples
    from fastmri_cls.models.head import ClassifierOptions, build_classifier, freeze_for_phase
    from fastmri_cls.models.registry import find_model
    from fastmri_cls.models.surgery import cut_classifier
    from fastmri_cls.runs.protocol import resolve_protocol
    from fastmri_cls.training.engine import make_engine
    from fastmri_cls.training.precision import default_policy

    policy, protocol = default_policy("auto", "auto"), resolve_protocol("paper", {})
    classifier = build_classifier(find_model(model), ClassifierOptions(4, size, 3, precision=policy.precision))
    freeze_for_phase(classifier, 1, protocol.unfreeze, from_scratch=False)
    parts = cut_classifier(classifier, protocol.unfreeze)
    engine = make_engine(
        classifier, protocol, 2, policy, seed=0, from_scratch=False,
        augment=make_augmentation("none"), model=parts.tail_and_head,
    )  # fmt: skip
    features = tf.random.stateless_normal([BATCH, *parts.trunk.output_shape[1:]], [0, 0])
    targets = tf.one_hot(tf.range(BATCH) % 4, 4)
    dtype = tf.bfloat16 if policy.precision == "mixed_bfloat16" else tf.float32
    batch = Batch(tf.cast(features, dtype), targets, tf.ones([BATCH]))
    unused = ConstantExamples(np.zeros((BATCH, 1, 1, 1), np.uint8), np.zeros(BATCH, np.int64))
    train = engine.step_parts(unused, 0).train
    seconds = []
    for _ in range(WARM_UP + STEPS):
        started = time.perf_counter()
        float(train(batch))
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[WARM_UP:])


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, metavar="DIR", help="a checkout of an earlier version")
    parser.add_argument("--models", default="densenet121-imagenet,efficientnetv2s,convnext-tiny", metavar="A,B")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print a JSON object as the last line")
    parser.add_argument("--one", metavar="MODEL", help=argparse.SUPPRESS)  # what a round's process is asked for
    arguments = parser.parse_args()
    if arguments.one:
        print(median_step(arguments.one, arguments.image_size))
        return

    def measure(checkout: Path, model: str) -> float:
        command = [sys.executable, __file__, "--one", model, "--image-size", str(arguments.image_size)]
        environment = os.environ | {"PYTHONPATH": str(checkout)}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment, cwd=checkout)
        return float(done.stdout.split()[-1])

    checkouts = [arguments.before.resolve()] if arguments.before else []
    rows = []
    for model in arguments.models.split(","):
        rounds = [[measure(one, model) for one in (*checkouts, HERE)] for _ in range(arguments.rounds)]
        *before, now = map(statistics.median, zip(*rounds, strict=True))
        row = {"name": model, "seconds": now}
        if before:
            row |= {"before": before[0], "ratio": statistics.median(old / new for old, new in rounds)}
        rows.append(row)
        compared = f", before {row['before']:.3f} s: {row['ratio']:.2f} times as fast" if before else ""
        print(f"{model:24} {now:.3f} s{compared}", flush=True)
    if arguments.json:
        from fastmri_cls.foundation.environment import describe

        print(json.dumps({"rows": rows, "environment": describe()}))


if __name__ == "__main__":
    main()
