"""Exported models: the same answers in their own runtimes, and the serving graph's pixels beside Pillow's."""

import importlib.util
import io
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from fastmri_cls.export.check import check_export
from fastmri_cls.export.formats import FORMATS, Exported
from fastmri_cls.export.saved_model import open_saved_model_files
from fastmri_cls.export.serving import PIXEL_TOLERANCE, decode_files
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.inference.agreement import Agreement, compare
from fastmri_cls.inference.runtimes import Outputs
from fastmri_cls.models.backbones import convnext_tiny
from fastmri_cls.models.head import ClassifierOptions, build_classifier
from fastmri_cls.models.registry import BACKBONES
from fastmri_cls.records.ingest import with_channels
from fastmri_cls.sources.decode import decode, resize
from fastmri_cls.sources.phantom import CLASSES, draw_phantom

pytestmark = pytest.mark.slow

NEEDS = {
    "onnx": ("tf2onnx", "onnxruntime"),
    "litert": ("ai_edge_litert",),
    "litert-dynamic": ("ai_edge_litert",),
    "litert-int8": ("ai_edge_litert",),
}


def skip_without_extra(format_: str) -> None:
    for module in NEEDS.get(format_, ()):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"the extra for {format_} is not installed ({module})")


def phantoms(size: int, each: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([draw_phantom(label, rng, size)[0] for _ in range(each) for label in CLASSES])[..., None]


def first_blocks_of_convnext(shape: tuple[int, int, int]) -> keras.Model:
    """ConvNeXt-Tiny up to the first block after its first downsampling: every kind of layer that it has."""
    whole = convnext_tiny(shape)
    start = keras.Model(whole.input, whole.get_layer("convnext_tiny_stage_1_block_0_identity").output)
    start.set_weights([20 * value for value in start.get_weights()])  # untrained, it hardly tells images apart
    return start


# One backbone for each kind of operation that a converter may stumble over; benchmarks/exports.py tries all.
@pytest.mark.parametrize(
    ("name", "format_"),
    [("small-cnn", format_) for format_ in FORMATS] + [("convnext-tiny", "onnx")],
)
def test_an_export_says_what_the_model_says(name, format_, tmp_path, monkeypatch):
    monkeypatch.setitem(BACKBONES, "convnext-tiny", replace(BACKBONES["convnext-tiny"], build=first_blocks_of_convnext))
    skip_without_extra(format_)
    keras.utils.set_random_seed(0)
    size = 32
    model = build_classifier(BACKBONES[name], ClassifierOptions(4, size, 1), fast=False).model
    images = phantoms(size, 8)
    expected = model.predict(images.astype(np.float32), verbose=0)
    assert len(np.unique(expected.round(4), axis=0)) > 8  # the images are told apart at all
    FORMATS[format_].write(Exported(model, CLASSES, "bilinear", images), tmp_path)
    found = FORMATS[format_].open(tmp_path)(images).probabilities
    np.testing.assert_allclose(found, expected, atol=FORMATS[format_].tolerance)
    if format_ != "litert-int8":  # untrained, the first two classes lie closer than int8 can tell
        np.testing.assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))
    if format_ == "saved_model":
        by_files = open_saved_model_files(tmp_path)([as_file(image.squeeze(), "PNG") for image in images])
        np.testing.assert_allclose(by_files, expected, atol=1e-5)


def test_a_saved_model_has_every_weight_once(tmp_path):
    model = build_classifier(BACKBONES["small-cnn"], ClassifierOptions(4, 32, 1), fast=False).model
    FORMATS["saved_model"].write(Exported(model, CLASSES, "bilinear", phantoms(32, 1)), tmp_path)
    saved = tf.train.list_variables(str(tmp_path / "1" / "variables" / "variables"))
    assert sum(int(np.prod(shape)) for name, shape in saved if not name.startswith("_CHECK")) == model.count_params()


