"""The clients of experiment trackers: MLflow (extra `mlflow`) and Weights & Biases (extra `wandb`).

Their usual environment variables apply: MLFLOW_TRACKING_URI (default ./mlruns), MLFLOW_EXPERIMENT_NAME, WANDB_PROJECT,
WANDB_MODE, ... FASTMRI_CLS_OFFLINE=1 keeps both on this machine. All methods raise what the clients raise.
"""

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from fastmri_cls.foundation.transfer import is_offline

_PROJECT = "fastmri-cls"
_MLFLOW_PARAMETERS = 100  # the most that one request may hold
_MLFLOW_METRICS = 1000
_MLFLOW_LENGTH = 6000  # characters of a parameter's value
# MLflow waits two minutes for a server and asks again seven times; its usage statistics go to its makers.
_MLFLOW_DEFAULTS = {
    "MLFLOW_TRACKING_URI": "file:mlruns",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class TrackedRun(Protocol):
    """A run in a tracker."""

    def begin(self, run_id: str | None, name: str, options: Mapping[str, str]) -> str:
        """Begin a run called `name`, or continue `run_id`; return its id."""

    def last_epoch(self) -> int:
        """Return the last epoch that was logged, from 0; -1 if none was."""

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        """Log the metrics of an epoch."""

    def stop(self) -> None:
        """Say that the training was interrupted."""

    def finish(self, values: Mapping[str, float], epoch: int, report: Path) -> None:
        """Log the metrics after the last epoch and a file, and say that the training is finished."""


class MlflowTracker:
    """A run in MLflow."""

    def begin(self, run_id: str | None, name: str, options: Mapping[str, str]) -> str:
        """See TrackedRun."""
        for variable, value in _MLFLOW_DEFAULTS.items():
            os.environ.setdefault(variable, value)
        if is_offline() and not os.environ["MLFLOW_TRACKING_URI"].startswith(("file:", "/", ".", "sqlite:")):
            raise PermissionError("FASTMRI_CLS_OFFLINE is set, and MLFLOW_TRACKING_URI is not on this machine")
        from mlflow import MlflowClient
        from mlflow.entities import Param

        self._client = MlflowClient()
        if run_id is None:
            experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT)
            known = self._client.get_experiment_by_name(experiment)
            number = known.experiment_id if known else self._client.create_experiment(experiment)
            run_id = self._client.create_run(number, run_name=name).info.run_id
            params = [Param(_mlflow_name(key), value[:_MLFLOW_LENGTH]) for key, value in options.items()]
            for first in range(0, len(params), _MLFLOW_PARAMETERS):
                self._client.log_batch(run_id, params=params[first : first + _MLFLOW_PARAMETERS])
        else:
            self._client.update_run(run_id, status="RUNNING")
        self._id = run_id
        return run_id

    def last_epoch(self) -> int:
        """See TrackedRun."""
        return int(self._client.get_run(self._id).data.metrics.get("epoch", -1))

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        """See TrackedRun."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(_mlflow_name(key), value, now, epoch) for key, value in values.items()]
        for first in range(0, len(metrics), _MLFLOW_METRICS):
            self._client.log_batch(self._id, metrics=metrics[first : first + _MLFLOW_METRICS])

    def stop(self) -> None:
        """See TrackedRun."""
        self._client.set_terminated(self._id, "KILLED")

    def finish(self, values: Mapping[str, float], epoch: int, report: Path) -> None:
        """See TrackedRun."""
        self.log(values, epoch)
        self._client.log_artifact(self._id, str(report))
        self._client.set_terminated(self._id, "FINISHED")


class WandbTracker:
    """A run in Weights & Biases."""

    def begin(self, run_id: str | None, name: str, options: Mapping[str, str]) -> str:
        """See TrackedRun."""
        import wandb

        self._wandb: Any = wandb
        if is_offline():
            os.environ["WANDB_MODE"] = "offline"
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", _PROJECT),
            name=name,
            id=run_id,
            resume="allow",
            config=dict(options),
            settings=wandb.Settings(console="off", silent=True, init_timeout=30, x_disable_stats=True),
        )
        self._run.define_metric("*", step_metric="epoch")
        return str(self._run.id)

    def last_epoch(self) -> int:
        """See TrackedRun."""
        return int(self._run.summary.get("epoch", -1))

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        """See TrackedRun."""
        self._run.log(dict(values))

    def stop(self) -> None:
        """See TrackedRun."""
        self._run.finish(exit_code=1)

    def finish(self, values: Mapping[str, float], epoch: int, report: Path) -> None:
        """See TrackedRun."""
        self._run.summary.update(dict(values))
        artifact = self._wandb.Artifact(f"report-{self._run.id}", type="report")
        artifact.add_file(str(report))
        self._run.log_artifact(artifact)
        self._run.finish()


def _mlflow_name(name: str) -> str:
    """Return a name with the characters that MLflow does not take replaced."""
    return re.sub(r"[^\w\-. :/]", "_", name)
