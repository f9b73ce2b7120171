"""A study on a Dask cluster: a lost worker costs time only, and `auto` is still decided once for each model."""

import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.study.cluster import _check_one_thread, _ready
from fastmri_cls.study.plan import Cell, StudyOptions
from fastmri_cls.study.run import run_study

distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
pytestmark = pytest.mark.slow

HUNG = "small-cnn-seed1"


@pytest.fixture(scope="module")
def scheduler():
    """The address of a cluster with two workers, in which the training of one cell hangs the first time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAKE_TRAIN", f"hang-once:{HUNG}")
        options = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "memory_limit": 0}
        with distributed.LocalCluster(n_workers=2, host="127.0.0.1", **options) as cluster:
            yield cluster.scheduler_address


def kill_the_worker_of_the_hung_cell(out: Path) -> None:
    log, deadline = out / "logs" / f"{HUNG}.log", time.monotonic() + 60
    while time.monotonic() < deadline:
        said = log.read_text().split("pid ") if log.exists() else []
        if len(said) > 1:
            os.kill(int(said[1].split()[2]), signal.SIGKILL)
            return
        time.sleep(0.1)


def test_a_cell_whose_worker_is_killed_is_trained_by_another(scheduler, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("fastmri_cls.study.cells.TRAIN", (str(Path(__file__).parents[1] / "fake_train.py"),))
    monkeypatch.setattr("fastmri_cls.study.run.write_comparison", lambda *_: None)
    killer = threading.Thread(target=kill_the_worker_of_the_hung_cell, args=(tmp_path / "out",))
    killer.start()
    found = run_study(StudyOptions((dataset,), ("small-cnn",), (0, 1, 2), tmp_path / "out", dask=scheduler))
    killer.join()
    assert len(found.systems[0].runs) == 3
    assert (tmp_path / "out" / "logs" / f"{HUNG}.log").read_text().count("pid ") == 1
    assert not list((tmp_path / "out").glob(".running-*"))


def test_a_worker_with_several_threads_is_refused():
    client = SimpleNamespace(nthreads=lambda: {"tcp://10.0.0.6:40": 1, "tcp://10.0.0.7:40": 2})
    with pytest.raises(UserError, match=r"worker tcp://10.0.0.7:40 has several threads .* workers with --nthreads 1"):
        _check_one_thread(client, "10.0.0.5")


def test_the_second_cell_of_a_model_waits_until_the_first_has_decided_precision(tmp_path):
    cells = [Cell(f"{model}-{n}", model, [], tmp_path / f"{model}-{n}", tmp_path) for n in "01" for model in "ab"]
    assert _ready(cells, cells) == [cells[0], cells[1]]
    cells[0].state = "running"
    assert _ready(cells[1:], cells) == [cells[1]]
    cells[0].state = "failed"
    assert _ready(cells[1:], cells) == [cells[1], cells[2]]
