"""Trainings that must end in the same weights, whatever the strategy; test_distribution.py runs it as a program.

    same_steps.py DATA OUT machine      on one device, into OUT/one, then on two replicas, into OUT/two
    same_steps.py DATA OUT worker       as the worker that TF_CONFIG says, into OUT

Everything is on: the paper's augmentation, dropout, class weights, L2, label smoothing, BatchNormalization that trains.

From scratch SGD makes small steps: there rounding grows from step to step. With Adam at 1e-4, one device with XLA is
1e-3 from the same device without it after 20 steps, and two replicas are 3e-4 from it.
"""

import sys
from pathlib import Path

from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.protocol import resolve_protocol
from fastmri_cls.training import loops, phases
from fastmri_cls.training.distribution import DistributedContext, make_distribution
from fastmri_cls.training.run import train

loops.STEPS_PER_CALL = 4, 4
phases.write_augmented_batches = lambda *_: None  # seconds of each training; tests/test_tensorboard.py reads them


def options(data: Path, out: Path, epochs: tuple[int, int], **more: object) -> TrainOptions:
    """Twenty steps, ten an epoch; gradients are clipped, which must come after they are summed."""
    scratch = "weights" not in more
    protocol = resolve_protocol(
        "strict",
        {
            "phase1_epochs": epochs[0],
            "phase2_epochs": epochs[1],
            "batch_size": 16,
            "optimizer": "sgd" if scratch else "adam",
            "learning_rate": 1e-4,
            "clip_norm": 1.0,
        },
    )
    return TrainOptions(data, "small-cnn", out, protocol, precision="float32", **{"xla": "off", **more})


def main() -> None:
    """Train from scratch, streamed; on one machine also on weights of that, compiled, and on features of it."""
    data, out, kind = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    if kind == "worker":
        train(options(data, out / "scratch", (2, 0), cache="none"), make_distribution("auto", None))
        return
    two = make_distribution("mirrored", 2)
    for name, distribution in (("one", DistributedContext()), ("two", two)):
        base = str(out / "one" / "scratch")
        train(options(data, out / name / "scratch", (2, 0), cache="none"), distribution)
        train(options(data, out / name / "compiled", (2, 0), weights=base, cache="ram", xla="on"), distribution)
        train(options(data, out / name / "views", (1, 1), weights=base, feature_views=2), distribution)


main()
