"""report.html of a run: offline, navigable, readable by machines, and honest about baselines and leakage."""

import re
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn import metrics

from fastmri_cls.evaluation.metrics import set_metrics
from fastmri_cls.evaluation.statistics import DRAWS
from fastmri_cls.records.patient_counts import PatientCounts
from fastmri_cls.report import figures, run_tables
from fastmri_cls.report.drawing import GREYS
from fastmri_cls.report.evaluated import EvaluatedData
from fastmri_cls.report.findings import run_findings
from fastmri_cls.report.mistakes import find_mistakes
from fastmri_cls.report.pictures import render_all
from fastmri_cls.report.run_report import write_run_report
from fastmri_cls.runs.metrics import RunMetrics
from fastmri_cls.runs.protocol import PROTOCOLS
from fastmri_cls.runs.run import Run
from tests.comparison_runs import make_predictions, write_run
from tests.html_pages import Page

EVALUATED = EvaluatedData(
    name="mri",
    split="published",
    fingerprint="c" * 64,
    splits={"train": 40, "test.alpha": 100},
    clean={"alpha": (75, 100), "beta": (60, 60)},
    patients=None,
)

NO_IMAGES = SimpleNamespace(
    manifest=SimpleNamespace(test_splits=(), sources=[]),
    facts=lambda _: SimpleNamespace(sources=np.array([]), filenames=np.array([]), sha256=np.array([])),
    images=lambda *_: [],
)


def write(folder, classes=("glioma", "meningioma", "notumor", "pituitary"), **changed_metrics):
    """Write a run and its report; return the page's text and its structure."""
    tests = replace(make_predictions(), classes=classes)
    data = "/home/somebody/data/mri"
    run = Run(write_run(folder / "run", tests, protocol=asdict(PROTOCOLS["strict"]), data=data))
    pictures = render_all(
        {"Class accuracy": figures.class_accuracy(figures.figure_sets(tests), GREYS)}, {"class": classes}
    )
    changed = replace(run.metrics, **changed_metrics)
    mistakes = find_mistakes(tests, NO_IMAGES)
    write_run_report(folder / "report.html", run.config, changed, pictures, EVALUATED, mistakes)
    return (folder / "report.html").read_text(encoding="utf-8"), Page(folder / "report.html")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    baselines = {"pooled": {"majority class": 0.25, "1-nearest neighbour": 0.999}}
    return write(tmp_path_factory.mktemp("report"), baselines=baselines)


def test_the_page_needs_nothing_from_elsewhere_and_its_links_lead_somewhere(page):
    text, parsed = page
    assert parsed.needs == []
    assert not parsed.tags & {"script", "link", "iframe", "object"}
    targets = {address.removeprefix("#") for address in parsed.addresses if address.startswith("#")}
    assert targets
    assert targets <= parsed.ids
    assert {"main", "nav", "footer"} <= parsed.tags
    assert "Not a medical device" in text
    assert re.search(r"Made on \d{4}-\d\d-\d\d by fastmri-cls", text)


def test_tables_have_captions_and_scopes_and_scroll_by_keyboard(page):
    text, _ = page
    assert text.count("<table") == text.count("<caption") == text.count('<div class="scroll" role="region"')
    assert text.count("<th ") == text.count("<th scope=")
    assert all('tabindex="0"' in region for region in re.findall(r'<div class="scroll"[^>]*>', text))


def test_the_protocol_reads_as_options_not_as_python(page):
    text, parsed = page
    rows = dict(parsed.tables["Protocol options"])
    assert rows["phase 1 max epochs"] == "50"
    assert rows["clip norm"] == "none"
    assert rows["ema"] == "no"
    assert "{&#39;" not in text
    assert "None" not in text


def test_a_model_below_a_baseline_and_leakage_are_said(page):
    text, _ = page
    assert "The model is not more accurate than 1-nearest neighbour (0.999)" in text
    assert "25 of 100 test images of alpha have a duplicate, or their patient, in training or validation" in text


