"""RUN folders -> what a comparison works on: runs of the same test images, and the systems they are repeats of.

A system is everything that was decided before training but for chance: model, weights, protocol, dataset. Runs that
differ in seed or fold alone are repeats of one system.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.runs.checksums import check as check_checksums
from fastmri_cls.runs.predictions import Predictions, read_predictions
from fastmri_cls.runs.run import read_config

# What tells systems of one model apart, in the order in which a name tries them.
_DISTINCTIONS = ("protocol", "weights", "preprocessing", "contrast", "augment", "unfreeze", "dataset", "precision")


@dataclass(frozen=True)
class Run:
    """A finished RUN: its files as read. `tests` are its predictions, row i the same image in all runs compared."""

    path: Path
    config: dict[str, Any]
    metrics: dict[str, Any]
    history: list[dict[str, float]]
    tests: Predictions

    @property
    def repeat(self) -> tuple[int, int | None]:
        """What is left to chance: the seed, and the fold where there are any."""
        return self.config["seed"], self.config.get("fold")

    @property
    def repeat_name(self) -> str:
        """The same for people."""
        seed, fold = self.repeat
        return f"seed {seed}" if fold is None else f"seed {seed}, fold {fold}"


@dataclass(frozen=True)
class System:
    """Runs that are repeats of each other, under a name that tells them from all others compared."""

    name: str
    runs: tuple[Run, ...]

    @property
    def model(self) -> str:
        """The registry's name of the model."""
        return str(self.runs[0].config["model"])

    @property
    def all_tests(self) -> list[Predictions]:
        """Each repeat's predictions."""
        return [run.tests for run in self.runs]


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Read RUN folders and bring their predictions into one order, that of the first.

    Raises:
        UserError: a RUN is not finished, its files do not belong together, or two were evaluated on different images.
    """
    runs = [_read_run(path) for path in dict.fromkeys(paths)]
    return [runs[0], *(_aligned(run, runs[0]) for run in runs[1:])]


def group_into_systems(runs: Sequence[Run]) -> list[System]:
    """Return the systems in the order of their first runs; repeats in the order of seed and fold.

    Raises:
        UserError: two runs are the same repeat of the same system.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(json.dumps(_identity(run), sort_keys=True), []).append(run)
    for members in groups.values():
        members.sort(key=lambda run: (run.repeat[0], run.repeat[1] or 0))
        for one, other in pairwise(members):
            if one.repeat == other.repeat:
                raise UserError(f"{other.path}: repeats {one.path} with the same {one.repeat_name}; leave one out")
    names = _names([_distinctions(members[0]) for members in groups.values()])
    return [System(name, tuple(members)) for name, members in zip(names, groups.values(), strict=True)]


def _read_run(path: Path) -> Run:
    check_checksums(path, ("config.json", "history.csv", "predictions.csv", "metrics.json"))
    config = read_config(path)
    tests = read_predictions(path / "predictions.csv")
    try:
        metrics = json.loads((path / "metrics.json").read_text(encoding="utf-8"))
        with (path / "history.csv").open(newline="", encoding="utf-8") as file:
            history = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        pooled = metrics["tests"]["pooled"]
        belong = pooled["n"] == len(tests) and np.isclose(pooled["accuracy"], (tests.predicted == tests.labels).mean())
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: no such file; that RUN has not finished, train or evaluate it") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: metrics.json or history.csv is damaged ({error}); run evaluate on it again") from None
    if not belong or "balanced_accuracy" not in pooled:
        raise UserError(f"{path}: metrics.json does not go with predictions.csv; run evaluate on it again")
    return Run(path, config, metrics, history, tests)


def _aligned(run: Run, first: Run) -> Run:
    """Return `run` with its predictions in the order of `first`."""
    if run.tests.classes != first.tests.classes:
        raise UserError(f"{run.path}: knows other classes than {first.path}; compare runs of the same classes")
    place = {key: i for i, key in enumerate(_keys(run.tests))}
    keys = _keys(first.tests)
    common = sum(key in place for key in keys)
    if common < len(keys) or len(place) != len(keys):
        raise UserError(
            f"{run.path}: was evaluated on other images than {first.path} ({common} in common, of {len(place)} and "
            f"{len(keys)}); run evaluate on both with the same --data"
        )
    return replace(run, tests=run.tests.where(np.array([place[key] for key in keys])))


def _keys(p: Predictions) -> list[tuple[str, str, int]]:
    return list(zip(p.sources.tolist(), p.filenames.tolist(), p.labels.tolist(), strict=True))


def _distinctions(run: Run) -> dict[str, Any]:
    """Return the few facts a name can mention."""
    protocol, config = run.config["protocol"], run.config
    return {
        "model": config["model"],
        "protocol": protocol["name"],
        "weights": config["weights"],
        "dataset": Path(config["data"]).name,
        "precision": config.get("precision"),
        **{name: protocol.get(name) for name in ("preprocessing", "contrast", "augment", "unfreeze")},
    }


def _identity(run: Run) -> dict[str, Any]:
    """Return all that makes two runs repeats of one system."""
    config = run.config
    return {
        **{name: config.get(name) for name in ("model", "weights", "protocol", "precision", "feature_views")},
        "fingerprint": config["dataset"]["fingerprint"],
    }


def _names(facts: Sequence[dict[str, Any]]) -> list[str]:
    """Return the model's name, with as many facts behind it as it takes to tell all apart; numbers where none do."""
    names = [str(fact["model"]) for fact in facts]
    for distinction in _DISTINCTIONS:
        for model in {name for name in names if names.count(name) > 1}:
            places = [i for i, name in enumerate(names) if name == model]
            values = [facts[i][distinction] for i in places]
            if len(set(map(str, values))) > 1:
                for i, value in zip(places, values, strict=True):
                    names[i] += f", {_phrase(distinction, value)}"
    repeated = {name for name in names if names.count(name) > 1}
    return [f"{name} ({i + 1})" if name in repeated else name for i, name in enumerate(names)]


def _phrase(distinction: str, value: Any) -> str:
    if distinction == "weights":
        return f"weights {Path(str(value)).name}"
    return str(value) if distinction == "protocol" else f"{distinction} {value}"
