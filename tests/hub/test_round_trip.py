"""Push, load and pull agree to 1e-6, and a planted name is found in no byte that left the machine."""

import gzip
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest

import fastmri_cls as fc
from fastmri_cls.hub.weights import load_weights
from fastmri_cls.records.images_csv import read_images_csv
from fastmri_cls.records.verify import find_problems
from fastmri_cls.runs.run import Run
from tests.hub.conftest import PLANTED
from tests.hub.fake_hub import Hub

pytest.importorskip("huggingface_hub")
pytestmark = pytest.mark.slow

NAME, DATA = "somebody/small-cnn", "somebody/scans"
ADDRESS = f"hf://{NAME}"
LOADED_WITHOUT_US = """
import sys
import keras, numpy as np
images = np.load(sys.argv[1])
np.save(sys.argv[2], keras.saving.load_model("hf://somebody/small-cnn").predict(images, verbose=0))
assert not [name for name in sys.modules if name.startswith("fastmri_cls")]
"""


def inside(content: bytes, depth: int = 0) -> Iterator[bytes]:
    """Yield bytes, what they inflate to, the members of an archive, and the names and attributes of an HDF5 file."""
    yield content
    if depth > 3:
        return
    if content[:2] == b"\x1f\x8b":
        yield from inside(gzip.decompress(content), depth + 1)
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from inside(archive.read(name), depth + 1)
    if content[:4] == b"\x89HDF":
        said: list[bytes] = []
        # A sample of the first bytes, which the client sends before the whole file, cannot be opened.
        with suppress(OSError), h5py.File(io.BytesIO(content)) as file:
            file.visititems(lambda name, item: said.append(repr((name, dict(item.attrs))).encode()))
        yield from said


def leaks(hub: Hub) -> list[bytes]:
    """Everything received that has the planted name in it, or a folder of this machine."""
    stored = [content for made in hub.repositories.values() for content in made.files.values()]
    stored += [name.encode() for made in hub.repositories.values() for name in made.files]
    traces = (PLANTED.encode(), b"/tmp/", b"pytest-of", str(Path.home()).encode() + b"/")
    found = [part for content in [*hub.received, *stored] for part in inside(content)]
    assert len(found) > 20
    return [part[:200] for part in found for trace in traces if trace.lower() in part.lower()]


