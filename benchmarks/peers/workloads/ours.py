"""What fastmri-cls does, as the candidates `ours`: every function runs what a command runs."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.peers.workloads import Workload, repeated, search_of
from fastmri_cls.foundation.cpu import available_cores
from fastmri_cls.foundation.quiet import import_tensorflow


def step(model: str, phase: int, precision: str, size: int, batch: int) -> Workload:
    """A training step of `train` on a constant batch, in Keras' dtype policy `precision`."""
    import_tensorflow()
    from fastmri_cls.benchmark.step import constant_step
    from fastmri_cls.training.precision import default_policy

    train = constant_step(model, phase, default_policy(precision, "auto"), size, batch)
    return repeated(train, batch)


def keras_forward(model_file: str, precision: str, batch: int) -> Workload:
    """The forward pass of `predict --engine keras` in Keras' dtype policy `precision`."""
    import_tensorflow()
    import keras

    from fastmri_cls.inference.keras_engine import make_forward

    return forward(make_forward(keras.models.load_model(model_file), batch, precision), model_file, batch)


def openvino_forward(model_file: str, precision: str, batch: int) -> Workload:
    """The forward pass of `predict --engine openvino` on an ONNX file."""
    from fastmri_cls.inference.openvino import OpenVino

    return forward(OpenVino(Path(model_file), batch).compile(precision), model_file, batch)


def exported_forward(model_file: str, batch: int) -> Workload:
    """The forward pass of `predict --engine onnx` or `litert`, as the file's name tells."""
    from fastmri_cls.inference.runtimes import open_litert, open_onnx

    path = Path(model_file)
    opened = open_onnx(path) if path.suffix == ".onnx" else open_litert(path.read_bytes())
    return forward(opened, model_file, batch)


def forward(run: Callable[[np.ndarray], object], model_file: str, batch: int) -> Workload:
    """Run `run` on one batch of random images, uint8 [batch, size, size, 1]; their size lies beside the model."""
    images = np.load(Path(model_file).with_name("images.npy"))[:batch]
    return repeated(lambda: run(images), batch)


def tier(dataset: str, cache: str) -> Workload:
    """The input of `train --cache CACHE`: augmented and normalised batches."""
    import_tensorflow()
    from fastmri_cls.benchmark.inputs import open_tier
    from fastmri_cls.dataset import Dataset

    opened = open_tier(Dataset(dataset), cache)
    return Workload(opened.open, opened.batch_size)


def search(listing: str, found: str) -> Workload:
    """The search of `audit` and `build-tfrecords`: reads, hashes and compares the files that `listing` names."""
    from benchmarks.audit import all_pairs
    from fastmri_cls.duplicates.pairs import find_duplicates
    from fastmri_cls.records.catalogue import collect
    from fastmri_cls.records.ingest import ingest
    from fastmri_cls.sources.folders import SourceFile

    paths = json.loads(Path(listing).read_text(encoding="utf-8"))
    files = [SourceFile("source", Path(path), path, None, "class") for path in paths]

    def run() -> list[tuple[str, str]]:
        catalogue = collect(ingest(files, None, available_cores()))
        names = [file.filename for file in catalogue.files]
        return [(names[a], names[b]) for a, b in all_pairs(find_duplicates(catalogue.fingerprints))]

    return search_of(run, len(files), found)
