"""`--track`: what an MLflow file store holds after a stop and a resume, and that a dead tracker changes no weight."""

import numpy as np
import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.protocol import resolve_protocol
from fastmri_cls.runs.run import Run
from fastmri_cls.training import tracking
from fastmri_cls.training.run import train
from fastmri_cls.training.tracking import Tracking

pytestmark = pytest.mark.slow


def test_a_tracker_that_is_not_installed_is_named_before_anything_is_trained(monkeypatch):
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"--track wandb: needs the extra wandb"):
        Tracking("wandb")


def test_a_stopped_and_resumed_training_is_one_mlflow_run_with_options_metrics_intervals_and_report(
    trained_run, tmp_path, monkeypatch
):
    mlflow = pytest.importorskip("mlflow")
    store = f"file:{tmp_path / 'mlruns'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    run, out = Run(trained_run), tmp_path / "run"
    out.mkdir()

    def interrupted() -> None:
        stopped = Tracking("mlflow")
        with stopped.ending():
            stopped.begin(out, run.config)
            stopped.log_epoch({"val_loss": 0.5}, 0)
            stopped.log_epoch({"val_loss": 0.4}, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    client = mlflow.MlflowClient(store)
    experiment = client.get_experiment_by_name("fastmri-cls").experiment_id
    (tracked,) = client.search_runs([experiment])
    assert (tracked.info.status, tracked.info.run_name) == ("KILLED", "run")

    resumed = Tracking("mlflow")
    resumed.begin(out, run.config)
    assert client.get_run(tracked.info.run_id).info.status == "RUNNING"
    resumed.log_epoch({"val_loss": 0.4}, 1)  # the epoch after the last checkpoint is trained again
    resumed.log_epoch({"val_loss": 0.3}, 2)
    resumed.finish(run.metrics, run.report)
    (tracked,) = client.search_runs([experiment])
    assert tracked.info.status == "FINISHED"
    history = client.get_metric_history(tracked.info.run_id, "val_loss")
    assert [(point.step, point.value) for point in history] == [(0, 0.5), (1, 0.4), (2, 0.3)]
    params = tracked.data.params
    assert params["model"] == "small-cnn"
    assert params["protocol.phase1.max_epochs"] == "8"
    assert params["dataset.fingerprint"] == run.config.dataset.fingerprint
    accuracy = run.metrics["pooled"].accuracy
    found = [tracked.data.metrics[f"test/pooled/accuracy{end}"] for end in ("", "_low", "_high")]
    assert found == [accuracy.value, accuracy.low, accuracy.high]
    (artifact,) = client.list_artifacts(tracked.info.run_id)
    assert (artifact.path, artifact.file_size) == ("report.html", run.report.stat().st_size)


def test_a_tracker_that_fails_costs_one_warning_and_no_bit_of_the_weights(dataset, tmp_path, monkeypatch):
    class Dead:
        def begin(self, *_: object) -> str:
            return "id"

        def last_epoch(self) -> int:
            return -1

        def log(self, *_: object) -> None:
            np.random.random()
            raise ConnectionError("the server is gone")

    monkeypatch.setattr(tracking, "find_spec", lambda name: True)
    monkeypatch.setitem(tracking._TRACKERS, "mlflow", Dead)
    warnings: list[str] = []
    monkeypatch.setattr(log, "warning", warnings.append)
    protocol = resolve_protocol("strict", {"phase1_epochs": 2, "phase2_epochs": 0, "batch_size": 32})
    fixed = {"precision": "float32", "xla": "off", "deterministic": True}
    weights = []
    for name in ("none", "mlflow"):
        out = tmp_path / name
        train(TrainOptions(dataset, "small-cnn", out, protocol, **fixed), tracking=Tracking(name))
        weights.append([np.array(variable) for variable in Run(out).model().variables])
    assert warnings == [
        "--track mlflow: does not answer (the server is gone); the training goes on without it",
    ]
    for expected, found in zip(*weights, strict=True):
        np.testing.assert_array_equal(found, expected)
