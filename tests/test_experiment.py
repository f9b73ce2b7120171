"""evaluate: where results go, and that those of a RUN on its own dataset are never replaced by others."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fastmri_cls import experiment
from fastmri_cls.dataset import Dataset
from fastmri_cls.experiment import evaluate
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.build import build_dataset
from fastmri_cls.records.options import BuildOptions, SplitOptions
from fastmri_cls.runs.config import new_config, write_config
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.protocol import PROTOCOLS
from fastmri_cls.runs.run import Run
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import parse_sources

pytestmark = pytest.mark.slow

RESULTS = ("predictions.csv", "metrics.json", "report.html", "README.md", "calibration.json", "ood_reference.npz")


def make_run(out: Path, dataset: Dataset) -> Path:
    """A RUN of an untrained small-cnn, as training leaves it."""
    from fastmri_cls.models.head import ClassifierOptions, build_classifier, float32_copy
    from fastmri_cls.models.registry import find_model

    out.mkdir(parents=True)
    options = TrainOptions(dataset.path, "small-cnn", out, PROTOCOLS["strict"], precision="float32", xla="off")
    write_config(out, new_config(options, dataset, None, ["/device:CPU:0"]))
    form = ClassifierOptions(len(dataset.classes), dataset.image_size, dataset.channels)
    float32_copy(build_classifier(find_model("small-cnn"), form)).model.save(out / "model.keras")
    (out / "history.csv").write_text(
        "phase,epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds,images_per_second\n"
        "1,1,1.4,0.25,1.4,0.25,0.001,2.0,100.0\n"
    )
    return out


@pytest.fixture(scope="module")
def own(dataset: Path) -> Dataset:
    return Dataset(dataset)


@pytest.fixture(scope="module")
def build_other(phantom_sources: dict[str, Path]) -> Callable[[Path, float], Dataset]:
    """Build a dataset of the same images and classes, split in another way."""

    def build(out: Path, test_fraction: float) -> Dataset:
        sources = parse_sources([f"{name}={path}" for name, path in phantom_sources.items()])
        options = BuildOptions(image_size=64, splitting=SplitOptions("grouped", test_fraction=test_fraction))
        build_dataset(sources, ClassNames(), options, out, workers=1)
        return Dataset(out)

    return build


@pytest.fixture(scope="module")
def other(build_other, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return build_other(tmp_path_factory.mktemp("somewhere") / "elsewhere", 0.5)


@pytest.fixture(scope="module")
def evaluated(own: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RUN evaluated on its own dataset. Copy it, never change it."""
    run = make_run(tmp_path_factory.mktemp("runs") / "run", own)
    evaluate(Run(run), own)
    return run


