"""The benchmark commands: what they print and how they fail."""

import json

import pytest
from typer.testing import CliRunner

from fastmri_cls.benchmark import inputs
from fastmri_cls.benchmark.measure import Result, Row
from fastmri_cls.cli.app import app


def test_the_document_is_the_result(monkeypatch, tmp_path):
    rows = (
        Row("generator", "theirs", 100.0, 90.0, 110.0, 1.0, "peer"),
        Row("ram", "ours", 7000.0, 6000.0, 8000.0, 70.0, "ours"),
    )
    environment = {"cores": 2, "processor": "some", "packages": {"tensorflow": "2"}}
    monkeypatch.setattr(inputs, "benchmark_input", lambda source, timing: Result("T", rows, "generator", environment))
    arguments = ["benchmark", "input", "--source", str(tmp_path), "--chart", str(tmp_path / "c.png"), "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "70.0" in done.stderr
    assert json.loads(done.stdout)["rows"][1]["ratio"] == 70
    assert (tmp_path / "c.png").stat().st_size > 1000


@pytest.mark.parametrize("command", ["input", "augment", "step", "memory"])
def test_a_missing_source_is_a_usage_error(cli, tmp_path, command):
    done = cli("benchmark", command, "--source", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "--source" in done.stderr  # the path itself may be broken over lines


@pytest.mark.parametrize("command", ["input", "augment"])
@pytest.mark.parametrize("name", ["chart", "chart.doc"])
def test_a_chart_that_is_no_png_is_refused_before_anything_is_measured(cli, tmp_path, command, name):
    done = cli("benchmark", command, "--source", tmp_path, "--chart", name)
    assert done.returncode == 1
    assert done.stderr == f"fastmri-cls: error: --chart {name}: is not a PNG file; give a name that ends in .png\n"


def test_a_source_without_class_folders_is_one_line(cli, tmp_path):
    done = cli("benchmark", "augment", "--source", tmp_path)
    assert done.returncode == 1
    assert "no class folders in it" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
