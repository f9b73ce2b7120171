"""benchmarks/peers: candidates take turns in processes of their own, and nothing is left out without its reason."""

import importlib
import json
from itertools import chain
from pathlib import Path

import pytest

from fastmri_cls.benchmark.measure import Timing

PEERS = Path(__file__).parents[2] / "benchmarks" / "peers"
FAKES = "tests.benchmark.peer_workloads"


@pytest.fixture
def turns(monkeypatch):
    monkeypatch.syspath_prepend(PEERS)
    return importlib.import_module("turns")


def plan(turns, rounds, trial=1):
    return turns.Plan(rounds, Timing(seconds=0, min_batches=1, warm_up=0), trial)


def test_candidates_take_turns_and_are_compared_with_the_best_peer(turns, tmp_path):
    diary = tmp_path / "diary"

    def sleeper(name, seconds, kind):
        arguments = {"seconds": seconds, "diary": str(diary), "name": name}
        return turns.Candidate(name, f"{FAKES}:sleeper", arguments, name, packages=("numpy",), kind=kind)

    candidates = [sleeper("a", 0.02, "ours"), sleeper("b", 0.16, "peer"), sleeper("c", 0.08, "peer")]
    table = turns.measure("title", candidates, plan(turns, rounds=3))
    order = diary.read_text()
    assert sorted(order[:3]) == ["a", "b", "c"]  # the trials, all at once
    assert order[3:] == "abc" * 3
    assert table.result.baseline == "c"
    ours, slow, best = table.result.rows
    assert 1.3 < ours.ratio < 6
    assert 0.3 < slow.ratio < 0.9
    assert best.ratio == 1
    assert 50 < ours.images_per_second < 500  # 10 images in .02 s, beside other tests
    assert table.versions["numpy"][0].isdigit()
    assert not table.skipped


def test_whoever_cannot_be_measured_is_named_with_the_reason_and_the_others_go_on(turns, tmp_path, capsys):
    def one(name, function, environment=None, **arguments):
        return turns.Candidate(name, f"{FAKES}:{function}", arguments, name, environment)

    candidates = [
        one("well", "finder", found=str(tmp_path / "found")),
        one("absent", "finder", environment="nowhere", found=""),
        one("broken", "needs_a_library"),
        one("tired", "failing", after=2, how="raises"),
        one("killed", "failing", after=2, how="killed"),
    ]
    table = turns.measure("title", candidates, plan(turns, rounds=3))
    assert [row.name for row in table.result.rows] == ["well"]
    assert table.skipped == {
        "absent": "not installed; python benchmarks/peers/environments.py nowhere",
        "broken": "ModuleNotFoundError: No module named 'a_library_that_nobody_has'",
        "tired": "round 2: ValueError: the third batch is bad",
        "killed": "round 2: ended by signal 9",
    }
    turns.print_table(table)
    assert "skipped: tired: round 2: ValueError" in capsys.readouterr().out
    document = turns.document([table])
    assert [(row["table"], row["name"], row["ratio"]) for row in document["rows"]] == [("title", "well", 1)]
    assert document["skipped"][1] == {"table": "title", "name": "broken", "reason": table.skipped["broken"]}
    assert document["environment"]["cores"] >= 1
    assert json.loads((tmp_path / "found").read_text()) == [["a", "b"]]


def test_a_table_in_which_nothing_runs_is_still_written(turns, tmp_path, capsys):
    missing = turns.Candidate("absent", f"{FAKES}:finder", {}, "", "nowhere")
    file = tmp_path / "results.json"
    turns.run((turns.measure("title", [missing], plan(turns, 1)) for _ in range(1)), file)
    assert json.loads(file.read_text())["rows"] == []
    assert "skipped: absent" in capsys.readouterr().out


def test_every_candidate_of_the_programs_has_a_workload_and_a_requirement_file(turns, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(PEERS.parents[1])
    environments = importlib.import_module("environments")
    training, inference, duplicates, inputs = map(
        importlib.import_module, ("training", "inference", "duplicates", "input")
    )
    datasets = dict.fromkeys(("raw", "jpeg"), tmp_path)
    found = [
        training.candidates("convnext-tiny", 1, 224, 32, list(training.POLICIES)),
        inference.candidates(tmp_path, 32),
        duplicates.candidates(tmp_path),
        inputs.candidates(datasets, tmp_path),
    ]
    for candidate in chain.from_iterable(found):
        module, _, function = candidate.workload.partition(":")
        source = PEERS.parents[1] / f"{module.replace('.', '/')}.py"
        assert f"\ndef {function}(" in source.read_text(), candidate.name
        assert candidate.environment in (None, *environments.names()), candidate.name
        assert (candidate.kind == "ours") == (candidate.environment is None), candidate.name
    for table in found:
        assert {"ours", "peer"} == {candidate.kind for candidate in table}
