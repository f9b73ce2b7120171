"""What the parts of gpu.py share: a part's sizes and results, a dataset, an engine, its rate, PyTorch's rate."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastmri_cls.foundation.environment import describe

BFLOAT16 = "mixed_bfloat16"


@dataclass
class Session:
    """One part: its sizes, its dataset, and the results so far."""

    part: str
    out: Path
    models: list[str]
    smoke: bool
    end: float
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Height and width of the images in pixels."""
        return 64 if self.smoke else 224

    @property
    def batches(self) -> tuple[int, ...]:
        """Batch sizes; the first is the protocol's."""
        return (8,) if self.smoke else (32, 256)

    def note(self, name: str, measure: Callable[[], Any]) -> Any:
        """Measure, print, and write down; an error is a result too."""
        began = time.monotonic()
        try:
            value = measure() if began < self.end else "no time left"
        except Exception as error:
            value = {"error": f"{type(error).__name__}: {str(error)[:500]}"}
        self.results[name] = value
        print(f"[{time.monotonic() - began:6.1f} s] {name}: {json.dumps(value, default=str)}", flush=True)
        text = json.dumps(self.document(), default=str, indent=1)
        (self.out / f"{self.part}.json").write_text(text, encoding="utf-8")
        return value

    def document(self) -> dict[str, Any]:
        """Return everything measured so far, as JSON."""
        return {"part": self.part, "smoke": self.smoke, "results": self.results, "environment": describe()}

    def data(self) -> Path:
        """Return a dataset of phantoms, JPEG, built once."""
        from fastmri_cls.records.build import build_dataset
        from fastmri_cls.records.options import BuildOptions
        from fastmri_cls.sources.classes import ClassNames
        from fastmri_cls.sources.folders import parse_sources
        from fastmri_cls.sources.phantom import write_phantom_sources

        folder = self.out / f"data{self.size}"
        if not folder.exists():
            count = 24 if self.smoke else 256
            drawn = write_phantom_sources(self.out / "sources", training=count, testing=count // 2)
            sources = parse_sources([f"{name}={path}" for name, path in drawn.items()])
            build_dataset(sources, ClassNames(), BuildOptions(image_size=self.size, encoding="jpeg"), folder, workers=1)
        return folder

    def training(self, tier: str, batch: int, steps: int) -> Any:
        """Return endless training batches of one tier, or for `constant` one batch over and over."""
        from fastmri_cls.benchmark.step import ConstantExamples
        from fastmri_cls.dataset import Dataset
        from fastmri_cls.pipeline.batches import TrainingBatches

        if tier == "constant":
            images = np.zeros((batch, self.size, self.size, 1), np.uint8)
            examples: Any = ConstantExamples(images, np.arange(batch) % 4)
        else:
            examples = Dataset(self.data()).examples("train", tier)
        return TrainingBatches(examples, batch, steps, [1.0] * 4, seed=0, endless=True)


def make_engine(one: Session, model: str, precision: str = BFLOAT16, *, xla: bool = True, **more: Any) -> Any:
    """Return the engine of one phase (`phase`), with our layers or Keras' (`fast`), and changes to the protocol."""
    import keras

    from fastmri_cls.models.head import ClassifierOptions, build_classifier
    from fastmri_cls.models.registry import find_model
    from fastmri_cls.runs.protocol import resolve_protocol
    from fastmri_cls.training import engine
    from fastmri_cls.training.precision import ComputePolicy

    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    phase, fast = more.pop("phase", 1), more.pop("fast", True)
    found = find_model(model)
    classifier = build_classifier(found, ClassifierOptions(4, one.size, 1, precision=precision), fast=fast)
    return engine.make_engine(
        classifier, resolve_protocol("strict", more), phase, ComputePolicy(precision, xla), seed=0,
        from_scratch=found.default_weights == "none",
    )  # fmt: skip


def rate(one: Session, engine: Any, tier: str = "constant", batch: int | None = None) -> dict[str, Any]:
    """Return images/s of the best of three fits after one that compiles, its seconds, and the peak of memory."""
    import tensorflow as tf

    from fastmri_cls.benchmark.step import Rate
    from fastmri_cls.pipeline.batches import EvaluationBatches

    batch = batch or one.batches[0]
    steps, measured, seconds = 4 if one.smoke else max(64, 4096 // batch), Rate(), []
    training = one.training(tier, batch, steps)
    validation = EvaluationBatches(one.training("constant", batch, 1).examples, batch)
    rates = []
    for _ in range(2 if one.smoke else 4):
        began = time.perf_counter()
        engine.fit(training, validation, 1, [measured])
        rates.append(measured.images_per_second)
        seconds.append(time.perf_counter() - began)
    gpus = tf.config.list_logical_devices("GPU")
    peak = tf.config.experimental.get_memory_info("GPU:0")["peak"] >> 20 if gpus else None
    return {"images_per_second": round(max(rates[1:]), 1), "first_fit_seconds": round(seconds[0], 1), "peak_mib": peak}


def torch_rate(one: Session, model: str, batch: int) -> float:
    """Return images/s of PyTorch's step in bfloat16, channels last: frozen backbone, a head that trains, Adam."""
    import torch
    from peers.workloads.torch_steps import make_step

    device = "cuda" if torch.cuda.is_available() else "cpu"
    step, count = make_step(model, one.size, batch, device=device), 4 if one.smoke else 64

    def run(number: int) -> None:
        for _ in range(number):
            loss = step()
        float(loss)

    run(3)
    began = time.perf_counter()
    run(count)
    return round(batch * count / (time.perf_counter() - began), 1)


def command(one: Session, *words: object) -> dict[str, Any]:
    """Run `fastmri-cls WORDS`; return its exit code, its seconds, and its last line."""
    began, line = time.perf_counter(), [sys.executable, "-m", "fastmri_cls", *map(str, words)]
    left = max(one.end - time.monotonic(), 1)
    done = subprocess.run(line, capture_output=True, text=True, timeout=left, check=False)
    said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return {
        "code": done.returncode,
        "seconds": round(time.perf_counter() - began, 1),
        "last": (said or [""])[-1][:1500],
    }
