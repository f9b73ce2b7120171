"""The short campaign, and that it could fail: what it judges as wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaign.kinds import BadInput, _verdict
from tests.campaign.plan import make_faults
from tests.campaign.runner import ROOT, Ended, differences, snapshot
from tests.campaign.victims import compare_results

pytestmark = pytest.mark.slow

LINE = "fastmri-cls: error: dataset.json: is damaged; rebuild"


def test_a_sample_of_bad_inputs_is_clear_and_of_faults_recovered() -> None:
    command = [sys.executable, "-m", "tests.campaign", "--short", "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    counts = json.loads(ended.stdout.splitlines()[-1])
    assert counts["bad_inputs"] == {"tried": 40, "clear": 40, "crash": 0}
    assert counts["faults"] == {"tried": 12, "recovered": 12, "lost": 0}


def test_the_whole_campaign_kills_at_least_a_hundred_times() -> None:
    assert sum(job.part == "kill -9" for job in make_faults(0)) >= 100


@pytest.mark.parametrize(
    ("code", "stderr", "wrong"),
    [
        (0, "", "exit code 0, not 1"),
        (2, LINE, "exit code 2, not 1"),
        (1, f"{LINE}\n{LINE}", "2 lines of error"),
        (1, "something went wrong", "0 lines of error"),
        (1, "fastmri-cls: error: something went wrong", "does not name 'dataset.json'"),
    ],
)
def test_an_error_that_is_not_one_line_with_the_files_name_is_wrong(code: int, stderr: str, wrong: str) -> None:
    bad = BadInput(("verify", "data"), says="dataset.json")
    assert wrong in _verdict(bad, Ended(code, "", stderr, 1.0))
    assert _verdict(bad, Ended(1, "", f"a note\n{LINE}\n", 1.0)) == ""


def test_a_traceback_a_signal_and_a_hang_are_crashes() -> None:
    assert "KeyError: 'x'" in Ended(1, "", "Traceback (most recent call last):\n  ...\nKeyError: 'x'\n", 1.0).crashed
    assert Ended(-11, "", "", 1.0).crashed == "ended by signal 11"
    assert "hung" in Ended(None, "", "", 1.0).crashed
    assert Ended(1, "", LINE, 1.0).crashed == ""


def test_what_is_left_behind_or_changed_is_seen(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("as before")
    (tmp_path / "changed").write_text("before")
    before = snapshot(tmp_path)
    (tmp_path / "changed").write_text("after")
    (tmp_path / "new").mkdir()
    assert differences(before, snapshot(tmp_path)) == ["changed", "new"]


def test_another_result_is_a_loss() -> None:
    assert compare_results((1, 2), (1, 2)) == ""
    assert "not that of a run left alone: 2 / 3" in compare_results((1, 2), (1, 3))
