"""Frozen means frozen: under `strict` a frozen backbone draws nothing; `paper` and `notebook` keep the drop-connect."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models.head import Classifier, ClassifierOptions, build_classifier, dropouts, freeze_for_phase
from fastmri_cls.models.registry import find_backbone
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.protocol import PROTOCOLS, Protocol, resolve_protocol
from fastmri_cls.training.data import load_training_data
from fastmri_cls.training.engine import make_engine
from fastmri_cls.training.phases import _stages
from fastmri_cls.training.precision import ComputePolicy
from fastmri_cls.training.run import _as_begun, train
from tests.tiny_backbone import tiny

pytestmark = pytest.mark.slow

__all__ = ["tiny"]  # a fixture

HEAD = 2  # dropout layers of the head, which always trains


def build(name: str = "tiny", size: int = 64) -> Classifier:
    keras.utils.set_random_seed(0)
    return build_classifier(find_backbone(name), ClassifierOptions(4, size, 1))


def draws(graph: tf.Graph) -> int:
    """Count the operations that draw random numbers, in the graph and in the functions that it calls."""
    found = Counter(node.op for node in graph.as_graph_def().node)
    for function in graph.as_graph_def().library.function:
        found.update(node.op for node in function.node_def)
    return sum(count for op, count in found.items() if op.startswith("StatelessRandomUniform"))


def drawing_layers(protocol: str, phase: int, unfreeze: str, *, from_scratch: bool = False) -> int:
    """Count the layers that draw in a training step of the tiny backbone; its dropout is between tiny_2 and tiny_3."""
    recipe = resolve_protocol(protocol, {"unfreeze": unfreeze, "augment": "none", "contrast": 1.0})
    made = make_engine(build(), recipe, phase, ComputePolicy("float32", xla=False), seed=0, from_scratch=from_scratch)
    batch = tf.zeros([2, 64, 64, 1]), tf.zeros([2, 4]), tf.ones([2])
    # One draw for all of them; before it TensorFlow draws four words, which make the key of the seed.
    assert draws(made._step.train.get_concrete_function(*batch, tf.constant([0, 0])).graph) == 2
    return len(made._step._drops.layers)


@pytest.mark.parametrize("phase", [1, 2])
@pytest.mark.parametrize(("protocol", "frozen"), [("strict", 0), ("paper", 1), ("notebook", 1)])
def test_no_frozen_layer_draws_under_strict(tiny, protocol, frozen, phase):
    assert drawing_layers(protocol, phase, "tiny_3") == HEAD + frozen


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_what_trains_keeps_its_drop_connect(tiny, protocol):
    assert drawing_layers(protocol, 2, "tiny_2") == HEAD + 1
    assert drawing_layers(protocol, 1, "tiny_2", from_scratch=True) == HEAD + 1


def test_a_frozen_efficientnetv2s_has_no_random_operation_and_is_what_predicts():
    classifier = build("efficientnetv2s", 32)
    assert len(dropouts(classifier)) > 30
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)), tf.float32)

    def in_training(mode: str) -> tf.types.experimental.ConcreteFunction:
        freeze_for_phase(classifier, 1, 0.2, from_scratch=False, frozen_mode=mode)
        return tf.function(lambda x: classifier.base(x, training=True)).get_concrete_function(images)

    inference = in_training("inference")
    assert draws(inference.graph) == 0
    np.testing.assert_array_equal(inference(images), tf.function(classifier.base)(images, training=False))
    assert draws(in_training("training").graph) == len(dropouts(classifier))


def test_the_presets_and_a_protocol_of_an_earlier_version():
    assert {name: protocol.frozen_mode for name, protocol in PROTOCOLS.items()} == {
        "strict": "inference", "paper": "training", "notebook": "training",
    }  # fmt: skip
    assert Protocol("strict").frozen_mode == "training"
    assert Protocol.strict(frozen_mode="training").frozen_mode == "training"
    with pytest.raises(UserError, match=r"frozen_mode: .*choose one of inference, training"):
        Protocol.strict(frozen_mode="eval")


def test_feature_views_of_the_two_modes_are_kept_apart_only_where_they_differ(tiny, dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTMRI_CLS_CACHE", str(tmp_path))
    opened = Dataset(dataset)

    def views(name: str, mode: str) -> tuple[set[str], np.ndarray]:
        protocol = resolve_protocol("strict", {"frozen_mode": mode, "unfreeze": "tiny_3" if name == "tiny" else 0.2})
        options = TrainOptions(dataset, name, tmp_path / "run", protocol, feature_views=1)
        data = load_training_data(opened, protocol, "none", 0, None)
        stages = _stages(build(name), data, options, opened, 1)
        batch = next(stages[2].data.training.examples.in_order(32).as_numpy_iterator())
        return {path.name for path in (tmp_path / "features").iterdir()}, batch["image"]

    before, with_drops = views("tiny", "training")
    both, without = views("tiny", "inference")
    assert len(both) == 2 * len(before)
    assert (with_drops == 0).mean() > (without == 0).mean() + 0.02  # a tenth is dropped
    assert views("small-cnn", "inference")[0] == views("small-cnn", "training")[0]


def test_a_run_of_an_earlier_version_goes_on_as_it_was_begun(dataset, tmp_path):
    strict = resolve_protocol("strict", {"phase1_epochs": 1, "phase2_epochs": 0})
    options = TrainOptions(dataset, "small-cnn", tmp_path / "run", strict, precision="float32", xla="off")
    train(options)
    other = replace(options, resume=True, protocol=replace(strict, frozen_mode="training"))
    with pytest.raises(UserError, match="was begun with another protocol"):
        _as_begun(other, Dataset(dataset))
    assert _as_begun(replace(options, resume=True), Dataset(dataset)).protocol.frozen_mode == "inference"
    file: Path = tmp_path / "run" / "config.json"
    config = json.loads(file.read_text())
    del config["protocol"]["frozen_mode"]
    file.write_text(json.dumps(config))
    (tmp_path / "run" / "checksums.json").unlink(missing_ok=True)
    assert _as_begun(replace(options, resume=True), Dataset(dataset)).protocol.frozen_mode == "training"
