"""How benchmarks are timed and shown: medians of rounds in turn, ratios to the first, what --json promises."""

import json
from itertools import count, cycle

import numpy as np
import pytest
from PIL import Image

from fastmri_cls.benchmark import measure
from fastmri_cls.benchmark.measure import Candidate, Timing, run, write_chart


@pytest.fixture
def clock(monkeypatch):
    """A clock that only batches move."""
    now = [0.0]
    monkeypatch.setattr(measure.time, "perf_counter", lambda: now[0])
    return now


def candidate(name, clock, seconds_a_round, opened, batch_size=10, kind="peer"):
    rounds = cycle(seconds_a_round)

    def open_batches():
        opened.append(name)
        seconds = next(rounds)
        for number in count():
            # Starting up is slow and must not count.
            clock[0] += 100.0 if number == 0 else seconds
            yield number

    return Candidate(name, open_batches, name, batch_size, kind)


def test_rates_are_medians_of_rounds_in_turn_without_the_warm_up(clock):
    opened = []
    candidates = [
        candidate("generator", clock, [1.0, 2.0, 4.0], opened),
        candidate("ram", clock, [0.01, 0.02, 0.01], opened),
    ]
    result = run("title", candidates, Timing(rounds=3, seconds=10, min_batches=2, warm_up=1))
    generator, ram = result.rows
    assert opened == ["generator", "ram"] * 3
    assert generator.images_per_second == pytest.approx(5)  # 10 images in 2 s
    assert (generator.slowest, generator.fastest) == (pytest.approx(2.5), pytest.approx(10))
    assert ram.images_per_second == pytest.approx(1000)
    assert ram.ratio == pytest.approx(100)  # 1000 to 10, 500 to 5, 1000 to 2.5: each round for itself
    assert generator.ratio == 1


def test_the_json_names_rows_baseline_and_environment(clock):
    result = run("title", [candidate("generator", clock, [1.0], [])], Timing(rounds=1, seconds=1, warm_up=1))
    found = json.loads(result.to_json())
    assert found["baseline"] == "generator"
    assert found["rows"][0]["name"] == "generator"
    assert found["rows"][0]["images_per_second"] == pytest.approx(10)
    assert found["rows"][0]["ratio"] == 1
    assert found["environment"]["cores"] >= 1
    assert "tensorflow" in found["environment"]["packages"]


def test_the_chart_has_a_bar_a_row(clock, tmp_path):
    rows = [candidate("generator", clock, [1.0], []), candidate("ram", clock, [0.01], [], kind="ours")]
    result = run("title", rows, Timing(rounds=1, seconds=1, warm_up=1))
    write_chart(result, tmp_path / "bars.png")
    pixels = np.asarray(Image.open(tmp_path / "bars.png").convert("RGB")).reshape(-1, 3)
    for colour in ((0xE6, 0x9F, 0x00), (0x00, 0x72, 0xB2)):  # a peer, a tier
        assert np.sum(np.all(pixels == colour, axis=1)) > 500
