"""`benchmark protocol`: seconds of the whole two-phase protocol, as the notebooks run it and as `train` does.

All use the same few images, the same seeded weights file and 50 + 10 epochs without early stopping. `notebook` is
ImageDataGenerator and Keras' fit on keras.applications' own network in float32, `live` is `train` on images,
`feature-views-K` is `train` on K cached augmentations, whose computation counts. Each takes minutes, so each is run
once; ratios are to `notebook`.
"""

import csv
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import h5py
import keras

from fastmri_cls.benchmark.baselines import notebook_batches
from fastmri_cls.foundation.cache import cache_in
from fastmri_cls.foundation.environment import describe
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.private_api import save_weights_to_hdf5_group
from fastmri_cls.foundation.progress import log
from fastmri_cls.models.head import paper_head, train_from
from fastmri_cls.models.registry import Backbone, find_backbone
from fastmri_cls.records.build import build_dataset
from fastmri_cls.records.options import BuildOptions, MetadataOptions
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.protocol import Protocol, resolve_protocol
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import Source
from fastmri_cls.sources.scan import scan
from fastmri_cls.training.run import train

_SIZE = 224
_NEVER = 10**6  # patience that turns early stopping off
_TRAINING_PER_VALIDATION = 4  # training images per validation image


@dataclass(frozen=True)
class ProtocolRow:
    """Seconds of the whole protocol, and the speed-up over the baseline."""

    name: str
    seconds: float
    ratio: float


def benchmark_protocol(source: Path, model: str, images: int, views: int) -> list[ProtocolRow]:
    """Run the protocol on `images` training images of the class folders `source`, or of its Training.

    Raises:
        UserError: there are too few images, or there is no such model.
    """
    backbone = find_backbone(model)
    protocol = without_early_stopping(resolve_protocol("paper", {}))
    # A cache of its own: views that an earlier run made would not be computed again.
    with tempfile.TemporaryDirectory() as temporary, cache_in(Path(temporary) / "cache"):
        folder = Path(temporary)
        _lay_out(source, folder, images)
        weights = seeded_weights(backbone, folder / "weights.h5")
        source_of_all = [Source("subset", folder / "subset")]
        options = BuildOptions(metadata=MetadataOptions(table=(str(folder / "split.csv"),)), allow_missing_classes=True)
        build_dataset(source_of_all, ClassNames(), options, folder / "dataset", workers=1)

        ways = {"notebook": partial(_as_the_notebooks, folder, backbone, weights, protocol)}
        for name, count in (("live", 0), (f"feature-views-{views}", views)):
            run = TrainOptions(
                folder / "dataset", model, folder / name, protocol, weights=str(weights), feature_views=count
            )
            ways[name] = partial(train, run)
        seconds = {}
        for name, way in ways.items():
            seconds[name] = _timed(way)
            log.info(f"{name}: {seconds[name]:.0f} s")
    return [ProtocolRow(name, value, seconds["notebook"] / value) for name, value in seconds.items()]


def to_json(rows: list[ProtocolRow]) -> str:
    """Return the document that `--json` prints."""
    return json.dumps({"rows": [asdict(row) for row in rows], "baseline": "notebook", "environment": describe()})


def _timed(work: Callable[[], None]) -> float:
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def without_early_stopping(protocol: Protocol) -> Protocol:
    """Return `protocol` without early stopping in both phases."""
    phase1, phase2 = (replace(phase, early_stopping_patience=_NEVER) for phase in (protocol.phase1, protocol.phase2))
    return replace(protocol, phase1=phase1, phase2=phase2)


def _lay_out(source: Path, folder: Path, images: int) -> None:
    """Link `images` training images and a quarter as many for validation: class folders for everyone, a CSV for us."""
    root = next((path for path in (source / "Training", source) if path.is_dir()), source)
    files = scan([Source("source", root)], ClassNames()).files
    labels = sorted({file.label for file in files})
    counts = {"train": images // len(labels), "val": images // len(labels) // _TRAINING_PER_VALIDATION}
    rows = []
    for label in labels:
        in_class = iter(file for file in files if file.label == label)
        for split, count in counts.items():
            for number in range(count):
                file = next(in_class, None)
                if file is None:
                    raise UserError(f"--images {images}: class {label} has too few; choose a smaller number")
                name = f"{split}-{number:05d}{file.path.suffix}"
                for place in (folder / split / label, folder / "subset" / label):
                    place.mkdir(parents=True, exist_ok=True)
                    (place / name).symlink_to(file.path)
                rows.append((f"{label}/{name}", split))
    with (folder / "split.csv").open("w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows([("filename", "split"), *rows])


def seeded_weights(backbone: Backbone, path: Path) -> Path:
    """Write random weights in the format of the published files to `path`; they cost the same time as trained ones."""
    keras.utils.set_random_seed(0)
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, (backbone.upstream or backbone.build)((_SIZE, _SIZE, 3)))
    return path


def _as_the_notebooks(folder: Path, backbone: Backbone, weights: Path, protocol: Protocol) -> None:
    base = (backbone.upstream or backbone.build)((_SIZE, _SIZE, 3))
    base.load_weights(weights)
    training, validation = (notebook_batches(folder / split) for split in ("train", "val"))
    inputs = keras.Input((_SIZE, _SIZE, 3))
    model = keras.Model(inputs, paper_head([base(inputs)], training.num_classes))
    for phase, unfreeze in ((protocol.phase1, 0.0), (protocol.phase2, protocol.unfreeze)):
        train_from(base, unfreeze)
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=protocol.label_smoothing)
        model.compile(keras.optimizers.Adam(phase.learning_rate), loss, metrics=["accuracy"])
        model.fit(training, validation_data=validation, epochs=phase.max_epochs, verbose=0)
