"""A study: its cells, what it keeps, what a broken cell does, how it is stopped and resumed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.build import build_dataset
from fastmri_cls.records.options import BuildOptions, SplitOptions
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import parse_sources
from fastmri_cls.study.plan import StudyOptions, plan, study_command
from fastmri_cls.study.run import run_study

pytestmark = pytest.mark.slow

FAKE_TRAIN = (str(Path(__file__).parents[1] / "fake_train.py"),)


@pytest.fixture(autouse=True)
def fake_train(monkeypatch):
    """Cells are made by tests/fake_train.py."""
    monkeypatch.setattr("fastmri_cls.study.cells.TRAIN", FAKE_TRAIN)


@pytest.fixture
def no_report(monkeypatch):
    """The comparison is made and nothing is drawn."""
    monkeypatch.setattr("fastmri_cls.study.run.write_comparison", lambda *_: None)


def options(data: Path, out: Path, **changes) -> StudyOptions:
    return StudyOptions(**{"data": (data,), "models": ("small-cnn",), "seeds": (0, 1), "out": out} | changes)


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every file below a folder."""
    return {str(p): (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def test_cells_are_models_times_seeds_with_a_first_seed_of_all_first(dataset, tmp_path):
    cells = plan(options(dataset, tmp_path, models=("small-cnn", "convnext-tiny")))
    names = ["small-cnn-seed0", "convnext-tiny-seed0", "small-cnn-seed1", "convnext-tiny-seed1"]
    assert [cell.name for cell in cells] == names
    assert cells[1].flags == [
        *("--data", str(dataset), "--model", "convnext-tiny", "--seed", "0"),
        *("--out", str(tmp_path / "runs" / "convnext-tiny-seed0"), "--resume"),
    ]


def test_ablations_are_flags_of_train(dataset, tmp_path):
    chosen = options(
        dataset, tmp_path, seeds=(0,), ablations=("contrast", "preprocessing"), train_flags=("--xla", "on")
    )
    cells = plan(chosen)
    assert [cell.name for cell in cells] == [
        "small-cnn-contrast1-own-seed0",
        "small-cnn-contrast1-keras-seed0",
        "small-cnn-contrast1.5-own-seed0",
        "small-cnn-contrast1.5-keras-seed0",
    ]
    assert cells[3].flags[:6] == ["--xla", "on", "--set", "contrast=1.5", "--set", "preprocessing=keras"]


def test_a_model_without_pretrained_weights_is_not_trained_from_scratch_twice(dataset, tmp_path):
    chosen = options(dataset, tmp_path, models=("small-cnn", "convnext-tiny"), seeds=(0,), ablations=("pretraining",))
    names = [cell.name for cell in plan(chosen)]
    assert names == ["small-cnn-seed0", "convnext-tiny-pretrained-seed0", "convnext-tiny-scratch-seed0"]


def test_a_model_may_bring_its_own_weights(dataset, tmp_path):
    models = ("small-cnn", "convnext-tiny=runs/own.keras", "convnext-tiny=none")
    cells = plan(options(dataset, tmp_path, models=models, seeds=(0,)))
    assert [cell.name for cell in cells] == [
        "small-cnn-seed0",
        "convnext-tiny-own.keras-seed0",
        "convnext-tiny-none-seed0",
    ]
    assert cells[1].flags[:2] == ["--weights", "runs/own.keras"]
    assert cells[1].flags[cells[1].flags.index("--model") + 1] == "convnext-tiny"
    assert "--weights" not in cells[0].flags


def test_the_command_of_a_study_has_all_its_flags_and_no_folder(tmp_path):
    chosen = options(
        tmp_path / "mri", tmp_path, models=("small-cnn", f"convnext-tiny={tmp_path}/own.keras"),
        ablations=("contrast",), train_flags=("--augment", "none"),
    )  # fmt: skip
    assert study_command(chosen) == (
        "fastmri-cls study --data mri --models small-cnn,convnext-tiny=own.keras --seeds 0,1 --ablate contrast "
        "--augment none --out DIR"
    )


def test_folds_of_the_dataset_are_cells(dataset, tmp_path, monkeypatch):
    folded = SimpleNamespace(manifest=SimpleNamespace(folds=3))
    monkeypatch.setattr("fastmri_cls.study.plan.Dataset", lambda data: folded)
    cells = plan(options(dataset, tmp_path, seeds=(7,)))
    assert [cell.name for cell in cells] == [f"small-cnn-seed7-fold{fold}" for fold in range(3)]
    assert cells[2].flags[:2] == ["--fold", "2"]


def test_two_datasets_are_an_axis_of_their_own(dataset, tmp_path):
    """The leakage ablation: one folder built with --leakage report, one with --leakage drop."""
    other = tmp_path / "dropped"
    other.symlink_to(dataset)
    cells = plan(StudyOptions((dataset, other), ("small-cnn",), (0,), tmp_path))
    assert [cell.name for cell in cells] == ["grouped-small-cnn-seed0", "dropped-small-cnn-seed0"]
    assert cells[1].flags[:2] == ["--data", str(other)]


def test_cells_of_one_name_are_refused_before_one_takes_the_others_run(dataset, tmp_path):
    namesake = tmp_path / "elsewhere" / dataset.name
    namesake.parent.mkdir()
    namesake.symlink_to(dataset)
    with pytest.raises(UserError, match="two cells would be called grouped-small-cnn-seed0, by the last part of their"):
        plan(StudyOptions((dataset, namesake), ("small-cnn",), (0,), tmp_path / "out"))
    weights = ("convnext-tiny=a/best.h5", "convnext-tiny=b/best.h5")
    with pytest.raises(UserError, match=r"two cells would be called convnext-tiny-best\.h5-seed0"):
        plan(options(dataset, tmp_path / "out", models=weights, seeds=(0,)))


def test_datasets_with_other_test_images_are_refused_before_anything_is_trained(
    dataset, phantom_sources, tmp_path, monkeypatch
):
    sources = parse_sources([f"{name}={path}" for name, path in phantom_sources.items()])
    build = BuildOptions(image_size=64, splitting=SplitOptions("grouped", seed=1))
    build_dataset(sources, ClassNames(), build, tmp_path / "other", workers=1)
    monkeypatch.setattr("fastmri_cls.study.run.train_cell", lambda *_: pytest.fail("a cell was trained"))
    with pytest.raises(
        UserError, match=r"other: has other test images than .*grouped \(\d+ in common, of \d+ and \d+\)"
    ):
        run_study(StudyOptions((dataset, tmp_path / "other"), ("small-cnn",), (0,), tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_study_ends_in_a_comparison_of_its_cells(dataset, tmp_path):
    found = run_study(options(dataset, tmp_path / "out", models=("small-cnn", "convnext-tiny")))
    assert [(system.name, len(system.runs)) for system in found.systems] == [("small-cnn", 2), ("convnext-tiny", 2)]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Study" in page
    repeated = f"fastmri-cls study --data {dataset.name} --models small-cnn,convnext-tiny --seeds 0,1 --out DIR"
    assert f"<code>{repeated}</code>" in page
    assert "fastmri-cls compare" not in page
    remembered = json.loads((tmp_path / "out" / "study.json").read_text())
    assert remembered["datasets"] == {str(dataset): Dataset(dataset).fingerprint}


def test_finished_cells_are_kept_and_new_seeds_added(dataset, tmp_path, no_report):
    out = tmp_path / "out"
    run_study(options(dataset, out))
    before = stamps(out / "runs")
    found = run_study(options(dataset, out, seeds=(0, 1, 2)))
    assert len(found.systems[0].runs) == 3
    assert {path: stamp for path, stamp in stamps(out / "runs").items() if path in before} == before


def flags_of(out: Path, name: str) -> list[str]:
    """The command line in a cell's log."""
    return (out / "logs" / f"{name}.log").read_text().splitlines()[0].removeprefix("$ fastmri-cls train ").split()


def test_auto_means_the_same_in_every_cell_of_a_model(dataset, tmp_path, monkeypatch, no_report):
    """However busy the machine is when the second seed begins: it is told what the first one measured."""
    out = tmp_path / "out"
    monkeypatch.setenv("FAKE_TRAIN_PRECISION", "mixed_bfloat16")
    run_study(options(dataset, out, seeds=(0,), models=("small-cnn",)))
    monkeypatch.setenv("FAKE_TRAIN_PRECISION", "float32")
    found = run_study(options(dataset, out, models=("small-cnn", "convnext-tiny")))
    assert "--precision" not in flags_of(out, "small-cnn-seed0")
    assert flags_of(out, "small-cnn-seed1")[:4] == ["--precision", "mixed_bfloat16", "--xla", "off"]
    assert "--precision" not in flags_of(out, "convnext-tiny-seed0")
    assert flags_of(out, "convnext-tiny-seed1")[:4] == ["--precision", "float32", "--xla", "off"]
    assert [len(system.runs) for system in found.systems] == [2, 2]


def test_a_cell_that_was_begun_keeps_its_own_precision(dataset, tmp_path, monkeypatch, no_report):
    out = tmp_path / "out"
    run_study(options(dataset, out))
    for name in ("small-cnn-seed1", "small-cnn-seed0"):
        (out / "runs" / name / "README.md").unlink()
    (out / "logs" / "small-cnn-seed1.log").unlink()
    monkeypatch.setenv("FAKE_TRAIN", "fail:small-cnn-seed1")
    with pytest.raises(UserError):
        run_study(options(dataset, out))
    assert "--precision" not in flags_of(out, "small-cnn-seed1")


def test_a_broken_cell_stops_no_other_and_is_reported_at_the_end(dataset, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setenv("FAKE_TRAIN", "fail:small-cnn-seed0")
    with pytest.raises(UserError, match=r"1 of 2 cells failed \(small-cnn-seed0: --weights nowhere\.h5: no such file"):
        run_study(options(dataset, out))
    assert (out / "runs" / "small-cnn-seed1" / "metrics.json").exists()
    assert "These runs failed and are not in this report: small-cnn-seed0" in (out / "report.html").read_text()
    monkeypatch.delenv("FAKE_TRAIN")
    assert len(run_study(options(dataset, out)).systems[0].runs) == 2


def test_a_cell_that_is_killed_is_reported_with_its_signal_and_log(dataset, tmp_path, monkeypatch, no_report):
    monkeypatch.setenv("FAKE_TRAIN", "crash:small-cnn-seed1")
    with pytest.raises(UserError, match=r"killed by signal 9, see .*small-cnn-seed1\.log"):
        run_study(options(dataset, tmp_path / "out"))


def test_a_study_of_failures_alone_says_so(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_TRAIN", "fail:small-cnn-seed0")
    with pytest.raises(UserError, match="every cell failed, the first with: --weights"):
        run_study(options(dataset, tmp_path / "out", seeds=(0,)))


def test_other_flags_need_another_folder(dataset, tmp_path, no_report):
    run_study(options(dataset, tmp_path / "out", seeds=(0,)))
    with pytest.raises(UserError, match="was begun with other train flags"):
        run_study(options(dataset, tmp_path / "out", seeds=(0,), train_flags=("--xla", "on")))


def test_a_folder_with_other_things_is_left_alone(dataset, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="exists already and is no study"):
        run_study(options(dataset, tmp_path, seeds=(0,)))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def start(data: Path, out: Path) -> subprocess.Popen[str]:
    """Start a study in a process of its own, whose second cell hangs; return once that cell runs."""
    code = (
        "from pathlib import Path\n"
        "from fastmri_cls.study import cells\n"
        "from fastmri_cls.study.plan import StudyOptions\n"
        "from fastmri_cls.study.run import run_study\n"
        "from fastmri_cls.foundation.errors import Stopped\n"
        f"cells.TRAIN = {FAKE_TRAIN!r}\n"
        "try:\n"
        f"    run_study(StudyOptions((Path({str(data)!r}),), ('small-cnn',), (0, 1), Path({str(out)!r})))\n"
        "except Stopped as stop:\n"
        "    print(stop)\n"
    )
    environment = os.environ | {"FAKE_TRAIN": "hang:small-cnn-seed1"}
    child = subprocess.Popen([sys.executable, "-c", code], env=environment, text=True, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not hanging_pid(out) and time.monotonic() < deadline:
        time.sleep(0.1)
    return child


def hanging_pid(out: Path) -> int | None:
    log = out / "logs" / "small-cnn-seed1.log"
    said = [line for line in log.read_text().splitlines() if line.startswith("pid ")] if log.exists() else []
    return int(said[-1].split()[1]) if said else None


def test_after_kill_9_the_finished_cell_is_untouched_and_the_other_done_again(dataset, tmp_path, no_report):
    out = tmp_path / "out"
    child = start(dataset, out)
    child.kill()
    child.communicate(timeout=60)
    os.kill(hanging_pid(out), signal.SIGKILL)
    before = stamps(out / "runs" / "small-cnn-seed0")
    assert len(before) >= 6
    assert not (out / "report.html").exists()
    found = run_study(options(dataset, out))
    assert stamps(out / "runs" / "small-cnn-seed0") == before
    assert len(found.systems[0].runs) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_study_ends_the_running_cell_too(dataset, tmp_path, number):
    out = tmp_path / "out"
    child = start(dataset, out)
    child.send_signal(number)
    said, _ = child.communicate(timeout=60)
    assert "the same command goes on" in said
    with pytest.raises(ProcessLookupError):
        os.kill(hanging_pid(out), 0)


def test_two_studies_in_one_folder_are_refused(dataset, tmp_path, no_report):
    out = tmp_path / "out"
    child = start(dataset, out)
    try:
        with pytest.raises(UserError, match="another"):
            run_study(options(dataset, out))
    finally:
        child.terminate()
        child.communicate(timeout=60)
