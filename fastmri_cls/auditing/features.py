"""Features of images from a frozen pretrained backbone, for `audit --labels`."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fastmri_cls.auditing.collection import Collection
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.extras import missing_extra
from fastmri_cls.foundation.progress import track
from fastmri_cls.models.head import ClassifierOptions, build_classifier
from fastmri_cls.models.pretrained import Published, all_sets
from fastmri_cls.models.registry import find_backbone
from fastmri_cls.models.surgery import branches_of
from fastmri_cls.models.weights import load_weights
from fastmri_cls.records.ingest import with_channels
from fastmri_cls.sources.decode import resize

_SIZE = 224  # pixels, the size that every published backbone was trained or evaluated with
_BATCH = 64


def find_pretrained() -> Published:
    """Return the first published set of weights whose file is here; nothing is downloaded.

    Raises:
        UserError: there is none.
    """
    for published in all_sets():
        if published.path.exists():
            return published
    raise UserError(
        f"--labels: needs a pretrained backbone: {missing_extra('lite0')}; "
        "or download weights with weights fetch efficientnetv2s"
    )


def extract_features(images: Collection, published: Published, representatives: np.ndarray) -> np.ndarray:
    """Return the pooled features of every image, float32 [n, d].

    Args:
        images: n images; they are resized to 224 x 224 pixels.
        published: the weights to use.
        representatives: int [n], for each image the first one with the same pixels; only that one is computed.

    Raises:
        UserError: the weights cannot be loaded.
    """
    import keras

    classifier = build_classifier(find_backbone(published.model), ClassifierOptions(2, _SIZE, 3))
    load_weights(classifier, published.name)
    (branch,) = branches_of(classifier.model)
    network = keras.Model(classifier.model.inputs[0], branch.pooling.output)
    first = representatives == np.arange(len(representatives))
    features = np.empty((len(first), network.output_shape[-1]), np.float32)
    batches = -(-len(first) // _BATCH)
    for start, pixels in track(_prepared(images, first), "computing features", batches):
        if len(pixels):
            chosen = start + np.flatnonzero(first[start : start + _BATCH])
            features[chosen] = network.predict_on_batch(pixels)
    return features[representatives]


def _prepared(images: Collection, wanted: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number of a batch's first image and its wanted images, uint8 [k, size, size, 3].

    A thread decodes the next batch while the network works on this one.
    """
    numbered = zip(range(0, len(wanted), _BATCH), images.batches(_BATCH), strict=True)

    def following() -> tuple[int, np.ndarray] | None:
        if (found := next(numbered, None)) is None:
            return None
        start, batch = found
        chosen = [
            resize(with_channels(image, 3), _SIZE, "bilinear")
            for image, is_wanted in zip(batch, wanted[start : start + _BATCH], strict=True)
            if is_wanted
        ]
        return start, np.array(chosen, np.uint8)

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(following)
        while (prepared := future.result()) is not None:
            future = pool.submit(following)
            yield prepared
