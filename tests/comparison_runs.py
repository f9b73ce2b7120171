"""RUN folders with made-up predictions, for tests of comparison, report and study that need no training."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from fastmri_cls.evaluation.calibration import fit_calibration
from fastmri_cls.evaluation.sets import all_metrics
from fastmri_cls.runs.metrics import EvaluatedDataset, RunMetrics, Timing, write_metrics
from fastmri_cls.runs.predictions import Predictions, write_predictions

CLASSES = ("glioma", "meningioma", "notumor", "pituitary")


def make_predictions(images: int = 160, *, skill: float = 1.5, seed: int = 0, luck: int = 0) -> Predictions:
    """Probabilities of a model of some `skill` on images drawn by `seed`; `luck` is the model's own chance."""
    facts, own = np.random.default_rng(seed), np.random.default_rng([luck, seed])
    labels = facts.integers(0, 4, images)
    difficulty = facts.normal(0, 1, (images, 4))
    logits = difficulty + own.normal(0, 0.7, (images, 4)) + skill * np.eye(4)[labels]
    sources = np.where(np.arange(images) < images * 5 // 8, "alpha", "beta")
    return Predictions(
        splits=np.char.add("test.", sources),
        sources=sources,
        filenames=np.array([f"Testing/{CLASSES[label]}/{i:04}.png" for i, label in enumerate(labels)]),
        groups=np.arange(images) // 2,
        clean=np.arange(images) % 4 > 0,
        labels=labels,
        probabilities=special.softmax(logits, axis=1).astype(np.float32),
        classes=CLASSES,
    )


def write_run(folder: Path, tests: Predictions, **changes: Any) -> Path:
    """Write the files of a finished RUN; `changes` replace entries of config.json."""
    folder.mkdir(parents=True)
    validation = replace(make_predictions(120, skill=1.5, seed=99, luck=changes.get("seed", 0)), classes=tests.classes)
    calibration = fit_calibration(validation)
    config = {
        "model": "small-cnn",
        "weights": "default",
        "data": str(folder / "nowhere"),
        "out": str(folder),
        "seed": 0,
        "classes": list(tests.classes),
        "image_size": 64,
        "channels": 1,
        "precision": "float32",
        "xla": "off",
        "cache": "ram",
        "protocol": {"name": "strict", "preprocessing": "own", "contrast": 1.0, "augment": "paper", "unfreeze": 0.2},
        "dataset": {
            "fingerprint": "f" * 64,
            "split": "grouped",
            "splits": {"train": 40, "val": 120},
            "per_class": {"train": dict.fromkeys(tests.classes, 10), "val": dict.fromkeys(tests.classes, 30)},
        },
        "loaded_weights": None,
        "devices": ["/device:CPU:0"],
        "environment": {
            "fastmri-cls": "0",
            "commit": "abc",
            "python": "3",
            "packages": {"keras": "3"},
            "platform": "a platform",
            "processor": "a processor",
            "cores": 2,
        },
    } | changes
    history = ["phase,epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds,images_per_second"]
    history += [f"1,{e},{2 / e},{1 - 1 / (e + 1)},{2.2 / e},{0.9 - 1 / (e + 1)},0.001,{10 + e},100" for e in (1, 2, 3)]
    history += [f"2,{e},0.5,0.8,0.6,0.75,0.0001,{20 + e},60" for e in (1, 2)]
    tests_metrics, validation_metrics = all_metrics(tests, validation, calibration)
    metrics = RunMetrics(
        tests_metrics,
        validation_metrics,
        calibration.temperature,
        baselines={},
        timing=Timing(epochs=5, training_seconds=79.0, images_per_second=100.0),
        dataset=EvaluatedDataset("nowhere", config["dataset"].get("fingerprint", "")),
    )
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "history.csv").write_text("\n".join(history) + "\n")
    write_metrics(folder / "metrics.json", metrics)
    write_predictions(folder / "predictions.csv", tests)
    return folder
