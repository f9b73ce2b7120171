"""The recipes as frozen dataclasses: the presets `strict`, `paper` and `notebook`, and changes to them.

docs/reference describes the presets and why the notebooks differ from their paper.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from typing import Annotated, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta

from fastmri_cls.augment.names import POLICIES
from fastmri_cls.foundation.errors import UserError


@dataclass(frozen=True)
class Phase:
    """One phase of training.

    Attributes:
        max_epochs: maximum number of epochs; early stopping may end the phase sooner.
        learning_rate: at the start of the phase.
        early_stopping_patience: epochs without a better validation accuracy before the phase ends.
        plateau_patience: epochs without a lower validation loss before the learning rate is lowered.
    """

    max_epochs: Annotated[int, Meta(ge=0)]
    learning_rate: Annotated[float, Meta(ge=1e-9)]
    early_stopping_patience: Annotated[int, Meta(ge=0)]
    plateau_patience: Annotated[int, Meta(ge=0)]


@dataclass(frozen=True)
class Protocol:
    """The recipe of a training: everything decided before it starts except model, data and machine.

    Attributes:
        name: of the preset it started from.
        train_on: `split`, the train split; `first-source`, all Training images of the first source only. Class weights
            count all sources in both cases, as the notebooks do.
        steps_per_epoch: None for one pass over the training images; otherwise steps of an infinite shuffled stream.
        validate_on: `split`, the val split; `sliding-window`, the notebooks' window over the first test set.
        preprocessing: `own`, the one the weights were trained with; `keras`, keras.applications' for the family;
            `densenet`, DenseNet's for every backbone.
        straddling_allowed: accept a dataset with duplicates in more than one split.
        contrast: factor about the mean, in training only.
        resize: the filter the images should have been resized with when the dataset was built.
        augment: name of an augmentation policy.
        batch_size: images in the global batch.
        phase1: the frozen phase: only the head trains.
        phase2: the fine-tuning phase.
        scratch_factor: multiplies both learning rates without pretrained weights, where both phases train the whole
            network; 1 if the learning rate was given explicitly.
        unfreeze: the part of the backbone that phase 2 trains: a fraction of its layers, counted from the top, or the
            name of the first layer that trains.
        frozen_mode: how frozen layers of a pretrained backbone compute in a training step: `inference`, as in
            predictions; `training`, with drop-connect, as in Keras' fit and in RUNs of versions without this field.
        label_smoothing: of the cross-entropy.
        plateau_factor: multiplies the learning rate when validation loss stops improving.
        min_learning_rate: the schedule never goes below it.
        optimizer: one of OPTIMIZERS, with Keras' defaults except the learning rate.
        schedule: `constant`, lowered when validation loss stops improving; `cosine`, decay to `min_learning_rate` over
            `max_epochs` of each phase instead.
        ema: validate and save the exponential moving average of the weights (Keras' `use_ema`).
        clip_norm: maximum global norm of the gradient (Keras' `global_clipnorm`); None for no limit.
        accumulate: steps whose mean gradient makes one update (Keras' `gradient_accumulation_steps`).
    """

    name: str
    train_on: Literal["split", "first-source"] = "split"
    steps_per_epoch: Annotated[int, Meta(ge=1)] | None = None
    validate_on: Literal["split", "sliding-window"] = "split"
    preprocessing: Literal["own", "keras", "densenet"] = "own"
    straddling_allowed: bool = False
    contrast: Annotated[float, Meta(ge=0.1, le=10.0)] = 1.0
    resize: Literal["bilinear", "nearest", "lanczos"] = "bilinear"
    augment: str = "paper"
    batch_size: Annotated[int, Meta(ge=1)] = 32
    phase1: Phase = field(default=Phase(50, 1e-4, early_stopping_patience=8, plateau_patience=3))
    phase2: Phase = field(default=Phase(10, 1e-5, early_stopping_patience=5, plateau_patience=2))
    scratch_factor: Annotated[float, Meta(gt=0.0)] = 10.0
    unfreeze: Annotated[float, Meta(ge=0.0, le=1.0)] | str = 0.2
    frozen_mode: Literal["inference", "training"] = "training"
    label_smoothing: Annotated[float, Meta(ge=0.0, le=0.9)] = 0.1
    plateau_factor: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.2
    min_learning_rate: Annotated[float, Meta(ge=0.0)] = 1e-7
    optimizer: str = "adam"
    schedule: Literal["constant", "cosine"] = "constant"
    ema: bool = False
    clip_norm: Annotated[float, Meta(ge=1e-6)] | None = None
    accumulate: Annotated[int, Meta(ge=1)] = 1

    @classmethod
    def strict(cls, **changes: object) -> "Protocol":
        """Return the default recipe with changes.

        Args:
            **changes: new values by field name. `phase1_epochs` and `phase2_epochs` set `max_epochs` of a phase,
                `learning_rate` sets the rates of both; any other field of a phase needs its section in front:
                `Protocol.strict(**{"phase1.plateau_patience": 5})`.

        Raises:
            UserError: a field is unknown, or a value is out of range.
        """
        return resolve_protocol("strict", changes)

    @classmethod
    def paper(cls, **changes: object) -> "Protocol":
        """Return the recipe that the paper describes, with changes as in `strict`."""
        return resolve_protocol("paper", changes)

    @classmethod
    def notebook(cls, **changes: object) -> "Protocol":
        """Return the recipe that the published notebooks run, with changes as in `strict`."""
        return resolve_protocol("notebook", changes)


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("strict", frozen_mode="inference"),
        Protocol("paper", preprocessing="keras", straddling_allowed=True),
        Protocol(
            "notebook",
            train_on="first-source",
            steps_per_epoch=269,
            validate_on="sliding-window",
            preprocessing="densenet",
            straddling_allowed=True,
            contrast=1.5,
            resize="nearest",
        ),
    )
}

_PHASES = ("phase1", "phase2")

# Keras' optimizers that need no argument besides the learning rate.
OPTIMIZERS = (
    "adam", "adamw", "adamax", "nadam", "adafactor", "adagrad", "lion", "rmsprop", "sgd",
)  # fmt: skip

# The notebooks' validation: 54 batches of an endless, unshuffled first test set, continued from epoch to epoch.
SLIDING_WINDOW_BATCHES = 54


def resolve_protocol(name: str, changes: Mapping[str, object]) -> Protocol:
    """Return a preset with changes, checked against the types and ranges of the fields.

    Args:
        name: `strict`, `paper` or `notebook`.
        changes: new values by field name, applied in order; a field of a phase as `phase1.learning_rate`. Three names
            change several fields: `phase1_epochs` and `phase2_epochs` set `max_epochs`; `learning_rate` sets phase 1's
            rate, from scratch too, and keeps phase 2's proportion to it. Values may be text, as on a command line.

    Raises:
        UserError: the preset, a field, the optimizer or the policy is unknown, or a value is out of range.
    """
    if name not in PROTOCOLS:
        raise UserError(f"--protocol {name}: unknown; choose one of {', '.join(PROTOCOLS)}")
    protocol = PROTOCOLS[name]
    values = asdict(protocol)
    for field_name, value in changes.items():
        for path, part in _expand(field_name, value, protocol):
            _set_field(values, path, part)
    changed = _convert(values)
    for flag, value, known in (("optimizer", changed.optimizer, OPTIMIZERS), ("augment", changed.augment, POLICIES)):
        if value not in known:
            raise UserError(f"--{flag} {value}: unknown; choose one of {', '.join(known)}")
    for place, number in _flat(changed).items():
        if isinstance(number, float) and math.isinf(number):  # JSON has no such number; NaN is in no range
            raise UserError(f"{place}: is infinite; give a finite number")
    return changed


def differences(protocol: Protocol) -> dict[str, object]:
    """Return the fields that differ from the preset of the same name, as `resolve_protocol` takes them.

    Raises:
        UserError: there is no such preset.
    """
    mine, preset = _flat(protocol), _flat(resolve_protocol(protocol.name, {}))
    return {name: value for name, value in mine.items() if value != preset[name]}


def _flat(protocol: Protocol) -> dict[str, object]:
    values = asdict(protocol)
    phases = {f"{phase}.{name}": value for phase in _PHASES for name, value in values.pop(phase).items()}
    return values | phases


def _expand(name: str, value: object, protocol: Protocol) -> list[tuple[str, object]]:
    """Return the fields that one change sets."""
    if name in ("phase1_epochs", "phase2_epochs"):
        return [(f"{name.removesuffix('_epochs')}.max_epochs", value)]
    if name == "learning_rate":
        rate = _number(value)
        if rate is None:
            raise UserError(f"learning_rate {value}: not a number")
        ratio = protocol.phase2.learning_rate / protocol.phase1.learning_rate
        return [("scratch_factor", 1.0), ("phase1.learning_rate", rate), ("phase2.learning_rate", rate * ratio)]
    return [(name, value)]


def _set_field(values: dict[str, object], name: str, value: object) -> None:
    known = [field for field in _flat(PROTOCOLS["strict"]) if field != "name"]
    if name not in known:
        near = get_close_matches(name, known, n=1)
        cure = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(known)}"
        raise UserError(f"--set {name}: the protocol has no such field; {cure}")
    section, _, field_name = name.rpartition(".")
    target = values[section] if section else values
    assert isinstance(target, dict)
    number = _number(value) if name == "unfreeze" else None  # a fraction, or the name of a layer
    target[field_name] = value if number is None else number


def _number(value: object) -> float | None:
    """Return a number, or text that is one, as a float; None for anything else."""
    try:
        return msgspec.convert(value, float, strict=False)
    except msgspec.ValidationError:
        return None


def _convert(values: dict[str, object]) -> Protocol:
    """Return the protocol with these values, text converted to the types of the fields."""
    try:
        return msgspec.convert(values, Protocol, strict=False)
    except msgspec.ValidationError as error:
        fact, _, place = str(error).replace("`", "").partition(" - at $.")
        choices = get_args(get_type_hints(Protocol).get(place))  # of a Literal
        cure = f"; choose one of {', '.join(map(str, choices))}" if fact.startswith("Invalid enum") else ""
        raise UserError(f"{place}: {fact[0].lower()}{fact[1:]}{cure}") from None
