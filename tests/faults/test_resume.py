"""kill -9, SIGTERM and Ctrl-C: `--resume` ends in the very weights and history of the run left alone."""

import csv
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.signals import stop_requests
from fastmri_cls.training.checkpoint import Checkpoint, Checkpoints, Progress
from tests.campaign.runner import Conditions, Running, Zygote

pytestmark = pytest.mark.slow

# Without evaluation, with a checkpoint after every call of the graph instead of every minute, and calls of two steps.
TRAINING = Conditions(often=True, unevaluated=True)
LATE = replace(TRAINING, late=True)

Start = Callable[..., Running]


@pytest.fixture(scope="module")
def start(zygote: Zygote, dataset: Path) -> Start:
    """Start or go on with a training."""

    def run(out: Path, *more: object, conditions: Conditions = TRAINING) -> Running:
        return zygote.start(
            "train", "--data", dataset, "--model", "small-cnn", "--out", out, "--phase1-epochs", 2,
            "--phase2-epochs", 2, "--batch-size", 16, "--precision", "float32", "--xla", "off",
            "--deterministic", "--resume", *more, conditions=conditions,
        )  # fmt: skip

    return run


def finish(process: Running, code: int = 0) -> str:
    """Wait for its end; return what it said."""
    ended = process.wait(timeout=300)
    assert ended.code == code, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def rows(run: Path) -> list[list[str]]:
    """history.csv without its times."""
    with (run / "history.csv").open(newline="") as file:
        return [row[:-2] for row in csv.reader(file)]


def weights(run: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(run / "model.keras") as archive, archive.open("model.weights.h5") as file:
        h5py.File(file).visititems(
            lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    return found


def wait_for_rows(run: Path, count: int, process: Running) -> None:
    while process.is_alive:
        path = run / "history.csv"
        if path.exists() and len(path.read_text().splitlines()) > count:
            return
        time.sleep(0.02)
    raise AssertionError(process.wait())


@pytest.fixture(scope="module")
def left_alone(start, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "alone"
    finish(start(run))
    return run


def test_a_killed_run_resumes_to_the_same_bits(left_alone, start, tmp_path):
    run, rng = tmp_path / "killed", random.Random(4)
    for epochs in (1, 3):  # in phase 1, then in phase 2
        process = start(run)
        wait_for_rows(run, epochs, process)
        time.sleep(rng.uniform(0, 0.5))
        process.send(signal.SIGKILL)
        process.wait()
    finish(start(run))
    assert rows(run) == rows(left_alone)
    expected = weights(left_alone)
    for name, array in weights(run).items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


@pytest.mark.parametrize(("number", "name", "code"), [(signal.SIGTERM, "SIGTERM", 143), (signal.SIGINT, "Ctrl-C", 130)])
def test_a_stopped_run_is_saved_says_how_to_go_on_and_loses_nothing(left_alone, start, tmp_path, number, name, code):
    run = tmp_path / "stopped"
    process = start(run)
    wait_for_rows(run, 1, process)
    process.send(number)
    said = finish(process, code=code).splitlines()[-1]
    assert said == f"fastmri-cls: stopped by {name}; go on with train --resume and the same options"
    assert not (run / "model.keras").exists()
    assert len(list((run / "checkpoints").iterdir())) <= 2
    finish(start(run))
    assert rows(run) == rows(left_alone)


def test_a_run_stopped_by_max_hours_resumes_to_the_same_bits(left_alone, start, tmp_path):
    run = tmp_path / "late"
    said = finish(start(run, "--max-hours", 1, conditions=LATE), code=143).splitlines()[-1]
    assert "stopped by --max-hours in phase " in said
    assert not (run / "model.keras").exists()
    finish(start(run, "--max-hours", 1))
    assert rows(run) == rows(left_alone)
    expected = weights(left_alone)
    for name, array in weights(run).items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_a_second_ctrl_c_does_not_wait_for_the_checkpoint():
    asked = []
    with stop_requests(asked.append):
        signal.raise_signal(signal.SIGINT)
        assert asked == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_where_nothing_can_be_saved_says_interrupted():
    code = (
        "import os, signal\nfrom fastmri_cls.cli import app\n"
        "@app.app.command('wait')\ndef wait():\n    os.kill(os.getpid(), signal.SIGINT)\napp.main()"
    )
    result = subprocess.run([sys.executable, "-c", code, "wait"], capture_output=True, text=True, check=False)
    assert result.returncode == 130
    assert result.stderr == "fastmri-cls: interrupted\n"


def test_other_options_and_a_second_training_are_refused(left_alone, start):
    assert "begun with another seed" in finish(start(left_alone, "--seed", "1"), code=1)
    descriptor = os.open(left_alone, os.O_RDONLY)
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert "another training writes it" in finish(start(left_alone), code=1)
    finally:
        os.close(descriptor)


def test_a_flipped_byte_in_a_checkpoint_falls_back_to_the_one_before(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for epoch in range(3):
        arrays = [np.full((50, 50), epoch, np.float32)]
        checkpoints.save(lambda e=epoch, a=arrays: Checkpoint(Progress(epoch=e), model=a), force=True)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    assert checkpoints.latest().progress.epoch == 2
    content = bytearray(files[-1].read_bytes())
    content[len(content) // 2] ^= 1
    files[-1].write_bytes(content)
    latest = checkpoints.latest()
    assert latest.progress.epoch == 1
    np.testing.assert_array_equal(latest.model[0], np.full((50, 50), 1))
    files[0].write_bytes(b"")
    with pytest.raises(UserError, match="no checkpoint can be read"):
        checkpoints.latest()


def test_a_model_in_the_run_is_kerass_own_format(left_alone):
    model = keras.models.load_model(left_alone / "model.keras")
    assert model.input_shape == (None, 64, 64, 1)


def test_augmentation_never_ends_up_in_the_saved_model(left_alone):
    model = keras.models.load_model(left_alone / "model.keras")
    base = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    kinds = {type(layer) for layer in (*model.layers, *base.layers)}
    assert {kind.__module__.split(".")[0] for kind in kinds} == {"keras"}
    assert not [kind.__name__ for kind in kinds if "Random" in kind.__name__ or "Augment" in kind.__name__]
