"""Claim: training steps are as fast as PyTorch's, with frozen backbones and in fine-tuning.

python benchmarks/peers/environments.py torch
python benchmarks/peers/training.py [--models A,B] [--phases 1,2] [--precisions A,B] [--rounds 5] [--json FILE]

A table a model and phase, images per second of whole steps (forward, backward, update) at batch 32 and 224 px. Every
side trains on one constant batch of random images in memory: neither input nor augmentation is in the numbers. Weights
are random; the head is the same (pooling, BatchNormalization, 512, 256, 4 with dropout), as are loss and Adam.

phase 1: the backbone is frozen and only the head trains.
phase 2: fine-tuning, which also trains the last 20 % of the backbone's layers except BatchNormalization.

ours        the step that `train` runs under the protocol `strict`; grey images are repeated to RGB and preprocessed
            inside it
PyTorch     torchvision's network, channels last: frozen layers under no_grad, and in bfloat16 with weights in it and
            the others under autocast; eager, and with torch.compile, whose `freezing` folds what is frozen; its input
            is preprocessed already

On a processor without avx512_bf16, bfloat16 is emulated and takes minutes: compare in float32 there.

`ratio` is that to the best peer. The compiler keeps its programs in the system's cache, so a second run begins sooner.
"""

from collections.abc import Iterator, Sequence
from itertools import product

from turns import WORKLOADS, Candidate, Plan, Table, measure, parser, run

from fastmri_cls.benchmark.measure import Timing

MODELS = "densenet121-imagenet,efficientnetv2s,convnext-tiny"
PHASES = {"1": "frozen phase", "2": "fine-tuning"}
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # Keras' names of the precisions
ONE_STEP = Timing(seconds=1.0, min_batches=1, warm_up=0)


def candidates(model: str, phase: int, size: int, batch: int, precisions: Sequence[str]) -> list[Candidate]:
    """Return the candidates of a table."""
    common = {"model": model, "phase": phase, "size": size, "batch": batch}
    torch = {"eager": False, "torch.compile": True}
    return [
        *(
            Candidate(
                f"ours {precision}", f"{WORKLOADS}.ours:step", common | {"precision": POLICIES[precision]}, "train",
                kind="ours",
            )
            for precision in precisions
        ),
        *(
            Candidate(
                f"PyTorch {name} {precision}", f"{WORKLOADS}.torch_steps:step",
                common | {"precision": precision, "compiled": compiled},
                "torchvision, channels last", "torch", ("torch", "torchvision"),
            )
            for precision, (name, compiled) in product(precisions, torch.items())
        ),
    ]  # fmt: skip


def main() -> None:
    """Parse, measure, print."""
    options = parser(__doc__, rounds=5)
    options.add_argument("--models", default=MODELS, metavar="A,B")
    options.add_argument("--phases", default=",".join(PHASES), metavar="1,2")
    options.add_argument("--precisions", default=",".join(POLICIES), metavar="A,B")
    options.add_argument("--image-size", type=int, default=224, help="in pixels; a small one only tries it out")
    options.add_argument("--batch-size", type=int, default=32)
    given = options.parse_args()

    def tables() -> Iterator[Table]:
        for model, phase in product(given.models.split(","), given.phases.split(",")):
            title = f"{model}, {PHASES[phase]}, {given.image_size} px, batch {given.batch_size}"
            chosen = candidates(model, int(phase), given.image_size, given.batch_size, given.precisions.split(","))
            yield measure(title, chosen, Plan(given.rounds, ONE_STEP))

    run(tables(), given.json)


if __name__ == "__main__":
    main()
