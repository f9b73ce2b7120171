"""A RUN in a real TensorBoard on loopback: its pages and endpoints are fetched, as a browser does."""

import csv
import html
import io
import json
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics

from fastmri_cls.runs.predictions import read_predictions
from fastmri_cls.training.tensorboard import draw_confusion

RUN = "trained/tensorboard"
_JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def fetch(trained_run: Path) -> Iterator[Callable[..., bytes]]:
    """Return the body of `path?query` of a TensorBoard that shows the RUN's parent folder."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(trained_run.parent), "--port", "0"]
    options = ["--host", "127.0.0.1", "--load_fast", "false", "--samples_per_plugin", "images=100"]
    server = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    address = next(m.group(1) for line in server.stderr if (m := re.search(r"at (http://[\d.:]+)", line)))

    def get(path: str, body: dict | None = None, **query: object) -> bytes:
        url = f"{address}/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(url, data, _JSON), timeout=60) as response:
            return response.read()

    # The first load of the event files is done once the run is listed.
    for _ in range(120):
        if "trained/tensorboard" in json.loads(get("data/plugin/images/tags")):
            break
        time.sleep(0.5)
    yield get
    server.terminate()
    server.wait(timeout=20)


@pytest.mark.slow
def test_the_page_itself_is_served(fetch):
    assert b"<title>TensorBoard</title>" in fetch("")


def test_both_phases_are_on_one_axis_and_equal_history(fetch, trained_run):
    with (trained_run / "history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    assert {row["phase"] for row in history} == {"1", "2"}
    tags = json.loads(fetch("data/plugin/scalars/tags"))
    assert set(tags[f"{RUN}/validation"]) == {"epoch_loss", "epoch_accuracy"} < set(tags[f"{RUN}/train"])
    for name in tags[f"{RUN}/train"]:
        column = name.removeprefix("epoch_")
        boards = {f"{RUN}/train": column, f"{RUN}/validation": f"val_{column}"}
        for board, column in boards.items():
            if name in tags[board]:
                points = json.loads(fetch("data/plugin/scalars/scalars", run=board, tag=name))
                assert [step for _, step, _ in points] == list(range(len(history)))
                expected = [float(row[column]) for row in history]
                np.testing.assert_allclose([value for *_, value in points], expected, rtol=1e-6)


def test_config_and_command_are_texts(fetch, trained_run):
    assert set(json.loads(fetch("data/plugin/text/tags"))[RUN]) == {"command", "config"}
    for tag, name in (("config", "config.json"), ("command", "train.yaml")):
        ((entry),) = json.loads(fetch("data/plugin/text/text", run=RUN, tag=tag))
        shown = html.unescape(re.sub(r"<[^>]*>", "", entry["text"]))
        assert shown.strip() == (trained_run / name).read_text().strip()


def images_of(fetch: Callable[..., bytes], tag: str, sample: int) -> list[tuple[int, np.ndarray]]:
    entries = json.loads(fetch("data/plugin/images/images", run=RUN, tag=tag, sample=sample))
    return [
        (
            entry["step"],
            np.asarray(Image.open(io.BytesIO(fetch(f"data/plugin/images/individualImage?{entry['query']}")))),
        )
        for entry in entries
    ]


def test_augmented_batches_are_the_first_that_training_saw(fetch, phantom_dataset):
    tags = json.loads(fetch("data/plugin/images/tags"))[RUN]
    assert {
        f"augmented/batch {n}": {"displayName": "", "description": "", "samples": 8} for n in (1, 2, 3)
    }.keys() <= set(tags)
    ((step, image),) = images_of(fetch, "augmented/batch 1", 3)
    assert step == 0
    assert image.shape[:2] == (128, 128)

    import tensorflow as tf

    from fastmri_cls.augment.policies import Batch, make_augmentation
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.runs.protocol import resolve_protocol
    from fastmri_cls.training.data import load_training_data

    protocol = resolve_protocol("strict", {})
    training = load_training_data(Dataset(phantom_dataset), protocol, "ram", seed=0).training
    first = training.examples.fetch(next(iter(training.epoch(0))))
    key = tf.random.experimental.stateless_fold_in([0, 0], 0)
    batch = Batch(first["image"], tf.zeros([32, 4]), first["weight"])
    expected = make_augmentation("paper")(batch, key).images[3, ..., 0]
    np.testing.assert_array_equal(
        image if image.ndim == 2 else image[..., 0], np.clip(expected, 0, 255).astype(np.uint8)
    )


def test_the_confusion_matrix_of_every_epoch_is_drawn(fetch, trained_run):
    with (trained_run / "history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    drawn = dict(images_of(fetch, "validation/confusion matrix", 0))
    assert sorted(drawn) == list(range(len(history)))
    # The RUN kept the weights of phase 2's best epoch: what evaluate says of validation is what was drawn then.
    best = max(
        (i for i, row in enumerate(history) if row["phase"] == "2"), key=lambda i: float(history[i]["val_accuracy"])
    )
    validation = read_predictions(trained_run / "predictions-val.csv")
    counts = metrics.confusion_matrix(validation.labels, validation.predicted, labels=range(4))
    np.testing.assert_array_equal(drawn[best], draw_confusion(counts, validation.classes))


def test_hparams_list_the_options(fetch):
    experiment = json.loads(fetch("data/plugin/hparams/experiment", body={"experimentName": "", "hparamsLimit": 100}))
    names = {info["name"] for info in experiment["hparamInfos"]}
    assert {"model", "seed", "batch_size", "augment", "precision", "protocol"} <= names
    assert {"phase1_learning_rate", "phase1_max_epochs", "phase2_learning_rate", "phase2_max_epochs"} <= names
    metrics = {(info["name"].get("group", ""), info["name"]["tag"]) for info in experiment["metricInfos"]}
    assert {("", "test/pooled/accuracy"), ("train", "epoch_accuracy"), ("validation", "epoch_accuracy")} <= metrics


def test_the_drawn_matrix_is_dark_where_the_row_s_share_is_high():
    drawn = draw_confusion(np.array([[9, 1], [0, 0]]), ["a", "b"])
    corner = lambda row, column: drawn[24 + row * 56 + 4, 110 + column * 56 + 4].astype(int).sum()  # noqa: E731
    assert corner(0, 0) < corner(0, 1) < corner(1, 0) == 3 * 255
