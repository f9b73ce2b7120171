"""What `train` is asked for, as one frozen dataclass; its flags map one to one."""

from dataclasses import dataclass
from pathlib import Path

from fastmri_cls.runs.protocol import Protocol


@dataclass(frozen=True)
class TrainOptions:
    """What a run is made with.

    Fields:
        weights: default, none, a published set's name, or a path. cache, precision, xla: may be `auto`.
        feature_views: 0 trains on images; K runs the frozen trunk once over K augmented views of each.
        fold: of a dataset cut into folds, the one to validate on; the others are trained on.
        strategy: auto, single, mirrored or multiworker. devices: how many, see `make_distribution`.
        resume: go on with a RUN begun before, if there is one.
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
    devices: int | None = None
    resume: bool = False
