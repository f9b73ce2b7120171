"""The public function that makes an ordinary Keras model of the registry, for anybody's training loop."""

from typing import TYPE_CHECKING

from fastmri_cls.foundation.option_checks import check_choice, check_range

if TYPE_CHECKING:
    import keras

__all__ = ["create_model"]


def create_model(
    name: str,
    num_classes: int,
    image_size: int = 224,
    channels: int = 1,
    weights: str = "default",
    *,
    preprocessing: str = "own",
) -> "keras.Model":
    """Return a classifier from plain images to probabilities, in float32 and of Keras' own layers.

    Preprocessing is inside the model. Nothing is frozen and nothing is compiled.

    Example:
        >>> model = create_model("convnext-tiny", num_classes=4, weights="imagenet")
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

    Args:
        name: one of `list_models()`, or `hybrid:A+B` for two backbones under one head.
        num_classes: number of outputs.
        image_size: height and width of the images in pixels.
        channels: of the images: 1 (repeated to RGB where the backbone needs it) or 3.
        weights: `default`, `none`, the name of a published set, the path of a weights file or a RUN, or
            hf://user/name; as train --weights.
        preprocessing: `own`, what the weights were trained with; `keras` or `densenet`.

    Returns:
        A model from [batch, image_size, image_size, channels] in 0..255 to probabilities [batch, num_classes].

    Raises:
        UserError: the name or the preprocessing is unknown, a number is out of range, or the weights cannot be loaded.
    """
    from fastmri_cls.foundation.quiet import import_tensorflow

    check_range("num_classes", num_classes, 2)
    check_choice("channels", channels, (1, 3))
    check_choice("preprocessing", preprocessing, ("own", "keras", "densenet"))
    import_tensorflow()
    from fastmri_cls.hub.weights import load_weights
    from fastmri_cls.models.head import ClassifierOptions, build_classifier
    from fastmri_cls.models.registry import find_model

    options = ClassifierOptions(num_classes, image_size, channels, preprocessing)
    classifier = build_classifier(find_model(name), options, fast=False)
    load_weights(classifier, weights)
    return classifier.model
