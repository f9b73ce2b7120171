"""The options of one training as a frozen dataclass, for the flags of `train` and the arguments of `api.train`."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.gpus import Device
from fastmri_cls.foundation.option_checks import check_choice, check_range
from fastmri_cls.runs.protocol import Protocol

Cache = Literal["auto", "none", "ram", "device"]
Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]
Xla = Literal["auto", "on", "off"]
Tracker = Literal["none", "mlflow", "wandb"]
Strategy = Literal["auto", "single", "mirrored", "multiworker"]


@dataclass(frozen=True)
class TrainOptions:
    """The options of one training.

    Attributes:
        data: the dataset folder.
        model: a name of the registry, or `hybrid:A+B`.
        out: the RUN folder.
        protocol: the recipe.
        weights: `default`, `imagenet`, `none`, the name of published weights, or a path.
        feature_views: 0 trains on images; K runs the frozen backbone once over K augmented views of each image.
        cache: where decoded images are kept; one of Cache.
        precision: Keras' dtype policy; one of Precision.
        xla: whether the training step is compiled; one of Xla.
        fold: the fold to validate on, of a dataset built with folds; the others are trained on.
        seed: of weights, augmentation and order.
        deterministic: repeat bit for bit.
        strategy: of distribution; one of Strategy.
        device: what computes; one of Device.
        devices: number of GPUs, or of logical CPUs without a GPU; None for all.
        resume: go on with an interrupted RUN if there is one.
        track: the experiment tracker that is told of the training; one of Tracker.
        max_hours: save and stop after this time, to be resumed; None for no limit.
    """

    data: Path
    model: str
    out: Path
    protocol: Protocol
    weights: str = "default"
    feature_views: int = 0
    cache: str = "auto"
    precision: str = "auto"
    xla: str = "auto"
    fold: int | None = None
    seed: int = 0
    deterministic: bool = False
    strategy: str = "auto"
    device: str = "auto"
    devices: int | None = None
    resume: bool = False
    max_hours: float | None = None
    track: str = "none"

    def __post_init__(self) -> None:
        """Refuse a value that is out of range or not among the choices.

        Raises:
            UserError: names the option, the value and what it may be.
        """
        check_choice("--cache", self.cache, get_args(Cache))
        check_choice("--precision", self.precision, get_args(Precision))
        check_choice("--xla", self.xla, get_args(Xla))
        check_choice("--strategy", self.strategy, get_args(Strategy))
        check_choice("--track", self.track, get_args(Tracker))
        check_choice("--device", self.device, get_args(Device))
        check_range("--feature-views", self.feature_views, 0)
        check_range("--devices", self.devices, 1)
        check_range("--seed", self.seed, 0, 2**32 - 1)  # what numpy takes
        if self.max_hours is not None and not 0 < self.max_hours < math.inf:
            raise UserError(f"--max-hours {self.max_hours}: give a positive number of hours, or leave it out")
