"""RUN folders and evaluations of other models -> runs of the same test images, grouped into systems.

A system is everything that was decided before training, except chance: model, protocol, weights, dataset and every
other option. Runs that differ in seed or fold alone are repeats of one system.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fastmri_cls.comparison.settings import Setting, Settings, identity, names, settings_of
from fastmri_cls.evaluation.sets import POOLED
from fastmri_cls.foundation import json_files
from fastmri_cls.foundation.checksums import file_sha256
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log
from fastmri_cls.runs import files
from fastmri_cls.runs.config import RunConfig
from fastmri_cls.runs.history import Epoch
from fastmri_cls.runs.metrics import EvaluatedDataset, RunMetrics
from fastmri_cls.runs.model_evaluation import ModelEvaluation, ModelFacts, is_model_evaluation
from fastmri_cls.runs.predictions import Predictions
from fastmri_cls.runs.run import Run


@dataclass(frozen=True)
class ComparedRun:
    """A finished RUN, one of its evaluations on another dataset, or the evaluation of a model not trained here.

    Attributes:
        path: the folder of its results.
        config: every option as resolved; what is known of a model that was not trained here.
        metrics: of every test set.
        history: every epoch of training; empty for a model that was not trained here.
        tests: predictions; row i is the same image in all runs compared.
        model_file: the trained model; it may be missing, and is unknown for a model that was not trained here.
    """

    path: Path
    config: RunConfig | ModelFacts
    metrics: RunMetrics
    history: list[Epoch]
    tests: Predictions
    model_file: Path | None

    @cached_property
    def settings(self) -> Settings:
        """Every option of the run; a function, which has no file, is told by what it predicts."""
        found = settings_of(json_files.to_plain(self.config))
        if isinstance(self.config, ModelFacts) and self.config.sha256 is None:
            found["folder"] = Setting(file_sha256(self.path / files.PREDICTIONS), self.folder)
        return found

    @property
    def folder(self) -> str:
        """The name of the folder, RUN/evaluations/NAME of an evaluation on another dataset."""
        parts = self.path.absolute().parts
        return "/".join(parts[-3:]) if parts[-2] == files.EVALUATIONS else parts[-1]

    @property
    def evaluated(self) -> EvaluatedDataset:
        """The dataset whose test images were predicted."""
        own = EvaluatedDataset(self.config.data.name, self.config.dataset.fingerprint)
        return self.metrics.dataset or own

    @property
    def is_on_own_dataset(self) -> bool:
        """Whether that is the dataset that `config` describes, and not another one that a RUN was evaluated on."""
        return self.evaluated.fingerprint == self.config.dataset.fingerprint

    @property
    def repeat(self) -> tuple[int | None, int | None]:
        """What varies between repeats: the seed, and the fold (None without folds); None if not trained here."""
        return (self.config.seed, self.config.fold) if isinstance(self.config, RunConfig) else (None, None)

    @property
    def repeat_name(self) -> str:
        """Seed and fold in words."""
        seed, fold = self.repeat
        if seed is None:
            return "not trained here"
        return f"seed {seed}" if fold is None else f"seed {seed}, fold {fold}"


@dataclass(frozen=True)
class System:
    """Runs that are repeats of each other, under a name that no other system of the comparison has."""

    name: str
    runs: tuple[ComparedRun, ...]

    @property
    def model(self) -> str:
        """The name of the model in the registry."""
        return self.runs[0].config.model

    @property
    def is_trained_here(self) -> bool:
        """Whether its training is known."""
        return all(run.history for run in self.runs)

    @property
    def baselines(self) -> Mapping[str, Mapping[str, float]]:
        """{test set: {shortcut baseline: accuracy}}; they learn from the training images of the first repeat."""
        return self.runs[0].metrics.baselines

    @property
    def all_tests(self) -> list[Predictions]:
        """The predictions of each repeat."""
        return [run.tests for run in self.runs]


def read_runs(paths: Sequence[Path]) -> list[ComparedRun]:
    """Read RUN folders and sort the predictions of all in the order of the first; say so if one is given twice.

    Raises:
        UserError: a RUN is not finished, its files do not belong together, or two were evaluated on different images.
    """
    folders: dict[Path, Path] = {}
    for path in paths:
        if path.resolve() in folders:
            log.warning(f"{path}: is given twice; it counts once")
        folders.setdefault(path.resolve(), path)
    runs = [_read_run(path) for path in folders.values()]
    return [runs[0], *(_aligned(run, runs[0]) for run in runs[1:])]


def joined_groups(runs: Sequence[ComparedRun]) -> tuple[np.ndarray, bool]:
    """Return the groups of the test images, int [n], and whether the runs know different ones, which are then joined.

    Datasets of the same images may differ in what they know of patients. An interval must not depend on the order in
    which runs are given, nor leave out what one of them knows.
    """
    firsts = []  # for each run the first image of each image's group, which says the same whatever the numbers
    for run in runs:
        _, first, group = np.unique(run.tests.groups, return_index=True, return_inverse=True)
        firsts.append(first[group])
    if all(np.array_equal(one, firsts[0]) for one in firsts):
        return runs[0].tests.groups, False
    images = np.arange(len(firsts[0]))
    edges = (np.tile(images, len(runs)), np.concatenate(firsts))
    graph = coo_array((np.ones(len(edges[0]), bool), edges), shape=(len(images), len(images)))
    return connected_components(graph, directed=False)[1], True


def group_into_systems(runs: Sequence[ComparedRun]) -> list[System]:
    """Return the systems in the order of their first runs; repeats in the order of seed and fold.

    Raises:
        UserError: two runs are the same repeat of the same system.
    """
    groups: dict[tuple[tuple[str, str], ...], list[ComparedRun]] = {}
    for run in runs:
        groups.setdefault(identity(run.settings), []).append(run)
    for members in groups.values():
        members.sort(key=lambda run: (run.repeat[0] or 0, run.repeat[1] or 0))
        for one, other in pairwise(members):
            if one.repeat == other.repeat:
                same = f"repeats {one.path} with the same {one.repeat_name}"
                if one.repeat[0] is None:
                    same = f"is of the same model as {one.path}"
                raise UserError(f"{other.path}: {same}; leave one out")
    found = names([members[0].settings for members in groups.values()])
    return [System(name, tuple(members)) for name, members in zip(found, groups.values(), strict=True)]


def _read_run(path: Path) -> ComparedRun:
    run = ModelEvaluation(path) if is_model_evaluation(path) else Run(path)
    tests, pooled = run.predictions, run.metrics[POOLED]
    if pooled.n != len(tests) or not np.isclose(pooled.accuracy.value, (tests.predicted == tests.labels).mean()):
        raise UserError(f"{path}: its metrics do not go with its predictions; run evaluate on it again")
    if isinstance(run, ModelEvaluation):
        return ComparedRun(run.path, run.facts, run.metrics, [], tests, model_file=None)
    return ComparedRun(run.results, run.config, run.metrics, run.history, tests, run.path / files.MODEL)


def _aligned(run: ComparedRun, first: ComparedRun) -> ComparedRun:
    """Return `run` with its predictions in the order of `first`."""
    if run.tests.classes != first.tests.classes:
        raise UserError(f"{run.path}: has other classes than {first.path}; compare runs of the same classes")
    place = {key: i for i, key in enumerate(_keys(run.tests))}
    keys = _keys(first.tests)
    common = sum(key in place for key in keys)
    if common < len(keys) or len(place) != len(keys):
        raise UserError(
            f"{run.path}: was evaluated on other images than {first.path} ({common} in common, of {len(place)} and "
            f"{len(keys)}); run evaluate on both with the same --data, and compare RUN/evaluations/NAME"
        )
    return replace(run, tests=run.tests.where(np.array([place[key] for key in keys])))


def _keys(p: Predictions) -> list[tuple[str, str, int]]:
    return list(zip(p.sources.tolist(), p.filenames.tolist(), p.labels.tolist(), strict=True))
