"""Several replicas and workers: one device's weights, rows shared without overlap, one writer, clear refusals.

TensorFlow's devices are fixed once it has begun, so trainings run in processes of their own (same_steps.py).
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from fastmri_cls.augment.batch import Batch, ReplicaSlice
from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.pipeline.batches import EvaluationBatches, TrainingBatches
from fastmri_cls.pipeline.examples import Selection, WorkerShard
from fastmri_cls.pipeline.tiers import choose_tier, open_examples
from fastmri_cls.records.manifest import read_manifest
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.protocol import resolve_protocol
from fastmri_cls.training import distribution
from fastmri_cls.training.distribution import DistributedContext, check_fits, make_distribution
from tests.faults.test_resume import weights
from tests.faults.test_workers import tf_configs

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("same_steps.py")


def start(data: Path, out: Path, kind: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROGRAM), str(data), str(out), kind]
    return subprocess.Popen(
        command, env={**os.environ, **environment}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=560)
    assert process.returncode == 0, output
    return output


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    """The folder of RUNs: on one device, on two replicas, and by two workers, each of which was given another OUT."""
    root = tmp_path_factory.mktemp("strategies")
    cache = {"FASTMRI_CLS_CACHE": str(root / "cache")}
    finish(start(dataset, root, "machine", **cache))
    outs = ("workers", "second-worker")
    configs = tf_configs(2)
    workers = [start(dataset, root / out, "worker", TF_CONFIG=c, **cache) for out, c in zip(outs, configs, strict=True)]
    for worker in workers:
        finish(worker)
    return root


def numbers(run: Path) -> list[list[float]]:
    """history.csv without its times."""
    with (run / "history.csv").open(newline="") as file:
        return [[float(value) for value in row[:-2]] for row in list(csv.reader(file))[1:]]


@pytest.mark.parametrize("run", ["two/scratch", "workers/scratch", "two/compiled", "two/views"])
def test_several_replicas_end_where_one_device_does(trained, run):
    one = trained / "one" / Path(run).name
    assert len(numbers(one)) == 2
    np.testing.assert_allclose(numbers(trained / run), numbers(one), rtol=1e-5, atol=1e-6)
    expected = weights(one)
    found = weights(trained / run)
    assert found.keys() == expected.keys()
    for name, array in found.items():
        np.testing.assert_allclose(array, expected[name], atol=1e-5, rtol=0, err_msg=name)


def test_only_the_chief_writes(trained):
    assert not (trained / "second-worker").exists()
    written = {path.name for path in (trained / "workers" / "scratch").iterdir()}
    assert {"config.json", "history.csv", "train.log", "checkpoints", "tensorboard", "model.keras"} <= written


def test_config_says_what_it_ran_on(trained):
    def config(run: str) -> tuple[str, int, int, int]:
        found = json.loads((trained / run / "scratch" / "config.json").read_text())
        return found["strategy"], found["workers"], found["replicas"], len(found["devices"])

    assert config("one")[:3] == ("single", 1, 1)
    assert config("two") == ("mirrored", 1, 2, 2)
    assert config("workers") == ("multiworker", 2, 2, 2)


def test_a_saved_model_does_not_ask_for_replicas(trained):
    model = keras.models.load_model(trained / "two" / "scratch" / "model.keras")
    normalizations = [one for one in model._flatten_layers() if isinstance(one, keras.layers.BatchNormalization)]
    assert len(normalizations) > 10
    assert not [one.name for one in normalizations if one.get_config()["synchronized"]]


@pytest.fixture(params=["none", "ram"])
def opened(dataset, request):
    """Open a split in the tier for a share of the rows."""
    manifest = read_manifest(dataset)
    return lambda split, worker: open_examples(dataset, manifest, Selection((split,)), request.param, worker)


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_read_the_same_batches_each_its_own_rows(opened, workers):
    def training(worker: WorkerShard) -> list[dict[str, np.ndarray]]:
        batches = TrainingBatches(opened("train", worker), 8, 5, [1.0, 2.0, 3.0, 4.0], seed=3, worker=worker)
        return list(batches.epoch(1, first_step=2).as_numpy_iterator())

    def evaluation(worker: WorkerShard) -> list[dict[str, np.ndarray]]:
        return list(EvaluationBatches(opened("val", worker), 16, worker).epoch(0).as_numpy_iterator())

    for read in (training, evaluation):
        parts = [read(WorkerShard(index, workers)) for index in range(workers)]
        whole = read(WorkerShard())
        assert len(whole) >= 3
        assert {len(part) for part in parts} == {len(whole)}
        for step, batch in enumerate(whole):
            for name in ("image", "label", "weight"):
                joined = np.concatenate([part[step][name] for part in parts])
                present = batch["weight"] > 0  # what fills up the last batch is nothing
                np.testing.assert_array_equal(joined[present], batch[name][present])
            np.testing.assert_array_equal(np.concatenate([part[step]["weight"] for part in parts]), batch["weight"])


@pytest.mark.parametrize("endless", [False, True])
def test_the_files_of_a_step_are_those_whose_pixels_it_had(opened, endless):
    examples = opened("train", WorkerShard())
    images = np.concatenate([batch["image"] for batch in examples.in_order(8).as_numpy_iterator()])
    pixels = {name: image.tobytes() for name, image in zip(examples.files(), images, strict=True)}
    assert len(pixels) == examples.count
    batches = TrainingBatches(examples, 8, examples.count // 8 + 2 * endless, [1.0] * 4, seed=3, endless=endless)
    for step, batch in enumerate(batches.epoch(1).as_numpy_iterator()):
        if step in (0, 3, batches.steps_per_epoch - 1):
            assert [pixels[name] for name in batches.files(1, step)] == [image.tobytes() for image in batch["image"]]


def augmented(policy: str, images: np.ndarray, rows: ReplicaSlice | None = None) -> np.ndarray:
    batch = Batch(tf.constant(images), tf.one_hot([0, 1] * (len(images) // 2), 4), tf.ones(len(images)))
    seed = tf.constant([1, 2])
    augment = make_augmentation(policy)
    return (augment(batch, seed, rows) if rows else augment(batch, seed)).images.numpy()


def some_images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, 32, 32, 1)).astype(np.uint8)


@pytest.mark.parametrize("policy", ["paper", "paper+flip"])
def test_replicas_augment_as_one_device_does(policy):
    images = some_images(8)
    parts = [augmented(policy, images[2 * r : 2 * r + 2], ReplicaSlice(tf.constant(r), 4)) for r in range(4)]
    np.testing.assert_array_equal(np.concatenate(parts), augmented(policy, images))


@pytest.mark.parametrize("policy", ["randaugment", "cutmix"])
def test_replicas_draw_their_own_where_one_choice_serves_a_batch(policy):
    images = some_images(2)
    first, second = (augmented(policy, images, ReplicaSlice(tf.constant(r), 2)) for r in range(2))
    np.testing.assert_array_equal(first, augmented(policy, images, ReplicaSlice(tf.constant(0), 2)))
    assert not np.array_equal(first, second)


CLUSTER = {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}


@pytest.mark.parametrize(
    ("requested", "devices", "config", "message"),
    [
        ("single", 2, None, "--devices 2: --strategy single has one device"),
        ("multiworker", None, None, "neither TF_CONFIG nor SLURM's variables name several workers"),
        ("multiworker", None, {"cluster": {"worker": ["127.0.0.1:1"]}}, "scripts/launch-workers"),
        ("multiworker", 2, {"cluster": CLUSTER, "task": {"type": "worker", "index": 0}}, "--devices 2: a worker"),
        ("auto", None, "nonsense", "TF_CONFIG: cannot be read"),
        (
            "auto",
            None,
            {"cluster": CLUSTER, "task": {"type": "worker", "index": 2}},
            "task worker 2 is not in its cluster",
        ),
        ("auto", None, {"cluster": CLUSTER, "task": {"type": "evaluator", "index": 0}}, "task evaluator 0"),
        ("auto", None, {"cluster": {"ps": ["127.0.0.1:1"], **CLUSTER}}, "parameter servers"),
    ],
)
def test_what_cannot_be_is_refused(monkeypatch, requested, devices, config, message):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config:
        monkeypatch.setenv("TF_CONFIG", config if isinstance(config, str) else json.dumps(config))
    with pytest.raises(UserError, match=message):
        make_distribution(requested, devices)


def test_auto_is_one_device_where_nothing_names_more(monkeypatch):
    for config in (None, "{}", json.dumps({"cluster": {"chief": ["127.0.0.1:1"]}, "task": {"type": "chief"}})):
        monkeypatch.delenv("TF_CONFIG", raising=False)
        if config:
            monkeypatch.setenv("TF_CONFIG", config)
        assert make_distribution("auto", None).name == "single"


def test_the_workers_of_tf_config_and_of_slurm_are_found(monkeypatch):
    """Kubeflow and Vertex AI may name a chief beside the workers."""
    jobs = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": jobs, "task": {"type": "worker", "index": 1}}))
    cluster = distribution._cluster()
    assert (cluster.cluster_spec().as_dict(), cluster.task_type, cluster.task_id) == (jobs, "worker", 1)

    monkeypatch.delenv("TF_CONFIG")
    step = {"NUM_TASKS": "3", "NODELIST": "n[1-2]", "TASKS_PER_NODE": "2,1"}
    for name, value in {"SLURM_PROCID": "2", **{f"SLURM_STEP_{key}": text for key, text in step.items()}}.items():
        monkeypatch.setenv(name, value)
    cluster = distribution._cluster()
    assert cluster.cluster_spec().as_dict() == {"worker": ["n1:8888", "n1:8889", "n2:8888"]}
    assert (cluster.task_type, cluster.task_id) == ("worker", 2)
    assert cluster.num_accelerators()["GPU"] == len(tf.config.list_physical_devices("GPU"))


class ThreeReplicas:
    """What is asked of a strategy before it trains."""

    num_replicas_in_sync = 3


@pytest.mark.parametrize(
    ("overrides", "workers", "views", "message"),
    [
        ({"batch_size": 32}, 1, 0, "--batch-size 32: is not a multiple of the 3 replicas.* choose 30"),
        ({"batch_size": 2}, 1, 0, "choose 3"),
        ({"batch_size": 33, "accumulate": 2}, 1, 0, "accumulate=2"),
        ({"batch_size": 33}, 3, 4, "--feature-views: works on one machine only"),
    ],
)
def test_what_replicas_cannot_train_is_refused(overrides, workers, views, message):
    options = TrainOptions(Path(), "small-cnn", Path(), resolve_protocol("strict", overrides), feature_views=views)
    with pytest.raises(UserError, match=message):
        check_fits(options, DistributedContext("mirrored", ThreeReplicas(), workers=workers))
    check_fits(options, DistributedContext())


def test_images_are_not_kept_on_one_device_for_several():
    with pytest.raises(UserError, match="--cache device: is for one device, and there are 2 replicas"):
        choose_tier("device", 1000, replicas=2)
    assert choose_tier("auto", 1000, replicas=2) == "ram"
