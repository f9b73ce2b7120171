"""`fastmri-cls audit` as its users meet it: folders or a dataset in; table, CSV, JSON, HTML out; whole or nothing."""

import csv
import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastmri_cls.auditing.report import sample_pairs
from fastmri_cls.auditing.run import audit
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.options import MetadataOptions
from fastmri_cls.sources.classes import ClassNames, read_classes
from fastmri_cls.sources.phantom import CLASSES, draw_phantom
from tests.html_pages import Page

COLUMNS = [
    "a_source", "a_path", "b_source", "b_path", "kind", "orientation", "similarity",
    "a_split", "b_split", "a_class", "b_class", "conflict", "group",
]  # fmt: skip


def rows_of(directory: Path) -> list[dict[str, str]]:
    with (directory / "audit.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def named(sources: dict[str, Path]) -> list[str]:
    return [f"{name}={path}" for name, path in sources.items()]


@pytest.fixture(scope="module")
def audited(phantom_sources, cli, tmp_path_factory) -> tuple[Path, str, str]:
    """An audit of the phantom sources by the command line with two workers: folder, standard output, standard error."""
    out = tmp_path_factory.mktemp("audits") / "phantoms"
    result = cli("audit", *named(phantom_sources), "--out", out, "--workers", 2, "--json")
    assert result.returncode == 0, result.stderr
    return out, result.stdout, result.stderr


def test_the_csv_has_every_pair_with_its_orientation(audited):
    rows = rows_of(audited[0])
    assert list(rows[0]) == COLUMNS
    assert [(row["a_path"], row["b_path"]) for row in rows] == [
        (f"Training/glioma/000{number}.png", f"Testing/glioma_tumor/copy-{number}.jpg") for number in range(4)
    ]
    for row in rows:
        assert (row["a_source"], row["b_source"], row["kind"], row["orientation"]) == ("alpha", "beta", "near", "hflip")
        assert (row["a_split"], row["b_split"], row["a_class"], row["b_class"]) == ("train", "test", "glioma", "glioma")
        assert row["conflict"] == "0"
        assert 0.98 < float(row["similarity"]) <= 1
    assert len({row["group"] for row in rows}) == 4


def test_the_table_the_json_line_and_audit_json_agree(audited):
    out, stdout, stderr = audited
    findings = json.loads((out / "audit.json").read_text(encoding="utf-8"))
    assert json.loads(stdout) == {"out": str(out), **findings}
    assert findings["pairs"]["all"]["pairs"] == findings["pairs"]["mirrored"]["across_sources"] == 4
    images = sum(sum(splits.values()) for splits in findings["images"].values())
    assert findings["groups"]["independent"] == images - 4
    assert findings["test_sets"]["beta"]["any"]["mirrored"] == 4
    assert findings["test_sets"]["beta"]["own"]["clean"] == findings["test_sets"]["beta"]["images"]
    assert re.search(r"mirrored +4 +0 +4 +4 +0", stderr)
    assert "copy-" not in stderr


def test_bad_files_are_counted_with_their_reasons_and_cost_nothing_else(audited):
    out, _, stderr = audited
    rejected = json.loads((out / "audit.json").read_text(encoding="utf-8"))["rejected"]
    assert {Path(file["path"]).name for file in rejected} == {"cut off.jpg", "empty.jpg", "notes.png"}
    assert all(file["reason"] for file in rejected)
    assert "rejected: 3 files" in stderr


def test_the_terminal_ends_with_the_report_and_the_next_command(audited):
    out, _, stderr = audited
    *_, report, following = stderr.splitlines()
    assert report == f"report: {out / 'audit.html'}"
    assert following.startswith("next: fastmri-cls build-tfrecords alpha=")


def test_the_next_command_takes_what_the_audit_was_told_of_patients(cli, phantom_sources, tmp_path):
    told = ("--patient-pattern", "(00[0-9]+)", "--inherit", "patients")
    ended = cli("audit", phantom_sources["alpha"], "--out", tmp_path / "out", *told)
    assert ended.returncode == 0, ended.stderr
    following = shlex.split(ended.stdout.splitlines()[-1])
    assert following[:3] == ["next:", "fastmri-cls", "build-tfrecords"]
    assert following[4:8] == list(told)


def test_baselines_without_learning_stand_for_each_test_set_and_all(audited):
    baselines = json.loads((audited[0] / "audit.json").read_text(encoding="utf-8"))["baselines"]
    assert list(baselines) == ["alpha", "beta", "pooled"]
    assert all(set(b) == {"majority class", "metadata only", "1-nearest neighbour"} for b in baselines.values())
    assert baselines["alpha"]["majority class"] == pytest.approx(0.25)


def test_the_html_needs_nothing_but_itself(audited):
    html = (audited[0] / "audit.html").read_text(encoding="utf-8")
    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", html)
    pictures = [link for link in links if link.startswith("data:image/jpeg")]
    assert len(pictures) == 8  # four pairs
    assert all(link.startswith("#") for link in links if link not in pictures)
    assert "<script" not in html
    assert "://" not in re.sub(r"data:image/[^\"]+", "", html)
    assert "Testing/glioma_tumor/copy-0.jpg" in html
    assert "mirrored left to right" in html
    page = Page(audited[0] / "audit.html")
    assert {address.removeprefix("#") for address in page.addresses if address.startswith("#")} <= page.ids


def test_the_page_says_what_leaks_and_what_to_do(audited):
    html = (audited[0] / "audit.html").read_text(encoding="utf-8")
    assert "Audit of alpha, beta" in html
    assert "Not a medical device" in html
    assert "4 of 36 test images of beta have a duplicate in training" in html
    assert "--split grouped" in html


def test_one_worker_finds_the_same(audited, phantom_sources, tmp_path):
    audit(named(phantom_sources), ClassNames(), tmp_path / "one", workers=1)
    for name in ("audit.csv", "audit.json", "audit.html"):
        assert (tmp_path / "one" / name).read_bytes() == (audited[0] / name).read_bytes()


@pytest.fixture(scope="module")
def conflicting(tmp_path_factory) -> Path:
    """A source without split folders: one slice under two classes, exactly; a name with a space, a comma, Unicode."""
    root = tmp_path_factory.mktemp("conflicting") / "kliniek é"
    rng = np.random.default_rng(11)
    for label in CLASSES[:2]:
        for number in range(4):
            path = root / label / f"scan {number}, ü.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw_phantom(label, rng, 160)[0]).save(path)
    shutil.copy(root / "glioma" / "scan 0, ü.png", root / "meningioma" / "again.png")
    return root


def test_conflicting_labels_are_told(conflicting, tmp_path):
    findings = audit([str(conflicting)], ClassNames(), tmp_path / "out", workers=1)
    (row,) = rows_of(tmp_path / "out")
    assert (row["kind"], row["orientation"], float(row["similarity"]), row["conflict"]) == ("exact", "id", 1.0, "1")
    assert {row["a_path"], row["b_path"]} == {"glioma/scan 0, ü.png", "meningioma/again.png"}
    assert (row["a_split"], row["b_split"]) == ("", "")
    assert findings["groups"]["conflicting"] == 1
    assert findings["pairs"]["exact"]["conflicting"] == 1
    assert findings["images"] == {"kliniek": {"all": 9}}
    assert findings["test_sets"] == findings["baselines"] == {}
    assert "Conflicting labels" in (tmp_path / "out" / "audit.html").read_text(encoding="utf-8")


def test_a_dataset_folder_is_audited_as_it_was_split(dataset, cli, tmp_path):
    result = cli("audit", dataset, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    findings = json.loads((tmp_path / "out" / "audit.json").read_text(encoding="utf-8"))
    manifest = json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))
    stored = {name: split["num_examples"] for name, split in manifest["splits"].items()}
    counted = {split: sum(s.get(split, 0) for s in findings["images"].values()) for split in ("train", "val")}
    assert counted == {"train": stored["train"], "val": stored["val"]}
    rows = rows_of(tmp_path / "out")
    assert len(rows) == findings["pairs"]["all"]["pairs"] == manifest["duplicates"]["near"]
    assert {row["orientation"] for row in rows} == {"hflip"}
    # What `grouped` promises, seen from outside: no copy of a test image is in training.
    assert all(row["a_split"] == row["b_split"] for row in rows)
    assert all(leaks["any"]["clean"] == leaks["images"] for leaks in findings["test_sets"].values())
    assert set(findings["baselines"]["pooled"]) == {"majority class", "1-nearest neighbour"}  # shards keep no metadata
    assert result.stdout.splitlines()[-1] == f"next: fastmri-cls train --data {dataset} --model small-cnn --out RUN"


