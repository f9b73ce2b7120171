"""What a training shows: figures against a clock of our own, and a real training on a pseudo-terminal."""

import re
import time
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace

import pytest

from fastmri_cls.foundation.errors import Stopped, UserError
from fastmri_cls.foundation.progress import log, transient_bars
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.protocol import resolve_protocol
from fastmri_cls.training.checkpoint import Checkpoint, Checkpoints, Progress
from fastmri_cls.training.display import TrainingDisplay


@dataclass
class Clock:
    """Stands in for time.monotonic."""

    now: float = 1000.0
    lines: list[str] = field(default_factory=list)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("fastmri_cls.training.display.time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(log, "info", clock.lines.append)
    return clock


def test_rate_and_time_left_come_from_the_calls_after_the_first_and_are_told_every_30_seconds(clock):
    phase = resolve_protocol("strict", {"phase1_epochs": 3}).phase1
    training = SimpleNamespace(steps_per_epoch=64, batch_size=32)
    bars = transient_bars()
    assert bars.disable, "tests have no terminal"
    display = TrainingDisplay(phase, Progress(), SimpleNamespace(training=training), bars)

    def call(first: int, steps: int, seconds: float) -> None:
        display.on_train_batch_begin(first)
        clock.now += seconds
        display.on_train_batch_end(first + steps - 1)

    display.on_epoch_begin(0)
    call(0, 16, 16.0)  # builds its graph
    assert clock.lines == []
    call(16, 16, 8.0)
    call(32, 16, 8.0)
    # 32 steps of 32 images in 16 s; 16 steps of this epoch and two more epochs of 64 steps.
    assert clock.lines == ["phase 1   1/3  step 48/64  64/s  0:00:08 left in the epoch, at most 0:01:12 in the phase"]
    call(48, 16, 8.0)
    display.on_test_begin()
    clock.now += 20
    display.on_test_end()
    display.on_epoch_begin(1)
    call(0, 16, 8.0)
    # 48 steps, one epoch of 64, two validations of 20 s.
    assert clock.lines[1:] == [
        "phase 1   2/3  step 16/64  64/s  0:00:24 left in the epoch, at most 0:01:36 in the phase"
    ]


def test_after_the_deadline_the_next_call_is_saved_and_the_message_says_where(tmp_path):
    checkpoints = Checkpoints(tmp_path, deadline=time.monotonic())
    reached = Checkpoint(Progress(phase=2, epoch=3, step=16))
    with pytest.raises(Stopped, match="by --max-hours in phase 2, after 3 epochs and 16 steps; go on with") as stop:
        checkpoints.save(lambda: reached)
    assert stop.value.exit_code == 143
    assert Checkpoints(tmp_path).latest().progress == reached.progress


def test_hours_that_are_not_positive_are_refused(tmp_path):
    with pytest.raises(UserError, match="--max-hours 0: give a positive number"):
        TrainOptions(tmp_path, "small-cnn", tmp_path, resolve_protocol("strict", {}), max_hours=0)


@pytest.mark.slow
def test_on_a_terminal_something_changes_every_two_seconds_and_the_end_names_report_and_next_commands(
    command_server, dataset, tmp_path
):
    flags = ("--phase1-epochs", 1, "--phase2-epochs", 0, "--batch-size", 16, "--precision", "float32", "--xla", "off")
    code, written = command_server.run_in_terminal(
        "train", "--data", dataset, "--model", "small-cnn", "--out", tmp_path / "run", *flags
    )
    text = "".join(part for _, part in written)
    assert code == 0, text
    moments = [moment for moment, _ in written]
    assert max(later - sooner for sooner, later in pairwise(moments)) < 2.0
    plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text)
    assert re.search(r"small-cnn: [\d,]+ parameters, on CPU in float32; \d+ training and \d+ validation images", plain)
    assert re.search(r"epoch 1/1 +[━╸╺]+ +\d+/\d+ +validating", plain)
    assert re.search(r"phase 1 +[━╸╺]+ +\d+/\d+ +0:00:\d\d", plain)
    end = plain[plain.rindex("report: ") :].split()
    assert end[1] == str(tmp_path / "run" / "report.html")
    assert plain.count("next: ") == 2