def test_a_planted_name_would_be_found(planted: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(planted / "run" / "predictions.csv", "inner")
    assert any(PLANTED.encode() in part for part in inside(gzip.compress(packed.getvalue())))


def test_a_pushed_run_gives_the_same_probabilities_in_every_way_it_comes_back(
    planted: Path, hub: Hub, tmp_path: Path
) -> None:
    fc.push(planted / "run", NAME, license="cc-by-4.0")
    assert hub.repositories[f"models/{NAME}"].private
    assert leaks(hub) == []

    images = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 1)).astype(np.float32)
    expected = Run(planted / "run").model().predict(images, verbose=0)
    np.save(tmp_path / "images.npy", images)
    loaded = [sys.executable, "-c", LOADED_WITHOUT_US, tmp_path / "images.npy", tmp_path / "keras.npy"]
    result = subprocess.run(loaded, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    np.testing.assert_allclose(np.load(tmp_path / "keras.npy"), expected, atol=1e-6)

    pulled = fc.pull(NAME, tmp_path / "pulled")
    assert isinstance(pulled, Run)
    np.testing.assert_allclose(pulled.model().predict(images, verbose=0), expected, atol=1e-6)
    assert pulled.metrics.tests == Run(planted / "run").metrics.tests
    assert pulled.config.classes == ("ill", "well")

    scan = next((planted / f"{PLANTED}-scans").rglob("*_07.png"))
    ours, theirs, remote = (fc.predict(run, scan, calibrated=True)[0] for run in (planted / "run", pulled, ADDRESS))
    for found in (theirs, remote):
        np.testing.assert_allclose(found.probabilities, ours.probabilities, atol=1e-6)
        assert found.ood_score == pytest.approx(ours.ood_score, abs=1e-6)


def test_the_pulled_run_is_evaluated_and_pushed_again(planted: Path, hub: Hub, tmp_path: Path) -> None:
    fc.push(planted / "run", NAME, license="cc-by-4.0")
    pulled = fc.pull(NAME, tmp_path / "pulled")
    with pytest.raises(fc.UserError, match="is no finished RUN"):
        fc.push(pulled, "somebody/again", license="cc-by-4.0")
    found = fc.evaluate(pulled, planted / "data")
    assert found.folder == tmp_path / "pulled"
    assert found.metrics.tests == Run(planted / "run").metrics.tests
    hub.received.clear()
    fc.push(tmp_path / "pulled", NAME, license="mit", private=False)
    assert leaks(hub) == []
    assert b"license: mit" in hub.repositories[f"models/{NAME}"].files["README.md"]


def test_training_starts_from_the_weights_of_the_hub_and_says_which(
    planted: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fc.push(planted / "run", NAME, license="cc-by-4.0")
    commit = hub.repositories[f"models/{NAME}"].head
    run = fc.train(
        planted / "data",
        "small-cnn",
        tmp_path / "run",
        protocol=fc.Protocol.strict(phase1_epochs=1, phase2_epochs=0),
        weights=ADDRESS,
        precision="float32",
        xla="off",
    )
    assert run is not None
    assert run.config.loaded_weights is not None
    assert (run.config.weights, run.config.loaded_weights.path) == (ADDRESS, f"{ADDRESS}@{commit}")
    assert f"{ADDRESS}@{commit}" in (run.path / "README.md").read_text()
    assert f"--weights {ADDRESS} " in (run.path / "README.md").read_text()

    hub.requests.clear()
    monkeypatch.setenv("FASTMRI_CLS_OFFLINE", "1")
    from fastmri_cls.models.head import ClassifierOptions, build_classifier
    from fastmri_cls.models.registry import find_model

    options = ClassifierOptions(2, image_size=32, channels=1)
    classifier, earlier = (build_classifier(find_model("small-cnn"), options, fast=False) for _ in range(2))
    loaded = load_weights(classifier, ADDRESS)
    earlier.model.load_weights(planted / "run" / "model.keras")
    ours, theirs = (built.bases[0].get_weights() for built in (earlier, classifier))
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert loaded is not None
    assert loaded.path == f"{ADDRESS}@{commit}"
    made = fc.create_model("small-cnn", 2, image_size=32, weights=ADDRESS)
    theirs = next(layer for layer in made.layers if layer.name == earlier.bases[0].name).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert not hub.requests, "offline, the cache is enough"


def test_a_pushed_dataset_comes_back_with_the_same_images_and_without_a_name(
    planted: Path, hub: Hub, tmp_path: Path
) -> None:
    with pytest.raises(fc.UserError, match=r"60 images would leave this machine .*\(private\).*--yes"):
        fc.push(planted / "data", DATA, license="cc-by-4.0")
    assert hub.requests == []
    fc.push(planted / "data", DATA, license="cc-by-4.0", yes=True)
    assert hub.repositories[f"datasets/{DATA}"].private
    assert leaks(hub) == []

    pulled, original = fc.pull(f"datasets/{DATA}", tmp_path / "pulled"), fc.Dataset(planted / "data")
    assert isinstance(pulled, fc.Dataset)
    assert find_problems(pulled.path, pulled.manifest) == []
    assert list(pulled.splits) == list(original.splits)
    for split in original.splits:
        for (ours, facts), (theirs, others) in zip(original.records(split), pulled.records(split), strict=True):
            np.testing.assert_array_equal(ours, theirs)
            np.testing.assert_array_equal(facts.labels, others.labels)
            np.testing.assert_array_equal(facts.groups, others.groups)
    names = [row.filename for row in read_images_csv(pulled.path)]
    assert names == [f"{number:06}" for number in range(60)]
    assert pulled.manifest.patients == original.manifest.patients
    with pytest.raises(fc.UserError, match="was pulled from the hub"):
        fc.push(pulled, "somebody/again", license="cc-by-4.0", yes=True)


def test_the_card_keeps_the_results_of_every_test_set_apart(planted: Path, hub: Hub) -> None:
    from huggingface_hub import DatasetCard, ModelCard

    fc.push(planted / "run", NAME, license="cc-by-4.0")
    fc.push(planted / "data", DATA, license="apache-2.0", yes=True)
    card = ModelCard(hub.repositories[f"models/{NAME}"].files["README.md"].decode())
    metrics = Run(planted / "run").metrics
    values = {(r.dataset_name, r.metric_type): r.metric_value for r in card.data.eval_results}
    assert values["site", "accuracy"] == metrics["site"].accuracy.value
    assert {name for name, _ in values} == {name for name in metrics.tests if name != "mean"}
    assert (card.data.license, card.data.library_name) == ("cc-by-4.0", "keras")
    assert f'keras.saving.load_model("{ADDRESS}"' in card.text
    assert "model.keras" not in card.text.split("## Training data")[0], "the hub has another layout"
    assert "report.html" not in card.text
    about = DatasetCard(hub.repositories[f"datasets/{DATA}"].files["README.md"].decode())
    assert about.data.license == "apache-2.0"
    assert fc.Dataset(planted / "data").fingerprint in about.text


def test_the_command_line_says_where_it_is_and_what_comes_next(planted: Path, hub: Hub, cli, tmp_path: Path) -> None:
    pushed = cli("push", planted / "run", NAME, "--license", "cc-by-4.0", "--json")
    assert pushed.returncode == 0, pushed.stderr
    page = f"{hub.address}/{NAME}"
    assert json.loads(pushed.stdout) == {"repository": ADDRESS, "page": page, "private": True}
    assert f"next: fastmri-cls predict {ADDRESS} IMAGE..." in pushed.stderr
    pulled = cli("pull", ADDRESS, "--out", tmp_path / "pulled")
    assert pulled.returncode == 0, pulled.stderr
    assert pulled.stdout == f"RUN: {tmp_path / 'pulled'}\nnext: fastmri-cls predict {tmp_path / 'pulled'} IMAGE...\n"
    scan = next((planted / f"{PLANTED}-scans").rglob("*_07.png"))
    predicted = cli("predict", ADDRESS, scan)
    assert predicted.returncode == 0, predicted.stderr
    assert str(scan) in predicted.stdout