def test_an_earlier_audit_is_replaced_only_by_force(conflicting, tmp_path):
    out = tmp_path / "out"
    audit([str(conflicting)], ClassNames(), out, workers=1)
    (out / "audit.csv").write_text("mine\n", encoding="utf-8")
    with pytest.raises(UserError, match="--force"):
        audit([str(conflicting)], ClassNames(), out, workers=1)
    assert (out / "audit.csv").read_text(encoding="utf-8") == "mine\n"
    audit([str(conflicting)], ClassNames(), out, workers=1, force=True)
    assert len(rows_of(out)) == 1


def test_force_replaces_nothing_but_an_audit(conflicting, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(UserError, match="holds none"):
        audit([str(conflicting)], ClassNames(), tmp_path, workers=1, force=True)
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize("place", [".", "glioma", ".."])
def test_the_audit_cannot_be_written_over_a_source(conflicting, place):
    with pytest.raises(UserError, match="overlaps"):
        audit([str(conflicting)], ClassNames(), conflicting / place, workers=1, force=True)
    assert (conflicting / "glioma" / "scan 0, ü.png").exists()


def test_an_audit_that_fails_leaves_nothing(conflicting, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fastmri_cls.auditing.run.write_audit_report", full)
    with pytest.raises(OSError, match="No space"):
        audit([str(conflicting)], ClassNames(), tmp_path / "out", workers=1)
    assert list(tmp_path.iterdir()) == []


def test_a_source_without_an_image_is_one_clear_line(cli, tmp_path):
    (tmp_path / "s" / "glioma").mkdir(parents=True)
    (tmp_path / "s" / "glioma" / "a.png").write_text("no image", encoding="utf-8")
    result = cli("audit", tmp_path / "s", "--out", tmp_path / "out")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "none of 1 files is an image" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_dataset_is_audited_alone(dataset, conflicting, tmp_path):
    with pytest.raises(UserError, match="audit it alone"):
        audit([str(dataset), str(conflicting)], ClassNames(), tmp_path / "out", workers=1)


def test_a_dataset_takes_neither_classes_nor_patients(dataset, tmp_path):
    (tmp_path / "classes.txt").write_text("glioma\nnotumor\n")
    for classes, metadata in (
        (read_classes(tmp_path / "classes.txt"), MetadataOptions()),
        (ClassNames(), MetadataOptions(patient_pattern="(.)")),
    ):
        with pytest.raises(UserError, match="is a dataset, whose classes and groups are fixed"):
            audit([str(dataset)], classes, tmp_path / "out", 1, metadata)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("out/patients.csv", "lies in --out .*out, which is made anew; choose a file beside it"),
        ("kept/../table.csv", "is a --table and would be replaced"),
        ("kept", "is a folder; give a file"),
    ],
)
def test_patients_are_written_neither_into_the_audit_nor_over_a_table(conflicting, tmp_path, name, message):
    (tmp_path / "table.csv").write_text("filename,patient\nglioma/scan 0, ü.png,1\n")
    (tmp_path / "kept").mkdir()
    metadata = MetadataOptions((f"kliniek={tmp_path / 'table.csv'}",), inherit="patients")
    with pytest.raises(UserError, match=message):
        audit([str(conflicting)], ClassNames(), tmp_path / "out", 1, metadata, write_patients=tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "table.csv"]


