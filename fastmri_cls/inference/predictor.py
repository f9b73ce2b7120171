"""A RUN and image files -> probabilities: decoding in threads ahead of the forward pass, in bounded memory.

Files are decoded and resized as when the RUN's dataset was built, so that an image has the same pixels here and there.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from fastmri_cls.foundation.cpu import available_cores
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.overlap import one_ahead
from fastmri_cls.foundation.progress import log
from fastmri_cls.inference.engines import open_engine
from fastmri_cls.inference.ood import read_reference
from fastmri_cls.inference.runtimes import Outputs
from fastmri_cls.inference.trial import Preview
from fastmri_cls.records.ingest import with_channels
from fastmri_cls.runs.run import Run
from fastmri_cls.sources.decode import Decoded, resize
from fastmri_cls.sources.folders import is_archive
from fastmri_cls.sources.images import read_image
from fastmri_cls.sources.notes import Note
from fastmri_cls.sources.pixels import RejectedImage
from fastmri_cls.sources.storage import files_below

_DecodedBatch = list[tuple[Path, Decoded | str]]  # files, each with its image or the reason why there is none
_ComputedBatch = tuple[_DecodedBatch, np.ndarray, Future[Outputs] | None]  # with its images, and what comes of them
_NO_IMAGES = np.empty((0, 0, 0, 0), np.uint8)
_TRIED = 32  # images on which two engines are compared: a batch
_BATCHES_AHEAD = 3  # decoded or being decoded while one is in the forward pass


@dataclass(frozen=True)
class PredictOptions:
    """How to predict.

    Attributes:
        batch_size: images in one forward pass; None for what suits the engine and its device.
        calibrated: scale by the temperature fitted on validation.
        flips: test-time augmentation: average over the image and its left-right mirror image.
        gradcam: an existing folder for Grad-CAM overlays, or None.
        engine: what computes: `auto`, `keras`, `onnx`, `litert` or `openvino`; see engines.py.
        device: where Keras computes: `auto`, `gpu` or `cpu`; see use_device.
        explain: compute heat maps without writing overlays.
    """

    batch_size: int | None = None
    calibrated: bool = False
    flips: bool = False
    gradcam: Path | None = None
    engine: str = "auto"
    device: str = "auto"
    explain: bool = False


@dataclass(frozen=True)
class Prediction:
    """The prediction for one file.

    Attributes:
        path: the file.
        probabilities: float64 [classes].
        ood_score: out-of-distribution score, above 1 for an unusual image; None if the RUN has no reference for it.
        overlay: file name of the Grad-CAM overlay; None if none was asked for.
        notes: what decoding had to ignore or guess.
    """

    path: Path
    probabilities: np.ndarray
    ood_score: float | None
    overlay: str | None
    notes: tuple[Note, ...]


class Answer(NamedTuple):
    """What the model of a RUN says of one image.

    Attributes:
        probabilities: float64 [classes].
        ood_score: see `Prediction`.
        heat: heat map for the most probable class, float32 [size, size], 0..1; None if none is computed.
        features: the backbone's pooled features, float32 [d]; None if there is no reference to compare them with.
    """

    probabilities: np.ndarray
    ood_score: float | None
    heat: np.ndarray | None
    features: np.ndarray | None


@dataclass(frozen=True)
class UnusableFile:
    """A file that is not a usable image.

    Attributes:
        path: the file.
        reason: why it cannot be used.
    """

    path: Path
    reason: str


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Return `paths` with every folder and ZIP archive replaced by the files in it, in the order of their names.

    Raises:
        UserError: there is none.
    """
    found = [file for path in paths for file in (files_below(path) if path.is_dir() or is_archive(path) else (path,))]
    if not found:
        raise UserError(f"{', '.join(map(str, paths))}: no files in there; give images or folders of images")
    return found


