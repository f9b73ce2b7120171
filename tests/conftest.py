"""What most tests share: two small phantom sources, a dataset built from them, and the command line."""

import fcntl
import gc
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastmri_cls.foundation.onednn import prefer_onednn
from tests.command_server import CommandServer

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
prefer_onednn()  # a test module may import TensorFlow before a command does
# A script that runs the tests in its background has them, and the commands that they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
# As the command line does, see cli/app.py.
gc.set_threshold(50_000, 20, 20)

Shared = Callable[[str, Callable[[Path], object]], Path]

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"


# The files that take longest, from the longest on: over 40 seconds of processor time (2026-11).
_LONGEST = (
    "faults/test_workers.py", "training/test_distribution.py", "models/test_weights.py", "faults/test_resume.py",
    "study/test_run.py", "benchmark/test_scripts.py", "campaign/test_short.py", "training/test_host_traffic.py",
    "training/test_feature_views.py", "test_experiment.py", "test_privacy.py", "test_api.py",
    "inference/test_gradcam.py", "real/test_audit.py", "referee/test_referee.py", "training/test_recipe.py",
    "test_notebook.py", "hub/test_round_trip.py", "training/test_frozen_mode.py", "training/test_feature_training.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, then the other slow ones, so that no process is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    place = {Path(__file__).parent / name: number for number, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: (item.path not in slow, place.get(item.path, len(place))))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """Make a folder once for all processes of the run: shared(name, make) calls make(folder) in the first one."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = root / name, root / f"{name}.done"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return once


@pytest.fixture(scope="session")
def phantom_sources(shared: Shared) -> dict[str, Path]:
    """Two sources in the public sets' layouts: 24 training and 8 test slices a class, bad files and copies included."""
    from fastmri_cls.sources.phantom import write_phantom_sources

    folder = shared("sources", lambda folder: write_phantom_sources(folder, training=24, testing=8))
    return {path.name: path for path in sorted(folder.iterdir())}


@pytest.fixture(scope="session")
def dataset(phantom_sources: dict[str, Path], shared: Shared) -> Path:
    """A grouped dataset of the phantom sources, 64 px grey raw. Read it, never change it."""
    from fastmri_cls.records.build import BuildOptions, build_dataset
    from fastmri_cls.sources.classes import ClassNames
    from fastmri_cls.sources.folders import parse_sources

    def build(folder: Path) -> None:
        sources = parse_sources([f"{name}={path}" for name, path in phantom_sources.items()])
        build_dataset(sources, ClassNames(), BuildOptions(image_size=64), folder / "grouped", workers=1)

    return shared("datasets", build) / "grouped"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The real MRI sets; the test is skipped where they are absent."""
    if not (REAL_DATA / "nickparvar").is_dir():
        pytest.skip("the real MRI sets are not here")
    return REAL_DATA


@pytest.fixture(scope="session")
def command_server() -> Iterator[CommandServer]:
    """Runs commands in processes of their own."""
    with CommandServer() as server:
        yield server


@pytest.fixture(scope="session")
def cli(command_server: CommandServer) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `fastmri-cls ARGUMENTS...` in a process of its own; returns code, stdout and stderr."""
    return command_server.run


@pytest.fixture(scope="session")
def phantom_dataset(shared: Shared) -> Path:
    """A grouped dataset of 640 phantoms, 128 px grey raw: enough to learn from. Read it, never change it."""
    from fastmri_cls.records.build import BuildOptions, build_dataset
    from fastmri_cls.sources.classes import ClassNames
    from fastmri_cls.sources.folders import parse_sources
    from fastmri_cls.sources.phantom import write_phantom_sources

    def build(folder: Path) -> None:
        drawn = write_phantom_sources(folder / "sources", training=70, testing=10)
        sources = parse_sources([f"{name}={path}" for name, path in drawn.items()])
        build_dataset(sources, ClassNames(), BuildOptions(image_size=128), folder / "dataset", workers=1)

    return shared("phantoms", build) / "dataset"


@pytest.fixture(scope="session")
def trained_run(phantom_dataset: Path, shared: Shared) -> Path:
    """A RUN of small-cnn, evaluated, that tells the phantoms of `phantom_dataset` apart. Read it, never change it."""
    from fastmri_cls.experiment import run_experiment
    from fastmri_cls.runs.options import TrainOptions
    from fastmri_cls.runs.protocol import resolve_protocol

    def make(folder: Path) -> None:
        protocol = resolve_protocol("strict", {"phase1_epochs": 8, "phase2_epochs": 2})
        data, out = phantom_dataset, folder / "trained"
        found = run_experiment(TrainOptions(data, "small-cnn", out, protocol, precision="float32", xla="off"))
        assert found
        assert found.metrics["pooled"].accuracy.value > 0.9

    return shared("runs", make) / "trained"