def test_a_source_without_a_path_is_not_the_current_folder(tmp_path):
    with pytest.raises(UserError, match="source 'mri=': names no folder"):
        audit(["mri="], ClassNames(), tmp_path / "out", workers=1)


def test_the_sample_shows_each_pair_once_conflicts_first_and_groups_in_turn(phantom_sources):
    from fastmri_cls.auditing.leakage import Columns
    from fastmri_cls.duplicates.pairs import Pair

    count = 80  # a clique of 40 images, and 40 images in pairs
    pairs = [Pair(a, b, "near", "id", 0.98 + a * 1e-4) for a in range(40) for b in range(a + 1, 40)]
    pairs += [Pair(a, a + 1, "near", "hflip" if a % 4 else "id", 0.999) for a in range(40, count, 2)]
    groups = np.array([0] * 40 + [a - a % 2 for a in range(40, count)])
    labels = np.array(["x"] * (count - 1) + ["y"])
    sections = dict(sample_pairs(pairs, groups, Columns(np.array(["s"] * count), np.array(["train"] * count), labels)))
    shown = [pair for chosen in sections.values() for pair in chosen]
    assert sections["Conflicting labels"] == [pairs[-1]]
    assert sections["Across splits"] == []
    assert len(shown) == len(set(shown)) <= 96
    assert all(pair.mirrored for pair in sections["Mirrored or turned"])
    least = sections["Least similar"]
    assert least[0] == pairs[0]
    assert len({int(groups[pair.a]) for pair in least}) > 5  # not the clique alone
