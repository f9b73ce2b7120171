"""What most tests share: two small phantom sources, a dataset built from them, and the command line."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def phantom_sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two sources in the public sets' layouts: 24 training and 8 test slices a class, bad files and copies included."""
    from fastmri_cls.sources.phantom import write_phantom_sources

    return write_phantom_sources(tmp_path_factory.mktemp("sources"), training=24, testing=8)


@pytest.fixture(scope="session")
def dataset(phantom_sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grouped dataset of the phantom sources, 64 px grey raw. Read it, never change it."""
    from fastmri_cls.records.build import BuildOptions, build_dataset
    from fastmri_cls.sources.classes import ClassNames
    from fastmri_cls.sources.folders import parse_sources

    out = tmp_path_factory.mktemp("datasets") / "grouped"
    sources = parse_sources([f"{name}={path}" for name, path in phantom_sources.items()])
    build_dataset(sources, ClassNames(), BuildOptions(image_size=64), out, workers=1)
    return out


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The real MRI sets; the test is skipped where they are absent."""
    if not (REAL_DATA / "nickparvar").is_dir():
        pytest.skip("the real MRI sets are not here")
    return REAL_DATA


@pytest.fixture(scope="session")
def cli() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `fastmri-cls ARGUMENTS...` in a process of its own; returns code, stdout and stderr."""

    def run(*arguments: object, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fastmri_cls", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)

    return run


@pytest.fixture(scope="session")
def phantom_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grouped dataset of 640 phantoms, 128 px grey raw: enough to learn from. Read it, never change it."""
    from fastmri_cls.records.build import BuildOptions, build_dataset
    from fastmri_cls.sources.classes import ClassNames
    from fastmri_cls.sources.folders import parse_sources
    from fastmri_cls.sources.phantom import write_phantom_sources

    folder = tmp_path_factory.mktemp("phantoms")
    sources = write_phantom_sources(folder / "sources", training=70, testing=10)
    arguments = [f"{name}={path}" for name, path in sources.items()]
    build_dataset(parse_sources(arguments), ClassNames(), BuildOptions(image_size=128), folder / "dataset", workers=1)
    return folder / "dataset"


@pytest.fixture(scope="session")
def trained_run(phantom_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RUN of small-cnn, evaluated, that tells the phantoms of `phantom_dataset` apart. Read it, never change it."""
    from fastmri_cls.experiment import run_experiment
    from fastmri_cls.runs.options import TrainOptions
    from fastmri_cls.runs.protocol import resolve_protocol

    out = tmp_path_factory.mktemp("runs") / "trained"
    protocol = resolve_protocol("strict", {"phase1_epochs": 8, "phase2_epochs": 2})
    found = run_experiment(TrainOptions(phantom_dataset, "small-cnn", out, protocol, precision="float32"))
    assert found
    assert found.metrics["pooled"].accuracy.value > 0.9
    return out