@pytest.fixture
def run(evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the RUN; evaluations of it draw no figures, which take most of their time."""
    monkeypatch.setattr(experiment, "_draw", lambda *_: {})
    return Path(shutil.copytree(evaluated, tmp_path / "run"))


def contents(folder: Path, names: tuple[str, ...] = RESULTS) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


def test_results_on_its_own_dataset_go_into_the_run(evaluated: Path, own: Dataset) -> None:
    opened = Run(evaluated)
    assert opened.is_finished
    assert opened.metrics.dataset.fingerprint == own.fingerprint
    assert len(opened.predictions) == own.count(own.manifest.test_splits)
    assert opened.calibration.num_images == own.count("val")
    assert opened.evaluations == {}


def test_another_dataset_gets_a_folder_of_its_own_and_the_runs_results_stay(run, own, other) -> None:
    before = contents(run)
    found = evaluate(Run(run), other)
    assert found.folder == run / "evaluations" / "elsewhere"
    assert contents(run) == before
    opened = Run(run)
    assert opened.metrics.dataset.fingerprint == own.fingerprint
    assert list(opened.evaluations) == ["elsewhere"]
    evaluation = opened.evaluations["elsewhere"]
    assert evaluation.metrics == found.metrics
    assert evaluation.metrics.dataset.fingerprint == other.fingerprint
    assert evaluation.metrics.temperature == opened.calibration.temperature
    assert len(evaluation.predictions) == other.count(other.manifest.test_splits)
    assert evaluation.config == opened.config


def test_a_dataset_of_test_images_alone_can_be_evaluated_on(evaluated, own, tmp_path) -> None:
    run = Path(shutil.copytree(evaluated, tmp_path / "run"))
    sources = Path(own.manifest.sources[0]["path"])
    shutil.copytree(sources / "Testing", tmp_path / "clinic" / "Testing")
    options = BuildOptions(image_size=64, splitting=SplitOptions("published"))
    build_dataset(
        parse_sources([f"clinic={tmp_path / 'clinic'}"]), ClassNames(), options, tmp_path / "tests", workers=1
    )
    data = Dataset(tmp_path / "tests")
    assert data.count("train") == 0
    found = evaluate(Run(run), data)
    assert found.metrics["clinic"].n == data.count("test.clinic")
    assert (found.folder / "report.html").exists()
    assert not (found.folder / "figures" / "augmented-examples.png").exists()


def test_its_own_dataset_in_another_place_is_its_own_dataset(run, own, tmp_path) -> None:
    moved = Dataset(shutil.copytree(own.path, tmp_path / "moved"))
    before = contents(run, ("predictions.csv", "calibration.json"))
    assert evaluate(Run(run), moved).folder == run
    assert contents(run, ("predictions.csv", "calibration.json")) == before
    assert not (run / "evaluations").exists()


def test_twice_on_another_dataset_is_one_evaluation(run, other) -> None:
    first = evaluate(Run(run), other)
    second = evaluate(Run(run), other)
    assert first == second
    assert list(Run(run).evaluations) == ["elsewhere"]


def test_two_datasets_of_one_name_do_not_replace_each_other(run, other, build_other, tmp_path) -> None:
    namesake = build_other(tmp_path / "elsewhere", 0.3)
    first = evaluate(Run(run), other)
    second = evaluate(Run(run), namesake)
    assert second.folder.name == f"elsewhere-{namesake.fingerprint[:8]}"
    found = {name: run.metrics.dataset.fingerprint for name, run in Run(run).evaluations.items()}
    assert found == {"elsewhere": other.fingerprint, second.folder.name: namesake.fingerprint}
    assert evaluate(Run(run), other).folder == first.folder
    assert evaluate(Run(run), namesake).folder == second.folder


def test_an_out_folder_gets_the_results_and_the_run_keeps_its_own(run, own, other, tmp_path) -> None:
    before = contents(run)
    assert evaluate(Run(run), other, tmp_path / "out").folder == tmp_path / "out"
    assert evaluate(Run(run), other, tmp_path / "out").folder == tmp_path / "out"
    assert evaluate(Run(run), own, tmp_path / "own").folder == tmp_path / "own"
    assert contents(run, RESULTS[:4]) == contents(run, RESULTS[:4]) | {name: before[name] for name in RESULTS[:4]}


def test_an_out_folder_with_other_results_is_refused_before_anything_is_computed(
    run, own, other, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(Run, "model", lambda self: pytest.fail("the model was loaded"))
    second = Path(shutil.copytree(run, tmp_path / "second"))
    earlier = Path(shutil.copytree(run, tmp_path / "earlier"))  # as an --out of an evaluation on `own`
    (earlier / "config.json").unlink()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "README.md").write_text("mine")
    for out, problem in (
        (run, "is a RUN, whose own results would be lost"),
        (second, "is a RUN"),
        (earlier, "exists already"),
        (tmp_path / "notes", "exists already"),
        (tmp_path / "notes" / "README.md", "is a file"),
    ):
        with pytest.raises(UserError, match=f"--out {out}: .*{problem}"):
            evaluate(Run(run), other, out)
    assert (tmp_path / "notes" / "README.md").read_text() == "mine"


def test_results_of_another_dataset_are_not_taken_for_the_runs_own(run, other) -> None:
    found = evaluate(Run(run), other)
    for name in ("metrics.json", "predictions.csv"):
        shutil.copy(found.folder / name, run / name)
    (run / "checksums.json").unlink()
    with pytest.raises(UserError, match=r"metrics\.json: has the results of another dataset .* run evaluate"):
        _ = Run(run).metrics


def test_an_edited_evaluation_is_noticed(run, other) -> None:
    folder = evaluate(Run(run), other).folder
    (folder / "predictions.csv").write_bytes((folder / "predictions.csv").read_bytes().replace(b"0.", b"0.1", 1))
    with pytest.raises(UserError, match=r"elsewhere/predictions\.csv: has changed since it was written"):
        _ = Run(folder).predictions
