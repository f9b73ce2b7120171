"""A RUN folder opened: its typed files, those of earlier versions, and what is refused."""

import json
from pathlib import Path

import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.runs.config import read_config, write_config
from fastmri_cls.runs.metrics import Estimate, from_json, to_json
from fastmri_cls.runs.run import Run
from tests.comparison_runs import CLASSES, make_predictions, write_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", make_predictions())


def test_an_estimate_reads_as_value_and_interval() -> None:
    assert str(Estimate(0.9557, 0.9431, 0.9682)) == "0.956 [0.943, 0.968]"
    assert str(Estimate(0.9557)) == "0.956"
    assert str(Estimate(0.9557, 0.9431, 0.9682, sd=0.0041)) == "0.956 ± 0.004 [0.943, 0.968]"


def test_a_run_gives_the_content_of_its_files_as_types(run: Path) -> None:
    opened = Run(run)
    plain = json.loads((run / "metrics.json").read_text())["tests"]["pooled"]
    pooled = opened.metrics["pooled"]
    assert [pooled.accuracy.value, pooled.accuracy.low, pooled.accuracy.high] == [
        plain["accuracy"], *plain["ci95"]["accuracy"],
    ]  # fmt: skip
    assert pooled.per_class["glioma"].auc.value == plain["per_class"]["glioma"]["auc"]
    assert opened.config.classes == CLASSES
    assert opened.config.protocol.name == "strict"
    assert opened.config.devices == ("/device:CPU:0",)
    assert [(epoch.phase, epoch.epoch) for epoch in opened.history] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]
    assert len(opened.predictions) == pooled.n


def test_metrics_json_keeps_every_value_through_the_types(run: Path) -> None:
    plain = json.loads((run / "metrics.json").read_text())
    again = to_json(from_json(plain))
    assert _differences(plain, again) == []


def test_config_json_is_the_same_after_reading_and_writing(run: Path) -> None:
    config = read_config(run)
    write_config(run, config)
    assert read_config(run) == config
    assert json.loads((run / "config.json").read_text())["devices"] == ["/device:CPU:0"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"classes": "glioma"}, "classes"),
        ({"classes": ["glioma"]}, "classes"),
        ({"classes": ["a", "a"]}, "classes has a name twice"),
        ({"image_size": 10**9}, "image_size"),
        ({"image_size": None}, "image_size"),
        ({"channels": 2}, "channels"),
        ({"protocol": None}, "protocol"),
        ({"protocol": {"name": "strict", "train_on": "nothing"}}, r"protocol\.train_on"),
        ({"dataset": {"split": "grouped"}}, "fingerprint"),
    ],
)
def test_a_config_that_train_did_not_write_is_refused_by_the_name_of_its_entry(tmp_path, change, names) -> None:
    run = write_run(tmp_path / "run", make_predictions(), **change)
    with pytest.raises(UserError, match=rf"config\.json: .*{names}.*not what train wrote; train again"):
        Run(run)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no config\.json in it; give the --out folder of a train command"):
        Run(tmp_path)


def _differences(one: object, other: object, place: str = "") -> list[str]:
    """Return the places where `other` lacks a value of `one`; added keys do not count."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            found
            for key in one
            for found in (_differences(one[key], other[key], f"{place}.{key}") if key in other else [f"{place}.{key}"])
        ]
    return [] if one == other else [place]
