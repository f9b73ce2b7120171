"""`fastmri-cls train`."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from fastmri_cls.cli.output import AsJson, print_document


class ProtocolName(StrEnum):
    """The recipes."""

    strict = "strict"
    paper = "paper"
    notebook = "notebook"


class Preprocessing(StrEnum):
    """What turns 0..255 images into a backbone's input."""

    own = "own"
    keras = "keras"
    densenet = "densenet"


class Cache(StrEnum):
    """Where decoded images are kept."""

    auto = "auto"
    none = "none"
    ram = "ram"
    device = "device"


class Precision(StrEnum):
    """Arithmetic of the model."""

    auto = "auto"
    float32 = "float32"
    mixed_bfloat16 = "mixed_bfloat16"
    mixed_float16 = "mixed_float16"


class Xla(StrEnum):
    """Whether the step is compiled."""

    auto = "auto"
    on = "on"
    off = "off"


class Strategy(StrEnum):
    """On what it trains."""

    auto = "auto"
    single = "single"
    mirrored = "mirrored"
    multiworker = "multiworker"


class Schedule(StrEnum):
    """How the learning rate falls."""

    constant = "constant"
    cosine = "cosine"


def _share_or_layer(text: str) -> float | str:
    try:
        share = float(text)
    except ValueError:
        return text
    if not 0 <= share <= 1:
        raise typer.BadParameter(f"{text}: a share is from 0 to 1")
    return share


def train(
    data: Annotated[Path, typer.Option(help="A dataset folder made by build-tfrecords.")],
    model: Annotated[
        str,
        typer.Option(
            help="densenet121-radimagenet, densenet121-imagenet, efficientnetv2s, convnext-tiny, small-cnn, or two "
            "side by side: hybrid:A+B."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The RUN folder to make.")],
    protocol: Annotated[
        ProtocolName, typer.Option(help="The recipe; the flags below override it.")
    ] = ProtocolName.strict,
    weights: Annotated[
        str,
        typer.Option(
            metavar="default|imagenet|none|PATH",
            help="PATH: .h5, .weights.h5, .keras or an earlier RUN. Of a hybrid one for both, or A+B.",
        ),
    ] = "default",
    batch_size: Annotated[int | None, typer.Option(min=1, help="[default: 32]")] = None,
    phase1_epochs: Annotated[int | None, typer.Option(min=0, help="At most. [default: 50]")] = None,
    phase2_epochs: Annotated[int | None, typer.Option(min=0, help="At most. [default: 10]")] = None,
    unfreeze: Annotated[
        Any,
        typer.Option(
            parser=_share_or_layer,
            metavar="SHARE|LAYER",
            help="Of the backbone, what phase 2 trains: its last share of layers, or from a layer on. [default: 0.2]",
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            metavar="adam|adamw|lion|sgd|...",
            help="Keras' own, with its defaults but for the rate: also adamax, nadam, adafactor, adagrad, rmsprop. "
            "[default: adam]",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(min=1e-9, help="Phase 1's; phase 2's is a tenth. [default: 1e-4, from scratch 1e-3]"),
    ] = None,
    schedule: Annotated[
        Schedule | None,
        typer.Option(help="cosine: down to 1e-7 over each phase, in place of the plateau. [default: constant]"),
    ] = None,
    ema: Annotated[
        bool, typer.Option("--ema", help="Validate and save the exponential moving average of the weights.")
    ] = False,
    clip_norm: Annotated[
        float | None, typer.Option(min=1e-6, help="Longest gradient, over all weights. [default: any]")
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option(min=1, help="Steps whose mean gradient makes one update. [default: 1]")
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            metavar="none|paper|paper+flip|randaugment|augmix|cutmix|mixup",
            help="cutmix and mixup come on top of paper. [default: paper]",
        ),
    ] = None,
    contrast: Annotated[
        float | None,
        typer.Option(min=0.1, max=10.0, help="Contrast factor about the mean, in training only. [default: 1]"),
    ] = None,
    preprocessing: Annotated[
        Preprocessing | None,
        typer.Option(help="own: what the weights were trained with; keras: the family's. [default: own]"),
    ] = None,
    label_smoothing: Annotated[float | None, typer.Option(min=0.0, max=0.9, help="[default: 0.1]")] = None,
    fold: Annotated[
        int | None, typer.Option(min=0, help="The fold to validate on, of a dataset built with --folds.")
    ] = None,
    feature_views: Annotated[
        int,
        typer.Option(min=0, help="Run the frozen trunk once over so many augmented views; 0 trains on images."),
    ] = 0,
    cache: Annotated[
        Cache,
        typer.Option(
            help="Of images: none streams from the shards, ram decodes once and keeps, device keeps on the GPU."
        ),
    ] = Cache.auto,
    precision: Annotated[Precision, typer.Option()] = Precision.auto,
    xla: Annotated[Xla, typer.Option(help="Compile forward and backward.")] = Xla.auto,
    strategy: Annotated[
        Strategy,
        typer.Option(
            help="mirrored: all GPUs of this machine; multiworker: the processes that TF_CONFIG or SLURM names. auto "
            "takes what there is."
        ),
    ] = Strategy.auto,
    devices: Annotated[
        int | None,
        typer.Option(min=1, help="The first so many GPUs; without a GPU so many logical CPUs. [default: all]"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1)] = 0,  # what numpy takes
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Bit-identical repeats, at some speed.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted RUN; starts it where there is none.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model in two phases, evaluate it on every test set and write the report.

    Example: `fastmri-cls train --data data/mri --model small-cnn --out runs/first`
    """
    from fastmri_cls.foundation.quiet import import_tensorflow

    import_tensorflow()
    from fastmri_cls.evaluate import run_experiment
    from fastmri_cls.report.tables import print_metrics
    from fastmri_cls.runs import files
    from fastmri_cls.runs.metrics import to_json
    from fastmri_cls.runs.options import TrainOptions
    from fastmri_cls.runs.protocol import resolve_protocol

    overrides = {
        "batch_size": batch_size,
        "phase1_epochs": phase1_epochs,
        "phase2_epochs": phase2_epochs,
        "unfreeze": unfreeze,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "schedule": schedule.value if schedule else None,
        "ema": ema or None,
        "clip_norm": clip_norm,
        "accumulate": accumulate,
        "augment": augment,
        "contrast": contrast,
        "preprocessing": preprocessing.value if preprocessing else None,
        "label_smoothing": label_smoothing,
    }
    found = run_experiment(
        TrainOptions(
            data=data,
            model=model,
            out=out,
            protocol=resolve_protocol(protocol.value, overrides),
            weights=weights,
            fold=fold,
            feature_views=feature_views,
            cache=cache.value,
            precision=precision.value,
            xla=xla.value,
            seed=seed,
            deterministic=deterministic,
            strategy=strategy.value,
            devices=devices,
            resume=resume,
        )
    )
    if not found:  # a worker that is not the chief
        return
    print_metrics(found.metrics)
    print(f"report: {found.folder / files.REPORT}")
    if as_json:
        print_document(json.dumps(to_json(found.metrics)["tests"]))
