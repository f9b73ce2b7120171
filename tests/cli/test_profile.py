"""profile: its short answer adds up, and its trace opens in a real TensorBoard."""

import gzip
import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from fastmri_cls.benchmark.profile import PARTS, StepTimes, advice
from fastmri_cls.benchmark.trace import slowest_operations
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.private_api import xplane_pb2
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.protocol import resolve_protocol


@pytest.fixture(scope="module")
def profiled(cli, dataset, tmp_path_factory) -> tuple[Path, dict, str]:
    """A LOGDIR, the document of `profile --json`, and the text."""
    out = tmp_path_factory.mktemp("profiles") / "small"
    options = ("--steps", 4, "--batch-size", 16, "--precision", "float32", "--json")
    result = cli("profile", "--data", dataset, "--model", "small-cnn", "--out", out, *options)
    assert result.returncode == 0, result.stderr
    return out, json.loads(result.stdout), result.stderr


@pytest.mark.slow
def test_the_shares_of_a_step_add_up(profiled):
    _, result, printed = profiled
    assert list(result["shares"]) == list(PARTS)
    assert sum(result["shares"].values()) == pytest.approx(1)
    assert result["shares"]["forward and backward"] > result["shares"]["augmentation"]
    assert all(part in printed for part in PARTS)


def test_ten_operations_are_named_the_slowest_first(profiled):
    _, result, printed = profiled
    shares = [one["share"] for one in result["operations"]]
    assert len(shares) == 10
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 1
    slowest = result["operations"][0]
    assert "Conv2D" in slowest["type"]  # as everyone who trained a CNN knows
    assert slowest["type"].removeprefix("_MklNative") in printed
    assert slowest["calls"] % 4 == 0  # the same number in each of the four steps


@pytest.mark.slow
def test_the_trace_opens_in_tensorboard(profiled):
    pytest.importorskip("tensorboard_plugin_profile", reason="the extra profile is not installed")
    logdir, result, _ = profiled
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), "--port", "0", "--host", "127.0.0.1"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        address = next(m.group(1) for line in server.stderr if (m := re.search(r"at (http://[\d.:]+)", line)))

        def get(path: str) -> str:
            with urllib.request.urlopen(f"{address}/data/plugin/profile/{path}", timeout=120) as response:
                body = response.read()
            return (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).decode()

        (run,) = json.loads(get("runs"))
        tools = json.loads(get(f"run_tools?run={run}"))
        assert "overview_page" in tools
        (host,) = (path.name.removesuffix(".xplane.pb") for path in logdir.glob("plugins/profile/*/*.xplane.pb"))
        statistics = get(f"data?run={run}&tag=framework_op_stats&host={host}")
        # The plugin's own table, another way to sum up the trace, has our slowest operation too.
        assert result["operations"][0]["place"] in statistics
        assert "forward and backward" in get(f"data?run={run}&tag=trace_viewer&host={host}")
    finally:
        server.terminate()
        server.wait(timeout=20)


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [((40, 5, 55), "--cache ram"), ((1, 50, 49), "cheaper --augment"), ((1, 2, 97), "the model limits")],
)
def test_the_advice_follows_the_time(milliseconds, expected):
    import numpy as np

    options = TrainOptions(Path("d"), "convnext-tiny", Path("o"), resolve_protocol("strict", {}), cache="none")
    found = advice(StepTimes(np.array([milliseconds]) / 1000, 32), options, phase=2)
    assert expected in found[0]


def test_the_kernels_of_a_gpu_are_named_as_far_as_they_say(tmp_path):
    """A trace as a GPU leaves it: a kernel of an operation, one of XLA, one of a CUDA graph, and a sum of them."""
    space = xplane_pb2.XSpace()
    plane = space.planes.add(name="/device:GPU:0")
    for number, name in ((1, "tf_op"), (2, "hlo_op")):
        plane.stat_metadata[number].name = name
    stream, summary = plane.lines.add(name="Stream #13"), plane.lines.add(name="XLA Ops")
    events = (("ampere_bf16_conv", 5, {1: "model/block1/Conv2D:Conv2D"}), ("loop_fusion", 2, {2: "fusion.7"}),
              ("loop_fusion", 1, {2: "fusion.12"}), ("void cudnn::bn_fw<float, 4>(int)", 2, {}))  # fmt: skip
    for number, (name, milliseconds, stats) in enumerate(events):
        plane.event_metadata[number].name = name
        for line in (stream, summary):
            event = line.events.add(metadata_id=number, duration_ps=milliseconds * 10**9)
            for key, value in stats.items():
                event.stats.add(metadata_id=key, str_value=value)
    file = tmp_path / "plugins" / "profile" / "now" / "host.xplane.pb"
    file.parent.mkdir(parents=True)
    file.write_bytes(space.SerializeToString())
    found = slowest_operations(tmp_path)
    assert [(one.type, round(one.seconds, 6), one.calls, one.place) for one in found.slowest] == [
        ("Conv2D", 0.005, 1, "model/block1/Conv2D"),
        ("fusion", 0.003, 2, "fusion.7"),
        ("cudnn::bn_fw", 0.002, 1, "cudnn::bn_fw"),
    ]
    assert found.slowest[0].share == pytest.approx(0.5)
    assert found.unnamed == pytest.approx(0.2)


def test_a_folder_without_a_trace_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no trace"):
        slowest_operations(tmp_path)


def test_a_failed_profile_leaves_nothing(cli, dataset, tmp_path):
    result = cli("profile", "--data", dataset, "--model", "nonsense", "--out", tmp_path / "log")
    assert result.returncode == 1
    assert "nonsense" in result.stderr
    assert not list(tmp_path.iterdir())
