"""The registered backbones: their size, their preprocessing and what each phase trains, against keras.applications."""

import keras
import numpy as np
import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models import backbones
from fastmri_cls.models.head import ClassifierOptions, build_classifier, float32_copy, freeze_for_phase
from fastmri_cls.models.registry import BACKBONES, find_backbone

pytestmark = pytest.mark.slow

OPTIONS = ClassifierOptions(num_classes=4, image_size=64, channels=1)


@pytest.fixture(scope="module")
def classifiers():
    """Every registered classifier, built once."""
    return {name: build_classifier(backbone, OPTIONS) for name, backbone in BACKBONES.items()}


@pytest.mark.parametrize(
    ("name", "layers", "unfrozen", "first"),
    [
        ("densenet121-imagenet", 427, 85, "conv5_block5_0_relu"),
        ("densenet121-radimagenet", 427, 85, "conv5_block5_0_relu"),
        ("efficientnetv2s", 513, 102, "block6i_se_squeeze"),
        ("convnext-tiny", 133, 26, "_stage_2_block_8_pointwise_conv_2"),
        ("efficientnet-lite0", 141, 28, "b13_bn0"),
    ],
)
def test_phase_2_unfreezes_the_published_share_without_batch_normalization(classifiers, name, layers, unfrozen, first):
    classifier = classifiers[name]
    freeze_for_phase(classifier, 2, 0.2, from_scratch=False)
    base = classifier.base
    assert len(base.layers) == layers
    last = base.layers[-unfrozen:]
    assert last[0].name.endswith(first)
    assert len(last) == int(0.2 * layers)
    for layer in base.layers:
        expected = any(layer is one for one in last) and not isinstance(layer, keras.layers.BatchNormalization)
        assert layer.trainable == expected, layer.name
    trained = {id(v) for v in classifier.model.trainable_variables}
    frozen = [v for layer in base.layers if not layer.trainable for v in layer.weights]
    assert not trained & {id(v) for v in frozen}


@pytest.mark.parametrize("name", list(BACKBONES))
def test_phase_1_trains_the_head_alone_unless_from_scratch(classifiers, name):
    classifier = classifiers[name]
    freeze_for_phase(classifier, 1, 0.2, from_scratch=False)
    assert not classifier.base.trainable_variables
    assert len(classifier.model.trainable_variables) == 8  # batch norm 2, three dense layers 2 each
    freeze_for_phase(classifier, 1, 0.2, from_scratch=True)
    assert len(classifier.base.trainable_variables) > 10


def test_convnext_without_grouped_convolutions_is_the_same_function():
    keras.utils.set_random_seed(1)
    upstream = backbones.convnext_tiny_upstream((64, 64, 3))
    ours = backbones.convnext_tiny((64, 64, 3))
    # Layer scale starts at 1e-6, which would hide the blocks: let them speak.
    upstream.set_weights([w + 0.5 if w.ndim == 1 and np.allclose(w, 1e-6) else w for w in upstream.get_weights()])
    backbones.copy_weights(upstream, ours)
    assert not any(isinstance(layer, keras.layers.Conv2D) and layer.groups > 1 for layer in ours.layers)
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    theirs = upstream(images).numpy()
    np.testing.assert_allclose(ours(images).numpy(), theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


def applied(preprocessing, images):
    inputs = keras.Input(images.shape[1:])
    return keras.Model(inputs, preprocessing(inputs))(images).numpy()


def test_preprocessing_is_what_the_weights_were_trained_with():
    images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    theirs = keras.applications.densenet.preprocess_input(images.copy())
    dense = find_backbone("densenet121-imagenet").preprocessing
    np.testing.assert_allclose(applied(dense["own"], images), theirs, atol=1e-5)
    rad = find_backbone("densenet121-radimagenet").preprocessing
    bgr = (images[..., ::-1] - [103.939, 116.779, 123.68]) / 255
    np.testing.assert_allclose(applied(rad["own"], images), bgr, atol=1e-5)
    np.testing.assert_allclose(applied(rad["keras"], images), theirs, atol=1e-5)
    lite = find_backbone("efficientnet-lite0").preprocessing
    np.testing.assert_allclose(applied(lite["own"], images), (images - 127) / 128, atol=1e-6)
    np.testing.assert_allclose(applied(lite["densenet"], images), theirs, atol=1e-5)
    for name in ("efficientnetv2s", "convnext-tiny"):
        entry = find_backbone(name).preprocessing
        np.testing.assert_array_equal(applied(entry["own"], images), images)  # normalises inside
        np.testing.assert_allclose(applied(entry["densenet"], images), theirs, atol=1e-5)


def test_grey_images_are_repeated_to_rgb():
    options = ClassifierOptions(4, 32, 1)
    keras.utils.set_random_seed(0)
    grey = build_classifier(find_backbone("densenet121-imagenet"), options).model
    keras.utils.set_random_seed(0)
    rgb = build_classifier(find_backbone("densenet121-imagenet"), ClassifierOptions(4, 32, 3)).model
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 1)).astype(np.float32)
    np.testing.assert_allclose(grey(images), rgb(np.repeat(images, 3, axis=3)), atol=1e-6)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_probabilities_are_float32_in_every_precision_and_the_saved_model_is_all_float32(precision):
    options = ClassifierOptions(4, 32, 1, precision=precision)
    mixed = build_classifier(find_backbone("small-cnn"), options)
    images = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 1)).astype(np.float32)
    probabilities = mixed.model(images)
    assert probabilities.dtype == "float32"
    whole = float32_copy(mixed).model
    assert {layer.compute_dtype for layer in whole.layers} == {"float32"}
    np.testing.assert_allclose(whole(images), probabilities, atol=0.02)
    np.testing.assert_allclose(np.sum(whole(images), axis=1), 1, atol=1e-6)


def test_small_cnn_has_about_a_million_parameters():
    assert 0.5e6 < backbones.small_cnn((224, 224, 1)).count_params() < 1.5e6


def test_an_unknown_model_is_named_with_the_known_ones():
    with pytest.raises(UserError, match=r"--model resnet.*small-cnn"):
        find_backbone("resnet")