def as_file(pixels: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def files() -> dict[str, bytes]:
    """Image files of several kinds, larger and smaller than what they are resized to."""
    rng = np.random.default_rng(3)
    grey = draw_phantom("glioma", rng, 200)[0]
    photo = Image.fromarray(rng.integers(0, 256, (9, 13, 3), np.uint8)).resize((150, 170), Image.Resampling.BICUBIC)
    alpha = photo.convert("RGBA")
    alpha.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 150).astype(np.uint8), (170, 1))))
    return {
        "grey.png": as_file(grey, "PNG"),
        "small.png": as_file(grey[60:100, 60:100], "PNG"),
        "grey.jpg": as_file(grey, "JPEG", quality=90),
        "grey-as-rgb.jpg": as_file(Image.fromarray(grey).convert("RGB"), "JPEG", quality=90),
        "photo.jpg": as_file(photo, "JPEG", quality=90, subsampling=0),
        "photo.png": as_file(photo, "PNG"),
        "alpha.png": as_file(alpha, "PNG"),
        "grey-alpha.png": as_file(alpha.convert("LA"), "PNG"),
    }


@pytest.mark.parametrize("method", ["bilinear", "nearest", "lanczos"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_serving_graph_gives_training_s_pixels(channels, method, tmp_path):
    names, contents = zip(*files().items(), strict=True)
    found = decode_files(tf.constant(contents), 64, channels, method).numpy()
    for name, content, pixels in zip(names, contents, found, strict=True):
        (tmp_path / name).write_bytes(content)
        decoded = with_channels(decode(tmp_path / name, keep_colour=channels == 3), channels)
        expected = resize(decoded, 64, method).reshape(64, 64, channels)
        difference = np.abs(pixels - expected.astype(np.float32))
        assert difference.max() <= PIXEL_TOLERANCE, name
        assert difference.mean() < 0.2, name


def agreement_of(expected: np.ndarray, found: np.ndarray, tolerance: float) -> Agreement:
    return compare(Outputs(expected), Outputs(found), tolerance)


def test_a_changed_class_or_a_number_too_far_off_does_not_hold():
    expected = np.array([[0.6, 0.4], [0.2, 0.8]])
    assert agreement_of(expected, expected + np.array([0.001, -0.001]), 0.01).holds
    assert not agreement_of(expected, expected + np.array([0.02, -0.02]), 0.01).holds
    turned = agreement_of(expected, expected[:, ::-1], 1.0)
    assert (turned.changed, turned.widest_change) == (2, pytest.approx(0.6))
    assert not turned.holds
    assert not agreement_of(expected, np.full((2, 2), np.nan), 0.01).holds


def test_features_that_point_elsewhere_do_not_hold_whatever_their_length():
    same = np.array([[0.6, 0.4]])
    features = np.array([[3.0, 4.0]])
    assert compare(Outputs(same, features), Outputs(same, 2 * features), 1e-4).holds
    turned = compare(Outputs(same, features), Outputs(same, features[:, ::-1]), 1e-4)
    assert turned.feature_difference == pytest.approx(0.2)
    assert not turned.holds


def test_a_tie_that_breaks_the_other_way_holds_and_is_told():
    expected = np.array([[0.36, 0.34, 0.3], [0.2, 0.8, 0.0]])
    found = expected + np.array([[-0.02, 0.02, 0.0], [0.0, 0.0, 0.0]])
    agreement = agreement_of(expected, found, 0.1)
    assert agreement.holds
    assert "changes on 1, between classes 0.02 apart" in agreement.sentence
    further_apart = np.array([[0.4, 0.34, 0.26], [0.2, 0.8, 0.0]])
    assert not agreement_of(further_apart, found, 0.1).holds


def test_a_model_that_was_exported_wrong_is_refused(tmp_path):
    keras.utils.set_random_seed(0)
    model = build_classifier(BACKBONES["small-cnn"], ClassifierOptions(4, 32, 1), fast=False).model
    images = phantoms(32, 2)
    FORMATS["saved_model"].write(Exported(model, CLASSES, "bilinear", images), tmp_path)
    expected = model.predict(images.astype(np.float32), verbose=0)
    with pytest.raises(UserError, match="nothing was written"):
        check_export("saved_model", Path(tmp_path), images, Outputs(expected[:, ::-1]))
