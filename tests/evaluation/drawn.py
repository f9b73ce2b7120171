"""Predictions with random labels, groups and probabilities, for tests of what is computed from them."""

import numpy as np

from fastmri_cls.runs.predictions import Predictions

CLASSES = ("glioma", "meningioma", "notumor", "pituitary")


def predictions(n: int = 300, seed: int = 0, classes: tuple[str, ...] = CLASSES) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(classes), n)
    logits = rng.normal(0, 1, (n, len(classes))) + 1.5 * np.eye(len(classes))[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    sources = np.where(np.arange(n) < n * 2 // 3, "a", "b")
    return Predictions(
        splits=np.char.add("test.", sources),
        sources=sources,
        filenames=np.array([f"Testing/x,é/{i}.jpg" for i in range(n)]),
        groups=np.arange(n) // 2,
        clean=np.arange(n) % 5 > 0,
        labels=labels,
        probabilities=probabilities.astype(np.float32),
        classes=classes,
    )
