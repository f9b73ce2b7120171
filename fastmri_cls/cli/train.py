"""`fastmri-cls train`."""

import inspect
import json
import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from fastmri_cls.cli.completion import complete_model, complete_optimizer, complete_policy
from fastmri_cls.cli.device import DEVICE_HELP
from fastmri_cls.cli.output import AsJson, command_line, print_document
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.gpus import Device
from fastmri_cls.runs.options import Cache, Precision, Strategy, Tracker, Xla

_RECIPE, _SPEED, _RUN = "Recipe (changes to the protocol)", "Speed and devices", "Run"
_OF_FILE = "fields that the file of --config sets"


def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Make the options in the file the defaults of this command; flags override them."""
    if path:
        from fastmri_cls.runs.train_file import read_train_file

        names = [name for name in inspect.signature(train).parameters if name not in ("config", "as_json")]
        try:
            values = read_train_file(path, ["set" if name == "settings" else name for name in names])
        except UserError as error:
            raise typer.BadParameter(str(error), ctx=context, param_hint="--config") from None
        changes = values.pop("set")
        assert isinstance(changes, dict)
        context.meta[_OF_FILE] = [f"{name}={json.dumps(value)}" for name, value in changes.items()]
        context.default_map = values
    return path


def _add_to_config(context: typer.Context, settings: list[str] | None) -> list[str]:
    """Return the fields that the file of --config sets, then those of --set, which override them."""
    return [*context.meta.get(_OF_FILE, ()), *(settings or ())]


def train(
    data: Annotated[
        Path,
        typer.Option(help="Dataset of build-tfrecords; or class folders, built into the cache."),
    ],
    model: Annotated[
        str, typer.Option(metavar="NAME", help="A model of the list above.", autocompletion=complete_model)
    ],
    out: Annotated[Path, typer.Option(help="RUN folder to make.")],
    config: Annotated[
        Path | None,
        typer.Option(
            callback=_read_config,
            is_eager=True,
            metavar="FILE",
            help="Read options from a YAML file, such as train.yaml of a RUN. Flags override it.",
        ),
    ] = None,
    protocol: Annotated[
        Literal["strict", "paper", "notebook"],
        typer.Option(help="Recipe: strict refuses leaky splits, paper and notebook reproduce the publication."),
    ] = "strict",
    weights: Annotated[
        str,
        typer.Option(
            metavar="NAME|PATH",
            help="Pretrained weights: default, imagenet, none, the path of a .h5, .weights.h5 or .keras file or of an "
            "earlier RUN, or hf://USER/NAME. For a hybrid model: one specification for both backbones, or one for each "
            "as A+B.",
        ),
    ] = "default",
    fold: Annotated[
        int | None, typer.Option(min=0, help="Fold to validate on, of a dataset built with --folds.")
    ] = None,
    feature_views: Annotated[
        int,
        typer.Option(
            min=0,
            help="Run the frozen backbone once over K augmented views of each image, not in every epoch; 0 trains "
            "on images. Views are cached and do not depend on --seed.",
        ),
    ] = 0,
    phase1_epochs: Annotated[
        int | None,
        typer.Option(
            min=0, help="Maximum number of epochs with a frozen backbone. [default: 50]", rich_help_panel=_RECIPE
        ),
    ] = None,
    phase2_epochs: Annotated[
        int | None,
        typer.Option(min=0, help="Maximum number of epochs of fine-tuning. [default: 10]", rich_help_panel=_RECIPE),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Images in the global batch. [default: 32]", rich_help_panel=_RECIPE),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            min=1e-9,
            help="Learning rate of phase 1; phase 2 uses a tenth of it. [default: 1e-4, from scratch 1e-3]",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="adam, adamw, adamax, nadam, adafactor, adagrad, lion, rmsprop or sgd, with Keras' defaults except "
            "the learning rate. [default: adam]",
            autocompletion=complete_optimizer,
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    unfreeze: Annotated[
        str | None,
        typer.Option(
            metavar="FRACTION|LAYER",
            help="Part of the backbone that phase 2 trains: the last fraction of its layers, or all from a named layer "
            "on. [default: 0.2]",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY",
            help="none, paper, paper+flip, randaugment, augmix, cutmix or mixup; the last two add to paper. "
            "[default: paper]",
            autocompletion=complete_policy,
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            callback=_add_to_config,
            metavar="FIELD=VALUE",
            help="Change any other field of the protocol; repeatable: schedule=cosine, ema=true, clip_norm=1, "
            "accumulate=4, label_smoothing=0, contrast=1.5, preprocessing=keras, phase1.plateau_patience=5, ...",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    cache: Annotated[
        Cache,
        typer.Option(
            help="Decoded images: none streams them from the shards, ram and device keep them there.",
            rich_help_panel=_SPEED,
        ),
    ] = "auto",
    precision: Annotated[
        Precision, typer.Option(help="Dtype policy; auto measures some steps.", rich_help_panel=_SPEED)
    ] = "auto",
    xla: Annotated[Xla, typer.Option(help="Compile the training step.", rich_help_panel=_SPEED)] = "auto",
    strategy: Annotated[
        Strategy,
        typer.Option(
            help="mirrored: all GPUs of this machine; multiworker: the processes that TF_CONFIG or SLURM names; auto: "
            "chosen from what is available.",
            rich_help_panel=_SPEED,
        ),
    ] = "auto",
    device: Annotated[
        Device,
        typer.Option(help=DEVICE_HELP, rich_help_panel=_SPEED),
    ] = "auto",
    devices: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of GPUs to use; without a GPU, number of logical CPU devices. [default: all]",
            rich_help_panel=_SPEED,
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**32 - 1, help="Seed of weights, augmentation and image order.", rich_help_panel=_RUN),
    ] = 0,  # numpy's range
    deterministic: Annotated[
        bool,
        typer.Option("--deterministic", help="Make repeats bit-identical, at some speed.", rich_help_panel=_RUN),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with an interrupted RUN, or start a new one.", rich_help_panel=_RUN),
    ] = False,
    max_hours: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            metavar="HOURS",
            help="Save and stop after this time, for machines that stop by themselves; --resume goes on.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    track: Annotated[
        Tracker,
        typer.Option(
            help="Send options, metrics and report to an experiment tracker (extra of its name).",
            rich_help_panel=_RUN,
        ),
    ] = "none",
    as_json: AsJson = False,
) -> None:
    """Train a model in two phases, evaluate it on every test set and write the report.

    Models: densenet121-radimagenet, densenet121-imagenet, efficientnetv2s, convnext-tiny, efficientnet-lite0,
    small-cnn, and hybrid:A+B for two backbones side by side.

    Example: `fastmri-cls train --data data/mri --model small-cnn --out runs/first`
    """
    import fastmri_cls as fc
    from fastmri_cls.runs.protocol import resolve_protocol

    flags = {
        "phase1_epochs": phase1_epochs,
        "phase2_epochs": phase2_epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "optimizer": optimizer,
        "unfreeze": unfreeze,
        "augment": augment,
    }
    changes = dict(map(_parse_setting, settings or ())) | {name: v for name, v in flags.items() if v is not None}
    run = fc.train(
        data,
        model,
        out,
        protocol=resolve_protocol(protocol, changes),
        weights=weights,
        fold=fold,
        feature_views=feature_views,
        cache=cache,
        precision=precision,
        xla=xla,
        strategy=strategy,
        device=device,
        devices=devices,
        seed=seed,
        deterministic=deterministic,
        resume=resume,
        max_hours=max_hours,
        track=track,
    )
    if run is None:  # a worker that is not the chief
        return
    from fastmri_cls.report.tables import print_metrics
    from fastmri_cls.runs.metrics import to_json

    print_metrics(run.metrics)
    print(f"report: {run.report}")
    print(f"next: {command_line('predict', out, 'IMAGE...')}")
    print(f"next: tensorboard --logdir {shlex.quote(str(run.tensorboard))}")
    if as_json:
        print_document(json.dumps(to_json(run.metrics)["tests"]))


def _parse_setting(text: str) -> tuple[str, object]:
    """Return field and value of FIELD=VALUE; a value that is JSON, such as true, 4 or null, is read as it."""
    name, separator, value = text.partition("=")
    if not (separator and name.strip()):
        raise typer.BadParameter(f"{text}: give FIELD=VALUE", param_hint="--set")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value.strip()
