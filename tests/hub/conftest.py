"""A hub on loopback, and a RUN and a dataset whose folders, files and patients carry a name to look for."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Shared
from tests.hub.fake_hub import TOKEN, Hub, hub_on_loopback

PLANTED = "PLANTED"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub that the client asks, here and in child processes; the user is signed in."""
    from huggingface_hub import constants

    with hub_on_loopback() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", running.address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        for name, value in {
            "HF_ENDPOINT": running.address,
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(tmp_path / "hf"),
            "FASTMRI_CLS_CACHE": str(tmp_path / "cache"),
        }.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture(scope="session")
def planted(shared: Shared) -> Path:
    """A folder with `scans`, `data` (a dataset of them) and `run` (trained on it), below a folder named PLANTED."""

    def make(folder: Path) -> None:
        from fastmri_cls.experiment import run_experiment
        from fastmri_cls.records.build import build_dataset
        from fastmri_cls.records.options import BuildOptions, MetadataOptions
        from fastmri_cls.runs.options import TrainOptions
        from fastmri_cls.runs.protocol import resolve_protocol
        from fastmri_cls.sources.classes import ClassNames
        from fastmri_cls.sources.folders import parse_sources

        home = folder / f"{PLANTED}-home"
        scans, rng = home / f"{PLANTED}-scans", np.random.default_rng(0)
        rows = []
        for name, level in (("ill", 200), ("well", 90)):
            (scans / name).mkdir(parents=True)
            for number in range(30):
                pixels = rng.integers(0, level, (32, 32)).astype(np.uint8)
                path = scans / name / f"{PLANTED}_Anna_{number:02}.png"
                Image.fromarray(pixels).save(path)
                rows.append((f"{name}/{path.name}", f"{PLANTED}-{name}-{number // 2}"))
        (scans / "ill" / f"{PLANTED}_cut.png").write_bytes(b"\x89PNG cut")
        table = home / f"{PLANTED}-patients.csv"
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([("filename", "patient"), *rows, (f"ill/{PLANTED}_cut.png", f"{PLANTED}-cut")])
        options = BuildOptions(image_size=32, metadata=MetadataOptions(table=(str(table),)))
        build_dataset(parse_sources([f"site={scans}"]), ClassNames(), options, home / "data", workers=1)
        protocol = resolve_protocol("strict", {"phase1_epochs": 1, "phase2_epochs": 0})
        train = TrainOptions(home / "data", "small-cnn", home / "run", protocol, precision="float32", xla="off")
        assert run_experiment(train)

    return shared("hub", make) / f"{PLANTED}-home"
