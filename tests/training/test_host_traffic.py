"""On a GPU no part of a step may wait for the host: told from traced graphs and the kernel registry, without a GPU."""

import keras
import pytest
import tensorflow as tf

from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.models import fast_layers
from fastmri_cls.models.head import ClassifierOptions, build_classifier
from fastmri_cls.models.registry import find_model
from fastmri_cls.runs.protocol import resolve_protocol
from fastmri_cls.training import step
from fastmri_cls.training.engine import Engine, make_engine
from fastmri_cls.training.precision import ComputePolicy
from tests.device_placement import describe, traffic_of_loop

pytestmark = pytest.mark.slow

SIZE, BATCH = 64, 8
SPEC = {
    "image": tf.TensorSpec((BATCH, SIZE, SIZE, 1), tf.uint8),
    "label": tf.TensorSpec((BATCH,), tf.int64),
    "weight": tf.TensorSpec((BATCH,), tf.float32),
}


class Elements:
    """Examples whose elements hold their images already."""

    def fetch(self, element):
        return element


def engine(
    model: str, policy: ComputePolicy, phase: int = 1, augment: str = "paper", protocol: str = "strict"
) -> Engine:
    keras.utils.set_random_seed(0)
    classifier = build_classifier(find_model(model), ClassifierOptions(4, SIZE, 1, precision=policy.precision))
    recipe = resolve_protocol(protocol, {"augment": augment})
    return make_engine(
        classifier, recipe, phase, policy, seed=0, from_scratch=model == "small-cnn",
        augment=make_augmentation(augment),
    )  # fmt: skip


@pytest.fixture
def gpu(monkeypatch):
    """What is decided by the presence of a GPU is decided as if there were one."""
    for module in (fast_layers, step):
        monkeypatch.setattr(module, "visible_gpus", lambda: ["GPU:0"])


def training_loop(made: Engine):
    batches = iter(tf.data.Dataset.from_tensors({name: tf.zeros(s.shape, s.dtype) for name, s in SPEC.items()}))
    numbers = (tf.constant(0), tf.constant(0), tf.constant(1))
    return traffic_of_loop(made._loops.train.get_concrete_function(Elements(), batches, *numbers))


def evaluation_loop(made: Engine):
    batches = iter(tf.data.Dataset.from_tensors({name: tf.zeros(s.shape, s.dtype) for name, s in SPEC.items()}))
    return traffic_of_loop(made._loops.evaluate.get_concrete_function(Elements(), batches, tf.constant(1)))


@pytest.mark.parametrize("augment", ["none", "paper", "paper+flip"])
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_compiled_training_step_never_waits_for_the_host(precision, augment):
    traffic = training_loop(engine("small-cnn", ComputePolicy(precision, xla=True), augment=augment))
    assert traffic.to_host == [], describe(traffic)
    assert not traffic.host_only, describe(traffic)
    assert sum(traffic.launches.values()) <= 30, describe(traffic)
    assert traffic.compiled >= 1


def test_without_xla_a_step_does_not_wait_for_the_host_either():
    traffic = training_loop(engine("small-cnn", ComputePolicy("mixed_bfloat16", xla=False)))
    assert traffic.to_host == [], describe(traffic)


@pytest.mark.parametrize(("protocol", "phase", "most"), [("strict", 2, 2000), ("paper", 1, 1200)])
def test_all_drop_connect_of_a_network_is_one_draw(gpu, protocol, phase, most):
    """EfficientNetV2S has 34 such layers; each on its own they took 400 launches and 34 waits for the host."""
    policy = ComputePolicy("mixed_bfloat16", xla=False)
    traffic = training_loop(engine("efficientnetv2s", policy, phase, augment="none", protocol=protocol))
    assert traffic.to_host == [], describe(traffic)
    draws = {name: count for name, count in traffic.launches.items() if "Random" in name}
    assert draws == {"StatelessRandomUniformFullIntV2": 2}  # the second makes a key of the seed: four words
    assert sum(traffic.launches.values()) <= most, describe(traffic)


@pytest.mark.parametrize("xla", [True, False])
def test_validation_never_waits_for_the_host(xla):
    traffic = evaluation_loop(engine("small-cnn", ComputePolicy("float32", xla)))
    assert traffic.to_host == [], describe(traffic)
    assert not traffic.host_only, describe(traffic)


def test_without_xla_a_frozen_densenet_launches_few_kernels(gpu):
    """At 5 us a launch, 1500 of them take three times as long as the GPU computes at batch 32."""
    traffic = training_loop(engine("densenet121-imagenet", ComputePolicy("mixed_bfloat16", xla=False)))
    assert sum(traffic.launches.values()) <= 600, describe(traffic)
    assert traffic.launches["Cast"] < 40, describe(traffic)  # kernels are cast once a phase, not 120 a step


@pytest.mark.parametrize("augment", ["randaugment", "augmix", "cutmix", "mixup"])
def test_what_an_augmentation_draws_and_chooses_is_known_to_the_host(augment):
    """Operations inside Keras' layers still copy constants and histograms; no choice and no seed waits for the GPU."""
    traffic = training_loop(engine("small-cnn", ComputePolicy("float32", xla=True), augment=augment))
    waits = ("StatelessRandomGetKeyCounter", "Pack", "If", "Case", "StatelessIf", "StatelessCase")
    assert not [edge for edge in traffic.to_host if edge.startswith(waits)], describe(traffic)


def test_a_frozen_backbone_trains_without_waiting_for_the_host():
    traffic = training_loop(engine("densenet121-imagenet", ComputePolicy("mixed_bfloat16", xla=True)))
    assert traffic.to_host == [], describe(traffic)


def test_the_analysis_sees_what_does_wait():
    """The check of the check: a branch on the device's result, and an operation without a kernel there."""

    @tf.function
    def loop(values: tf.Tensor) -> tf.Tensor:
        total = tf.constant(0.0)
        for _ in tf.range(3):
            if tf.reduce_sum(values) > 1.0:
                total += 1.0
            tf.strings.as_string(values)
        return total

    traffic = traffic_of_loop(loop.get_concrete_function(tf.TensorSpec((4,), tf.float32)))
    assert any(edge.startswith(("If", "StatelessIf")) for edge in traffic.to_host)
    assert traffic.host_only["AsString"] == 1
