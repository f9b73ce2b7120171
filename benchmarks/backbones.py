"""Images a second through each backbone as keras.applications has it and as it is trained here, forwards, 224 px.

python benchmarks/backbones.py --json [--models A,B]

A pass in inference over one batch in memory: what a frozen backbone costs. `keras` is the baseline of each, in float32
as the notebooks run it; `ours` has the layers of models/fast_layers.py (and ConvNeXt's depthwise convolutions). All
take turns; medians.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np

from fastmri_cls.foundation.environment import describe
from fastmri_cls.foundation.progress import show_log
from fastmri_cls.foundation.quiet import import_tensorflow

SIZE = 224
BATCH = 32


def forward_passes(name: str) -> dict[str, Callable[[], object]]:
    """Return one pass of each kind, traced and warmed up."""
    import keras
    import tensorflow as tf

    from fastmri_cls.models.fast_layers import with_fast_layers
    from fastmri_cls.models.registry import find_backbone

    backbone = find_backbone(name)
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (BATCH, SIZE, SIZE, 3)), tf.float32)
    passes = {}
    for precision in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(precision)
        models = {
            "keras": (backbone.upstream or backbone.build)((SIZE, SIZE, 3)),
            "ours": with_fast_layers(backbone.build((SIZE, SIZE, 3))),
        }
        for kind, model in models.items():
            model.trainable = False
            step = tf.function(lambda x, model=model: model(x, training=False))
            passes[f"{kind} {precision}"] = lambda step=step: step(images).numpy()
    keras.config.set_dtype_policy("float32")
    for run in passes.values():
        run()
    return passes


def measure(name: str, rounds: int) -> list[dict[str, object]]:
    """Let the passes of a backbone take turns."""
    seconds: dict[str, list[float]] = {}
    passes = forward_passes(name)
    for _ in range(rounds):
        for kind, run in passes.items():
            started = time.perf_counter()
            run()
            seconds.setdefault(kind, []).append(time.perf_counter() - started)
    medians = {kind: statistics.median(times) for kind, times in seconds.items()}
    return [
        {"name": f"{name} {kind}", "images_per_second": BATCH / median, "ratio": medians["keras float32"] / median}
        for kind, median in medians.items()
    ]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="densenet121-imagenet,efficientnetv2s,convnext-tiny")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print a JSON object as the last line")
    arguments = parser.parse_args()
    show_log()
    import_tensorflow()
    rows = []
    for name in arguments.models.split(","):
        for row in measure(name, arguments.rounds):
            rows.append(row)
            print(f"{row['name']:40} {row['images_per_second']:8.1f} images/s {row['ratio']:6.2f}x", flush=True)
    if arguments.json:
        print(json.dumps({"rows": rows, "baseline": "keras float32 of each", "environment": describe()}))


if __name__ == "__main__":
    main()