def test_what_is_known_of_patients_and_what_follows_for_the_intervals_is_said(page):
    assert "as far as known (this dataset does not record which)" in page[0]
    assert "which makes the intervals too narrow" in page[0]

    def grouping(known: int) -> str:
        counts = PatientCounts(known // 10, 100, known, {"table": known} if known else {}, 0, {})
        return replace(EVALUATED, patients=counts).grouping

    assert "as far as known (patients unknown: " in grouping(0)
    assert "(5 patients from table; of 50 images unknown: " in grouping(50)
    assert grouping(50).endswith("too narrow.")
    assert grouping(100).endswith("as far as known (10 patients from table).")


def test_a_run_on_another_dataset_does_not_claim_to_know_its_leaks(page):
    """The fingerprints of RUN and evaluated dataset differ."""
    said = "This model need not have been trained on the training split of mri, by which leakage and “-clean” go."
    assert said in page[0]
    assert "trained with precision float32, evaluated in float32" in page[0]


def test_the_note_below_the_sets_explains_what_is_shown_and_nothing_else(page):
    note = page[0].split("Metrics by test set", 1)[1].split('class="note-below">', 1)[1].split("</p>", 1)[0]
    assert "“pooled”" in note
    assert "“-clean”" in note
    assert "Without brackets" not in note
    tests = make_predictions()
    alpha = tests.where((tests.sources == "alpha") & tests.clean)
    alone = set_metrics(replace(alpha, groups=alpha.labels))
    note = run_tables.sets_table(
        RunMetrics({"alpha": alone, "pooled": alone, "mean": alone}, None, None, {}, None)
    ).note
    assert "“pooled”" not in note
    assert "“-clean”" not in note
    assert "Without brackets: all draws of the bootstrap give one value" in note


def test_a_run_that_was_selected_on_test_images_says_so(tmp_path):
    def findings(protocol: str, evaluated: EvaluatedData) -> list[str]:
        folder = tmp_path / protocol / evaluated.fingerprint[:1]
        run = Run(write_run(folder, make_predictions(), protocol=asdict(PROTOCOLS[protocol])))
        return run_findings(run.config, run.metrics, evaluated)

    own = replace(EVALUATED, fingerprint="f" * 64)
    assert findings("notebook", own)[-1].endswith("images of the first test set: the accuracy on it is too high.")
    assert findings("notebook", EVALUATED) == findings("strict", own) == []


def test_no_folder_of_somebodys_machine_is_told(page):
    assert "somebody" not in page[0]


def test_the_number_of_draws_is_the_one_used(page, monkeypatch, tmp_path):
    assert f"{DRAWS} draws" in page[0]
    monkeypatch.setattr(run_tables, "DRAWS", 17)
    assert "17 draws" in write(tmp_path)[0]


def test_a_picture_is_described_in_words_with_its_numbers(page):
    p = make_predictions()
    recall = metrics.recall_score(p.labels, p.predicted, average=None)
    pooled = "pooled: " + ", ".join(f"{name} {value:.2f}" for name, value in zip(p.classes, recall, strict=True))
    (alt,) = re.findall(r'role="img" aria-label="Class accuracy\. ([^"]*)"', page[0])
    assert alt.endswith(pooled + ".")


def test_the_first_sentence_has_the_accuracy_beside_the_baselines(page):
    lead = re.search(r'<p class="lead">([^;]*); (.*?\.) ', page[0])
    assert lead[1].startswith("small-cnn has an accuracy of ")
    assert lead[1].endswith("on 160 test images")
    assert (
        lead[2]
        == "baselines that learn nothing about the classes reach: majority class 0.250, 1-nearest neighbour 0.999."
    )


def test_the_command_repeats_the_run_and_names_no_folder(page):
    (command,) = re.findall(r"<code>(fastmri-cls train .*?)</code>", page[0])
    assert command == (
        "fastmri-cls train --data mri --model small-cnn --protocol strict --precision float32 --xla off --seed 0 "
        "--out NEW_RUN"
    )


def test_the_confusion_matrix_is_a_table_whose_numbers_lead_to_their_images(page):
    text, parsed = page
    p = make_predictions()
    table = parsed.tables["Confusion matrix of all test images; a number leads to its images"]
    found = [[int(cell.strip()) for cell in row[1:]] for row in table[1:]]
    np.testing.assert_array_equal(found, metrics.confusion_matrix(p.labels, p.predicted))
    assert len(re.findall(r'href="#confusion-\d-\d"', text)) == np.count_nonzero(found) - 4
    assert "Without heat maps: they need a Keras model whose layers give feature maps." in text


def test_names_of_classes_are_text_whatever_they_hold(tmp_path):
    text, parsed = write(tmp_path, classes=("<b>x</b>", "a|b", "胶质瘤", "سليم"))
    assert "<b>x</b>" not in text
    assert [row[0] for row in parsed.tables["Classes, test set pooled (160 images)"][1:]] == [
        "<b>x</b>",
        "a|b",
        "胶质瘤",
        "سليم",
    ]
