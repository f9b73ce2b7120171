"""The forward pass of a batch runs while the results of the last one are used."""

import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from fastmri_cls.inference.predictor import PredictOptions, Predictor
from fastmri_cls.inference.runtimes import Outputs
from fastmri_cls.sources.decode import Decoded

BATCHES, SECONDS = 8, 0.03


def test_the_next_batch_is_computed_while_results_are_used(monkeypatch):
    def forward(images):
        time.sleep(SECONDS)  # the device
        return Outputs(images[:, 0, 0] / 10)

    monkeypatch.setattr(Predictor, "__init__", lambda self: None)
    predictor = Predictor()
    predictor._options = PredictOptions()
    predictor._reference = predictor._temperature = None
    predictor.engine = SimpleNamespace(forward=forward, explain=None)
    pixels = [np.full((2, 2, 1), number, np.uint8) for number in range(BATCHES)]
    decoded = [[(Path(f"{number}.png"), Decoded(image, None, (), False)), (Path("bad.png"), "no image")]
               for number, image in enumerate(pixels)]  # fmt: skip
    decoded.insert(2, [(Path("bad.png"), "no image")])
    predictor._decoded_batches = lambda files: iter(decoded)
    seen = []
    started = time.perf_counter()
    for result in predictor.predict([]):
        if result.path.name != "bad.png":
            time.sleep(SECONDS)  # whoever uses it
            seen.append((result.path.name, float(result.probabilities[0])))
    assert time.perf_counter() - started < 0.75 * 2 * BATCHES * SECONDS
    assert seen == [(f"{number}.png", number / 10) for number in range(BATCHES)]
