"""The outputs of somebody else's model on the stored images of a dataset, and probabilities of them."""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy import special
from sklearn.metrics import log_loss

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.gpus import inference_batch
from fastmri_cls.foundation.progress import track
from fastmri_cls.records.ingest import with_channels
from fastmri_cls.referee.classes import ClassOrder
from fastmri_cls.referee.opening import OpenedModel
from fastmri_cls.referee.preprocessing import Preprocess, candidates

_GUESS_IMAGES = 256  # validation images on which preprocessings are compared
_SUM_TOLERANCE = 1e-3  # of a row of probabilities, as in `evaluation.metrics`

PROBABILITIES = "probabilities"


def outputs_on(
    model: OpenedModel, dataset: Dataset, splits: Sequence[str], preprocess: Preprocess, order: ClassOrder
) -> np.ndarray:
    """Return the outputs of a model on the images of `splits` in the order written.

    Args:
        model: the model.
        dataset: the dataset.
        splits: names of splits.
        preprocess: what is done to the images.
        order: which output is which class.

    Returns:
        float32 [n, classes], in the dataset's order of classes.

    Raises:
        UserError: there are not as many outputs as classes, or a value is not finite.
    """
    size = inference_batch()
    batches = sum(-(-dataset.count(split) // size) for split in splits)
    records = track(dataset.records(splits, size), f"running {model.name}", batches)
    outputs = np.concatenate([_run(model, dataset, images, preprocess, order) for images, _ in records])
    if not np.isfinite(outputs).all():
        raise UserError(f"{model.name}: gives values that are not finite; try another --preprocessing")
    return outputs


def try_preprocessings(
    model: OpenedModel, dataset: Dataset, split: str, order: ClassOrder
) -> tuple[dict[str, float], int]:
    """Compare preprocessings on validation images.

    Args:
        model: the model.
        dataset: the dataset.
        split: the validation split.
        order: which output is which class.

    Returns:
        The accuracy of each preprocessing, the best one first (of equally accurate ones that with the smaller log
        loss); and the number of images.
    """
    count = dataset.count(split)
    chosen = np.unique(np.linspace(0, count - 1, min(count, _GUESS_IMAGES)).astype(int))
    images, labels = dataset.images(split, chosen), dataset.facts(split).labels[chosen]
    found = {}
    for name, preprocess in candidates(model.channels, integers=model.takes_integers).items():
        outputs = _run(model, dataset, images, preprocess, order)
        if np.isfinite(outputs).all():
            probabilities = as_probabilities(outputs)[0].astype(np.float64)
            probabilities /= probabilities.sum(axis=1, keepdims=True)
            loss = log_loss(labels, probabilities, labels=range(len(dataset.classes)))
            found[name] = (float((outputs.argmax(axis=1) == labels).mean()), -float(loss))
    if not found:
        raise UserError(f"{model.name}: gives values that are not finite with every known preprocessing")
    ranked = sorted(found, key=lambda name: found[name], reverse=True)
    return {name: found[name][0] for name in ranked}, len(chosen)


def as_probabilities(outputs: np.ndarray) -> tuple[np.ndarray, str]:
    """Return probabilities float32 [n, classes], and what the outputs were.

    Rows that all sum to 100 are percentages, which are divided by their sum. Other values outside of 0..1 are logits:
    softmax is applied. Values within 0..1 that do not sum to 1 are scores of independent classes, which are divided by
    their sum. The most probable class stays in each case.
    """
    sums = outputs.sum(axis=1, keepdims=True)
    whole_percents = outputs.shape[1] / 2  # what rounding each to a whole number adds to a sum, at most
    if (outputs >= 0).all() and (np.abs(sums - 100) <= whole_percents).all():
        return outputs / sums, "percentages: divided by their sum"
    # A sum of float32 probabilities may be above 1 in its last digit.
    if (outputs < -_SUM_TOLERANCE).any() or (outputs > 1 + _SUM_TOLERANCE).any():
        return special.softmax(outputs.astype(np.float64), axis=1).astype(np.float32), "logits: softmax was applied"
    outputs = outputs.clip(0, 1)
    if (np.abs(sums - 1) <= _SUM_TOLERANCE).all():
        return outputs, PROBABILITIES
    even = np.full_like(outputs, 1 / outputs.shape[1])
    scores = np.divide(outputs, sums, out=even, where=sums > 0)
    return scores, "scores that do not sum to 1: divided by their sum"


def _run(
    model: OpenedModel, dataset: Dataset, images: np.ndarray, preprocess: Preprocess, order: ClassOrder
) -> np.ndarray:
    """Return the outputs for stored images, uint8 [n, size, size, channels]; see `outputs_on`."""
    outputs = model.forward(preprocess(fit_images(model, dataset, images).astype(np.float32)))
    if outputs.shape != (len(images), len(order.columns)):
        raise UserError(
            f"{model.name}: gives {outputs.shape} for {len(images)} images, its classes are {', '.join(order.names)} "
            f"({order.origin}), the dataset has {', '.join(dataset.classes)}"
        )
    return outputs[:, order.columns]


def fit_images(model: OpenedModel, dataset: Dataset, images: np.ndarray) -> np.ndarray:
    """Return stored images at the size and with the channels of a model, uint8 [n, height, width, channels]."""
    size = model.height or dataset.image_size, model.width or dataset.image_size
    resampling = Image.Resampling[str(dataset.manifest.options["resize"]).upper()]
    return np.stack([_fit(image, size, model.channels, resampling) for image in images])


def _fit(image: np.ndarray, size: tuple[int, int], channels: int, resampling: Image.Resampling) -> np.ndarray:
    """Return an image uint8 [height, width, channels] of a model's size and channels."""
    pixels = with_channels(image[:, :, 0] if image.shape[2] == 1 else image, channels)
    if pixels.shape[:2] != size:
        pixels = np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), resampling))
    return pixels.reshape(*size, channels)
