"""The options of one training as a frozen dataclass, for the flags of `train` and the arguments of `api.train`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.gpus import Device
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
        """Refuse a value that is not among the choices.

        Raises:
            UserError: names the option, the value and the choices.
        """
        offered = {
            "cache": Cache,
            "precision": Precision,
            "xla": Xla,
            "strategy": Strategy,
            "track": Tracker,
            "device": Device,
        }
        for name, choices in offered.items():
            if getattr(self, name) not in get_args(choices):
                raise UserError(f"--{name} {getattr(self, name)}: choose one of {', '.join(get_args(choices))}")
        if self.max_hours is not None and not self.max_hours > 0:
            raise UserError(f"--max-hours {self.max_hours}: give a positive number of hours")
