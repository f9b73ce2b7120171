"""config.json of a RUN as a type: every option as resolved, the dataset, the weights, the machine and the versions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation import json_files
from fastmri_cls.foundation.environment import Environment, describe
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.runs import files
from fastmri_cls.runs.options import TrainOptions

_MAX_SIZE = 1 << 14  # pixels; far above what build-tfrecords makes


@dataclass(frozen=True)
class DatasetFacts:
    """The dataset a RUN was trained on, or another model evaluated on.

    Attributes:
        fingerprint: see `Manifest.fingerprint`.
        split: the split method: grouped, published, ...
        resize: the resampling filter its images were resized with; None in RUNs of versions that did not record it.
        splits: {split: images}.
        per_class: {split: {class: images}}.
    """

    fingerprint: str
    split: str
    resize: str | None = None
    splits: dict[str, int] = field(default_factory=dict)
    per_class: dict[str, dict[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: Dataset) -> "DatasetFacts":
        """Return the facts of a dataset."""
        return cls(
            fingerprint=dataset.fingerprint,
            split=dataset.manifest.split,
            resize=dataset.manifest.options["resize"],
            splits={name: split.num_examples for name, split in dataset.splits.items()},
            per_class={name: split.per_class for name, split in dataset.splits.items()},
        )


@dataclass(frozen=True)
class LoadedWeights:
    """The weights a training started from.

    Attributes:
        spec: what --weights was given.
        path: the file or RUN folder they were read from; "A + B" for a hybrid.
        sha256: of the file, likewise.
        tensors: how many weight tensors were loaded.
    """

    spec: str
    path: str
    sha256: str
    tensors: int


@dataclass(frozen=True, kw_only=True)
class RunConfig(TrainOptions):
    """config.json: the options of a training as resolved, and what it ran with.

    Attributes:
        classes: names in label order.
        image_size: pixels, square.
        channels: 1 (grey) or 3 (RGB).
        dataset: what it was trained on.
        loaded_weights: None where the backbone was trained from scratch.
        devices: names of TensorFlow's logical devices; in `TrainOptions` their number.
        workers: processes of a distributed training.
        replicas: devices that each took a slice of the batch.
        environment: versions, commit and machine.
        refresh_views: an option of version 0.1; such a RUN cannot be resumed.
    """

    classes: Annotated[tuple[str, ...], msgspec.Meta(min_length=2)]
    image_size: Annotated[int, msgspec.Meta(ge=1, le=_MAX_SIZE)]
    channels: int
    dataset: DatasetFacts
    loaded_weights: LoadedWeights | None
    devices: tuple[str, ...] = ()  # type: ignore[assignment]
    workers: int = 1
    replicas: int = 1
    environment: Environment
    refresh_views: float = 0.0

    def __post_init__(self) -> None:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes has a name twice")
        if self.channels not in (1, 3):
            raise ValueError(f"channels is {self.channels}, not 1 or 3")


def new_config(
    options: TrainOptions,
    dataset: Dataset,
    loaded_weights: LoadedWeights | None,
    devices: Sequence[str],
    *,
    workers: int = 1,
    replicas: int = 1,
) -> RunConfig:
    """Return the config of a training that begins now, on this machine.

    Args:
        options: as resolved; none is `auto`.
        dataset: to train on.
        loaded_weights: None where the backbone is trained from scratch.
        devices: names of TensorFlow's logical devices.
        workers: processes of a distributed training.
        replicas: devices that each take a slice of the batch.
    """
    return RunConfig(
        **vars(options) | {"devices": tuple(devices)},
        classes=dataset.classes,
        image_size=dataset.image_size,
        channels=dataset.channels,
        dataset=DatasetFacts.of(dataset),
        loaded_weights=loaded_weights,
        workers=workers,
        replicas=replicas,
        environment=describe(),
    )


def write_config(run: Path, config: RunConfig) -> None:
    """Write config.json into a RUN."""
    json_files.write(run / files.CONFIG, config)


def records_frozen_mode(run: Path) -> bool:
    """Whether config.json of a RUN says how frozen layers computed: a version before that field can have begun it."""
    return "frozen_mode" in json.loads((run / files.CONFIG).read_text(encoding="utf-8"))["protocol"]


def read_config(run: Path) -> RunConfig:
    """Read config.json of a RUN, of this version or an earlier one.

    Raises:
        UserError: `run` is not a RUN folder, or its config.json is not what `train` wrote.
    """
    try:
        return json_files.read(run / files.CONFIG, RunConfig, "it is not what train wrote; train again")
    except (FileNotFoundError, NotADirectoryError):
        if str(run).startswith("hf:/"):  # as pathlib leaves an address of the hub
            raise UserError(f"{run}: get it first, with fastmri-cls pull USER/NAME --out RUN, then give RUN") from None
        raise UserError(f"{run}: no {files.CONFIG} in it; give the --out folder of a train command") from None
