"""What a study varies, and the cells that follow: models x seeds (x folds, datasets, ablations).

A cell is one `train`; its RUN folder lies below the study's.
"""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.templates import base_name, without_folder
from fastmri_cls.models.registry import find_model
from fastmri_cls.records.images_csv import read_images_csv
from fastmri_cls.records.split_names import is_test
from fastmri_cls.runs.run import is_finished

# Named variants as flags of `train`. Leakage kept or dropped is decided when a dataset is built: give both folders.
ABLATIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "preprocessing": {"own": ("--set", "preprocessing=own"), "keras": ("--set", "preprocessing=keras")},
    "contrast": {"contrast1": ("--set", "contrast=1"), "contrast1.5": ("--set", "contrast=1.5")},
    "pretraining": {"pretrained": (), "scratch": ("--weights", "none")},
}


@dataclass(frozen=True)
class StudyOptions:
    """What a study varies.

    Attributes:
        data: dataset folders.
        models: names from the registry, or NAME=WEIGHTS with a value of train's --weights.
        seeds: one run of every model for each.
        out: the folder of the study.
        ablations: keys of ABLATIONS, each tried both ways.
        train_flags: flags of `train` for every cell.
        dask: a Dask cluster whose workers train the cells, see `dask_client`; None for one after the other here.
    """

    data: tuple[Path, ...]
    models: tuple[str, ...]
    seeds: tuple[int, ...]
    out: Path
    ablations: tuple[str, ...] = ()
    train_flags: tuple[str, ...] = ()
    dask: str | None = None


def study_command(options: StudyOptions) -> str:
    """Return the command that repeats a study anywhere: datasets and weights by name, without their folders."""
    words = ["fastmri-cls", "study"]
    for data in options.data:
        words += ["--data", base_name(str(data))]
    models = [
        name + separator + base_name(path) for name, separator, path in (m.partition("=") for m in options.models)
    ]
    words += ["--models", ",".join(models), "--seeds", ",".join(map(str, options.seeds))]
    for ablation in options.ablations:
        words += ["--ablate", ablation]
    return shlex.join([*words, *map(without_folder, options.train_flags), "--out", "DIR"])


@dataclass
class Cell:
    """One training of a study.

    Attributes:
        name: unique in the study; the name of its RUN folder and log.
        model: name from the registry.
        flags: of its `train`.
        run: the RUN folder.
        log: what its `train` printed.
        state: how far it is; `kept` was finished before the study began.
        reason: why it failed.
        seconds: how long it has been running.
    """

    name: str
    model: str
    flags: list[str]
    run: Path
    log: Path
    state: Literal["waiting", "running", "done", "failed", "kept"] = "waiting"
    reason: str = ""
    seconds: float = 0.0

    @property
    def is_finished(self) -> bool:
        """Whether its RUN is complete."""
        return is_finished(self.run)


def plan(options: StudyOptions) -> list[Cell]:
    """Return the cells: seeds outermost, so that a study that is stopped early has every model with the first seed.

    Raises:
        UserError: there is no such dataset or model, or two cells would have one name, and so one RUN folder.
    """
    folds = {data: range(Dataset(data).manifest.folds) or (None,) for data in options.data}
    variants = {model: _variants(model, options) for model in options.models}
    cells = []
    for seed, data, model in product(options.seeds, options.data, options.models):
        for fold, variant in product(folds[data], variants[model]):
            architecture, _, weights = model.partition("=")
            # A hybrid's colon would be a drive's on Windows and a host's to rsync.
            parts = [architecture.replace(":", "-"), *([Path(weights).name] if weights else [])]
            parts += [name for name, _ in variant]
            if len(options.data) > 1:
                parts.insert(0, data.name)
            parts.append(f"seed{seed}")
            flags = ["--weights", weights] if weights else []
            flags += [flag for _, flags in variant for flag in flags]
            if fold is not None:
                parts.append(f"fold{fold}")
                flags += ["--fold", str(fold)]
            name = "-".join(parts)
            run = options.out / "runs" / name
            fixed = ["--data", str(data), "--model", architecture, "--seed", str(seed), "--out", str(run), "--resume"]
            log_file = options.out / "logs" / f"{name}.log"
            cells.append(Cell(name, architecture, [*options.train_flags, *flags, *fixed], run, log_file))
    twice = [name for name, count in Counter(cell.name for cell in cells).items() if count > 1]
    if twice:
        raise UserError(
            f"two cells would be called {twice[0]}, by the last part of their --data or of their weights' path; give "
            "the folders or files different names, and each of them once"
        )
    return cells


def check_tests(data: Sequence[Path]) -> None:
    """Refuse datasets that cannot be compared, before anything is trained.

    Raises:
        UserError: they differ in classes or in test images.
    """
    first, *others = [Dataset(folder) for folder in data]
    for other in others:
        images, found = _test_images(first), _test_images(other)
        if other.classes != first.classes:
            raise UserError(f"--data {other.path}: has other classes than {first.path}; study them apart")
        if found != images:
            raise UserError(
                f"--data {other.path}: has other test images than {first.path} ({len(found & images)} in common, of "
                f"{len(found)} and {len(images)}), so that their runs cannot be compared; study them apart"
            )


def _test_images(dataset: Dataset) -> set[tuple[str, str, str]]:
    """Return source, file and class of each test image."""
    return {(row.source, row.filename, row.class_name) for row in read_images_csv(dataset.path) if is_test(row.split)}


def _variants(model: str, options: StudyOptions) -> list[tuple[tuple[str, tuple[str, ...]], ...]]:
    """Return the combinations of (name, flags) of a model; one without pretrained weights has no `scratch` variant."""
    architecture, _, weights = model.partition("=")
    default = find_model(architecture).default_weights
    pretrained = (weights or default) != "none" or "--weights" in options.train_flags
    ablations = [name for name in options.ablations if name != "pretraining" or pretrained]
    return list(product(*(ABLATIONS[name].items() for name in ablations)))