class Predictor:
    """The model of a RUN, ready to predict files.

    Args:
        run: a finished RUN.
        options: how to predict.
        files: that will be predicted: some of them are what a faster engine is tried on.

    Attributes:
        classes: names in the order of the probabilities.
        engine: what computes them.

    Raises:
        UserError: the RUN is unfinished or damaged, or lacks what the options need.
    """

    def __init__(self, run: Run, options: PredictOptions, files: Sequence[Path] = ()) -> None:
        config = run.config
        self.classes = config.classes
        self._options = options
        self._form = config.image_size, config.channels, _resize_method(run)
        self._reference = read_reference(run.ood_reference)
        if self._reference is None:
            log.warning(f"note: no column ood_score, {run.ood_reference} does not exist; run evaluate on its dataset")
        self._temperature = _temperature(run) if options.calibrated else None
        explain = options.explain or options.gradcam is not None
        preview = Preview(len(files), lambda: self._some_of(files))
        self.engine = open_engine(
            run, options.engine, options.device, options.batch_size, explain=explain, preview=preview
        )
        log.info(f"engine: {self.engine.name} ({self.engine.origin})")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of one image for the engine: rows, columns, channels."""
        size, channels, _ = self._form
        return size, size, channels

    @property
    def has_ood_score(self) -> bool:
        """Whether predictions have an out-of-distribution score."""
        return self._reference is not None

    @property
    def has_overlays(self) -> bool:
        """Whether overlays are written."""
        return self._options.gradcam is not None

    def examine(self, image: Decoded) -> Answer:
        """Return what the model says of one decoded image."""
        images = self._fit(image).pixels[None]
        return next(self._predictions(images, self._forward(images)))

    def predict(self, files: Sequence[Path]) -> Iterator[Prediction | UnusableFile]:
        """Yield one result for each file, in order."""
        number = 0
        for batch, images, outputs in self._computed_batches(files):
            predictions = iter(self._predictions(images, outputs.result()) if outputs else ())
            for path, image in batch:
                if isinstance(image, Decoded):
                    found = next(predictions)
                    name = f"{number:05d}-{path.stem}.png"
                    saved = self._save_overlay(name, image.pixels, found.heat) if self.has_overlays else None
                    yield Prediction(path, found.probabilities, found.ood_score, saved, image.notes)
                else:
                    yield UnusableFile(path, image)
                number += 1

    def _computed_batches(self, files: Sequence[Path]) -> Iterator[_ComputedBatch]:
        """Yield the batches of `files`, each while the next one is in the forward pass already."""
        with ThreadPoolExecutor(1) as pool:

            def start(batch: _DecodedBatch) -> _ComputedBatch:
                usable = [image.pixels for _, image in batch if isinstance(image, Decoded)]
                if not usable:
                    return batch, _NO_IMAGES, None
                images = np.stack(usable)
                return batch, images, pool.submit(self._forward, images)

            yield from one_ahead(map(start, self._decoded_batches(files)))

    def _decoded_batches(self, files: Sequence[Path]) -> Iterator[_DecodedBatch]:
        """Yield batches of files with their image, pixels uint8 [size, size, channels], or the reason for a failure."""
        size = self._options.batch_size or self.engine.batch_size
        batches = (files[start : start + size] for start in range(0, len(files), size))
        waiting: deque[list[tuple[Path, Future[Decoded | str]]]] = deque()
        # A thread a core: decoding mostly runs outside of Python's lock, and a forward pass may need the cores as well.
        with ThreadPoolExecutor(available_cores()) as pool:
            try:
                while True:
                    for batch in islice(batches, _BATCHES_AHEAD - len(waiting)):
                        waiting.append([(path, pool.submit(self._decode, path)) for path in batch])
                    if not waiting:
                        return
                    yield [(path, future.result()) for path, future in waiting.popleft()]
            finally:
                pool.shutdown(cancel_futures=True)

    def _some_of(self, files: Sequence[Path]) -> np.ndarray:
        """Return the usable images among at most _TRIED of `files`, spread over them evenly."""
        chosen = files[:: max(1, -(-len(files) // _TRIED))]
        with ThreadPoolExecutor(available_cores()) as pool:
            usable = [image.pixels for image in pool.map(self._decode, chosen) if isinstance(image, Decoded)]
        return np.stack(usable) if usable else _NO_IMAGES

    def _decode(self, path: Path) -> Decoded | str:
        try:
            return self._fit(read_image(path, keep_colour=self.keeps_colour))
        except RejectedImage as rejection:
            return str(rejection)

    @property
    def keeps_colour(self) -> bool:
        """Whether the model sees colours."""
        return self.image_shape[2] == 3

    def _fit(self, image: Decoded) -> Decoded:
        """Return an image with the size and channels of the model's input."""
        size, channels, method = self._form
        pixels = resize(with_channels(image.pixels, channels), size, method)
        return replace(image, pixels=pixels.reshape(size, size, channels))

    def _forward(self, images: np.ndarray) -> Outputs:
        """Return probabilities and features of images uint8 [n, size, size, channels]."""
        probabilities, features = self.engine.forward(images)
        if self._options.flips:
            mirrored = self.engine.forward(images[:, :, ::-1])
            probabilities = (probabilities + mirrored.probabilities) / 2
        return Outputs(probabilities, features)

    def _predictions(self, images: np.ndarray, outputs: Outputs) -> Iterator[Answer]:
        """Yield what the model says of each image uint8 [n, size, size, channels], from its outputs."""
        probabilities, features = outputs
        if self._temperature is not None:
            from fastmri_cls.evaluation.temperature import scale_by_temperature  # SciPy takes half a second

            probabilities = scale_by_temperature(probabilities, self._temperature)
        nothing: list[None] = [None] * len(images)
        scores: Sequence[float | None] = nothing
        if self._reference is not None:
            assert features is not None  # every engine gives them
            scores = self._reference.score(features).tolist()
        heats = explain(images, probabilities.argmax(axis=1)) if (explain := self.engine.explain) else nothing
        rows = nothing if features is None else features
        yield from map(Answer, probabilities, scores, heats, rows)

    def _save_overlay(self, name: str, pixels: np.ndarray, heat: np.ndarray | None) -> str:
        from fastmri_cls.inference.gradcam import overlay  # loaded by the engine that drew `heat`

        assert self._options.gradcam is not None
        assert heat is not None
        Image.fromarray(overlay(pixels, heat)).save(self._options.gradcam / name)
        return name


def _resize_method(run: Run) -> str:
    method = run.config.dataset.resize
    if method is None:
        raise UserError(f"{run.path}: its config does not say how images were resized; train again")
    return method


def _temperature(run: Run) -> float:
    if run.calibration is None:
        raise UserError(
            f"--calibrated: {run.path} has no calibration; run evaluate on its dataset, which needs a validation split"
        )
    return run.calibration.temperature
