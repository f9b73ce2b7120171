"""The recipes as frozen dataclasses: `strict`, `paper` and `notebook`. A flag of `train` overrides one field.

What each says, and why the notebook differs from its paper, stands in the README and in the published code.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from fastmri_cls.augment.names import POLICIES
from fastmri_cls.foundation.errors import UserError


@dataclass(frozen=True)
class Phase:
    """One phase: at most `max_epochs` that begin at `learning_rate`, with the patience of both callbacks in epochs."""

    max_epochs: int
    learning_rate: float
    early_stopping_patience: int
    plateau_patience: int


@dataclass(frozen=True)
class Protocol:
    """Everything about a training that is decided before it starts, but for the model, the data and the machine.

    Fields:
        train_on: `split`, the train split; `first-source`, all Training images of the first source alone
            (while the class weights count every source's, as the notebooks do).
        steps_per_epoch: None for one pass; else that many steps of an endless shuffled stream.
        validate_on: `split`, the val split; `sliding-window`, the notebooks' window over the first test set.
        preprocessing: `own`, what the weights were trained with; `keras`, keras.applications' for the family;
            `densenet`, DenseNet's whatever the backbone.
        straddling_allowed: accept a dataset whose copies of one image are in more than one split.
        contrast: factor about the mean, in training only.
        resize: how the images should have been resized when the dataset was built.
        scratch_factor: multiplies both learning rates without pretrained weights, where nothing is to be protected and
            both phases train the whole network; 1 where --learning-rate is given.
        unfreeze: what phase 2 trains of the backbone: a share of its layers, from the top, or from a layer's name on.
        optimizer: Keras' own by its name in small letters, with Keras' defaults but for the rate; one of OPTIMIZERS.
        schedule: `constant`, lowered where validation stops to improve; `cosine`, down to `min_learning_rate` over
            each phase's `max_epochs`, and no plateau.
        ema: validate and save the exponential moving average of the weights (Keras' `use_ema`).
        clip_norm: longest gradient of all weights together (Keras' `global_clipnorm`); None for any.
        accumulate: steps whose mean gradient makes one update (Keras' `gradient_accumulation_steps`).
    """

    name: str
    train_on: Literal["split", "first-source"] = "split"
    steps_per_epoch: int | None = None
    validate_on: Literal["split", "sliding-window"] = "split"
    preprocessing: Literal["own", "keras", "densenet"] = "own"
    straddling_allowed: bool = False
    contrast: float = 1.0
    resize: str = "bilinear"
    augment: str = "paper"
    batch_size: int = 32
    phase1: Phase = field(default=Phase(50, 1e-4, early_stopping_patience=8, plateau_patience=3))
    phase2: Phase = field(default=Phase(10, 1e-5, early_stopping_patience=5, plateau_patience=2))
    scratch_factor: float = 10.0
    unfreeze: float | str = 0.2
    label_smoothing: float = 0.1
    plateau_factor: float = 0.2
    min_learning_rate: float = 1e-7
    optimizer: str = "adam"
    schedule: Literal["constant", "cosine"] = "constant"
    ema: bool = False
    clip_norm: float | None = None
    accumulate: int = 1


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("strict"),
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

# Keras' optimizers that need to be told nothing but the rate.
OPTIMIZERS = (
    "adam", "adamw", "adamax", "nadam", "adafactor", "adagrad", "lion", "rmsprop", "sgd",
)  # fmt: skip

# The notebooks' validation: `steps` of 54 over an endless, unshuffled first test set that goes on from epoch to epoch.
SLIDING_WINDOW_BATCHES = 54


def resolve_protocol(name: str, overrides: dict[str, Any]) -> Protocol:
    """Return the preset with the given fields replaced.

    `phase1_epochs` and `phase2_epochs` reach into the phases; `learning_rate` is phase 1's, from scratch too, and
    phase 2's keeps its proportion to it.

    Raises:
        UserError: no preset, optimizer or augmentation has that name.
    """
    if name not in PROTOCOLS:
        raise UserError(f"--protocol {name}: unknown; choose one of {', '.join(PROTOCOLS)}")
    protocol = PROTOCOLS[name]
    given = {field: value for field, value in overrides.items() if value is not None}
    rate = given.pop("learning_rate", None)
    if rate:
        given["scratch_factor"] = 1.0
    for number in ("phase1", "phase2"):
        phase: Phase = getattr(protocol, number)
        epochs = given.pop(f"{number}_epochs", phase.max_epochs)
        given[number] = replace(
            phase,
            max_epochs=epochs,
            learning_rate=rate * (phase.learning_rate / protocol.phase1.learning_rate) if rate else phase.learning_rate,
        )
    for name, known in (("optimizer", OPTIMIZERS), ("augment", POLICIES)):
        if name in given and given[name] not in known:
            raise UserError(f"--{name} {given[name]}: unknown; choose one of {', '.join(known)}")
    return replace(protocol, **given)
