"""Workers that are stopped or killed: the others end with one clear line, and `--resume` finishes what they began."""

import csv
import importlib.util
import json
import signal
import subprocess
import sys
import time
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

from tests.campaign.runner import Running, Zygote
from tests.faults.test_resume import TRAINING, finish, wait_for_rows

pytestmark = pytest.mark.slow

LAUNCH = Path(__file__).parents[2] / "scripts" / "launch-workers"
NOTICED = 60  # seconds a worker may take to end after another was killed; it was 2 to 20


def launch_workers():
    """scripts/launch-workers as a module."""
    loader = SourceFileLoader("launch_workers", str(LAUNCH))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def tf_configs(count: int) -> list[str]:
    """TF_CONFIG of each of `count` workers on this machine."""
    workers = [f"127.0.0.1:{port}" for port in launch_workers().free_ports(count)]
    return [json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": i}}) for i in range(count)]


def arguments(dataset: Path, run: Path, *more: str) -> list[str]:
    return [
        "--data", str(dataset), "--model", "small-cnn", "--out", str(run), "--phase1-epochs", "4",
        "--phase2-epochs", "1", "--batch-size", "16", "--precision", "float32", "--xla", "off", "--resume", *more,
    ]  # fmt: skip


def start_both(zygote: Zygote, dataset: Path, run: Path) -> list[Running]:
    """The command on two workers, with a checkpoint after every two steps."""
    command = ("train", *arguments(dataset, run))
    return [zygote.start(*command, conditions=TRAINING, TF_CONFIG=config) for config in tf_configs(2)]


def epochs(run: Path) -> list[tuple[str, str]]:
    with (run / "history.csv").open(newline="") as file:
        return [(row["phase"], row["epoch"]) for row in csv.DictReader(file)]


def test_a_worker_that_is_stopped_or_killed_ends_the_other_and_resume_finishes(zygote, dataset, tmp_path):
    run = tmp_path / "run"

    chief, other = start_both(zygote, dataset, run)
    wait_for_rows(run, 1, chief)
    other.send(signal.SIGTERM)
    assert "go on with train --resume" in finish(chief, code=143)
    assert "go on with train --resume" in finish(other, code=143)
    done = len(epochs(run))
    assert 1 <= done <= 3

    chief, other = start_both(zygote, dataset, run)
    wait_for_rows(run, done + 1, chief)
    killed = time.monotonic()
    other.send(signal.SIGKILL)
    said = finish(chief, code=1).splitlines()
    assert time.monotonic() - killed < NOTICED
    assert "worker 1 is gone" in said[-1]
    assert "--resume" in said[-1]
    assert not [line for line in said if "Traceback" in line]
    assert any("going on from phase" in line for line in said)
    other.wait()
    assert not (run / "model.keras").exists()

    command = [sys.executable, str(LAUNCH), "2", "--", *arguments(dataset, run)]
    result = subprocess.run(command, text=True, capture_output=True, timeout=280, check=False)
    assert result.returncode == 0, result.stdout
    assert epochs(run) == [("1", "1"), ("1", "2"), ("1", "3"), ("1", "4"), ("2", "1")]
    assert (run / "report.html").exists()
    assert all(line.startswith(("[0] ", "[1] ")) for line in result.stdout.splitlines())


def test_a_run_goes_on_with_another_number_of_devices(zygote, dataset, tmp_path):
    """What was begun by two replicas is finished by one device: checkpoints are plain arrays."""
    run = tmp_path / "run"
    two = arguments(dataset, run, "--strategy", "mirrored", "--devices", "2")
    process = zygote.start("train", *two, conditions=TRAINING)
    wait_for_rows(run, 1, process)
    process.send(signal.SIGTERM)
    finish(process, code=143)
    output = finish(zygote.start("train", *arguments(dataset, run), conditions=TRAINING))
    assert "going on from phase" in output
    assert len(epochs(run)) == 5


@pytest.mark.parametrize(("given", "code"), [([], 2), (["two"], 2), (["2", "--", "--data", "nowhere"], 2)])
def test_the_launcher_returns_the_code_of_what_failed(given, code):
    result = subprocess.run(
        [sys.executable, str(LAUNCH), *given], text=True, capture_output=True, timeout=60, check=False
    )
    assert result.returncode == code
