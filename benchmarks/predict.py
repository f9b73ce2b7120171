"""How much of the forward pass' own speed `fastmri-cls predict` keeps, files and decoding included, and its memory.

python benchmarks/predict.py --json
    1 000 drawn slices (512 px RGB JPEG), an untrained densenet121-imagenet at 224 px
python benchmarks/predict.py --run RUN --source DIR --json
    a trained RUN on the files of DIR
python benchmarks/predict.py --engines densenet121-imagenet,efficientnetv2s,convnext-tiny --images 128 --json
    every engine beside Keras' own layers in float32, which predict used before there were engines

`forward` runs the predictor's graph on one batch that is in memory, over and over; `predict` is the whole way from the
files. They take turns, and the ratio is the median of the rounds' ratios. `rss_growth_mib` is what the process' peak
memory grew by from the first tenth of the images to the last.
"""

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from fastmri_cls.foundation.environment import describe
from fastmri_cls.foundation.progress import show_log
from fastmri_cls.foundation.quiet import import_tensorflow
from fastmri_cls.inference.runtimes import Outputs
from fastmri_cls.runs.config import DatasetFacts, RunConfig, write_config
from fastmri_cls.runs.protocol import Protocol
from fastmri_cls.runs.run import Run

ROUNDS = 3


def draw_files(folder: Path, count: int) -> list[Path]:
    from fastmri_cls.sources.phantom import CLASSES, draw_phantom

    slices = [draw_phantom(label, np.random.default_rng(n), 512)[0] for n in range(10) for label in CLASSES]
    files = [folder / f"{number:05d}.jpg" for number in range(count)]
    for number, path in enumerate(files):
        Image.fromarray(np.roll(slices[number % len(slices)], number, axis=0)).convert("RGB").save(path, quality=90)
    return files


def untrained_run(folder: Path, model: str) -> Run:
    """A RUN that predict can load, as train leaves it, but with weights as initialised."""
    from fastmri_cls.models.head import ClassifierOptions, build_classifier
    from fastmri_cls.models.registry import find_backbone

    build_classifier(find_backbone(model), ClassifierOptions(4, 224, 1), fast=False).model.save(folder / "model.keras")
    config = RunConfig(
        data=folder,
        model=model,
        out=folder,
        protocol=Protocol.strict(),
        classes=("a", "b", "c", "d"),
        image_size=224,
        channels=1,
        dataset=DatasetFacts(fingerprint="", split="grouped", resize="bilinear"),
        loaded_weights=None,
        environment=describe(),
    )
    write_config(folder, config)
    return Run(folder)


def measure(run: Run, files: list[Path]) -> dict[str, object]:
    from fastmri_cls.inference.predictor import PredictOptions, Predictor

    options = PredictOptions(batch_size=32)
    predictor = Predictor(run, options)
    rounds = []
    for number in range(ROUNDS + 1):  # the first one traces
        batch = np.zeros((options.batch_size, *predictor.image_shape), np.uint8)
        started = time.perf_counter()
        for _ in range(-(-len(files) // options.batch_size)):
            predictor.engine.forward(batch)
        forward = len(files) / (time.perf_counter() - started)
        started, early = time.perf_counter(), 0
        for done, _ in enumerate(predictor.predict(files)):
            if done == len(files) // 10:
                early = peak_mib()
        whole = len(files) / (time.perf_counter() - started)
        if number:
            rounds.append((forward, whole))
        print(f"round {number}: forward {forward:.1f} images/s, predict {whole:.1f} images/s", flush=True)
        if number == 0:
            growth = peak_mib() - early
    ratio = statistics.median(whole / forward for forward, whole in rounds)
    rows = [
        {"name": "forward", "images_per_second": statistics.median(f for f, _ in rounds), "ratio": 1.0},
        {"name": "predict", "images_per_second": statistics.median(w for _, w in rounds), "ratio": ratio},
    ]
    return {"rows": rows, "baseline": "forward", "images": len(files), "rss_growth_mib": growth}


def open_engines(run: Run, batch_size: int) -> dict[str, Callable[[np.ndarray], Outputs]]:
    """Every engine's forward pass; `before` is the baseline."""
    import tensorflow as tf

    from fastmri_cls.inference.keras_engine import make_forward
    from fastmri_cls.inference.openvino import OpenVino
    from fastmri_cls.models.surgery import split_classifier

    model = run.model()
    parts = split_classifier(model).forward
    traced = tf.function(lambda images: parts(tf.cast(images, tf.float32), training=False)[::-1])
    converted = OpenVino(model, batch_size)
    return {
        "before": lambda images: Outputs(*(tensor.numpy() for tensor in traced(images))),
        "keras float32": make_forward(model, batch_size),
        "keras bfloat16": make_forward(model, batch_size, "mixed_bfloat16"),
    } | {f"openvino {precision}": converted.compile(precision) for precision in converted.precisions}


def measure_engines(run: Run, files: list[Path]) -> list[dict[str, object]]:
    """Let the engines take turns."""
    from fastmri_cls.inference.predictor import PredictOptions, Predictor

    options = PredictOptions(batch_size=32)
    files = files[: len(files) // options.batch_size * options.batch_size]  # `before` traces a size of a batch anew
    predictor = Predictor(run, replace(options, engine="keras"))
    engines = open_engines(run, options.batch_size)
    first = [Image.open(path).convert("L").resize(predictor.image_shape[:2]) for path in files[: options.batch_size]]
    batch = np.stack([np.asarray(image)[..., None] for image in first])
    expected = engines["before"](batch).probabilities
    difference = {name: float(np.abs(run(batch).probabilities - expected).max()) for name, run in engines.items()}
    times: dict[str, list[tuple[float, float, float]]] = {name: [] for name in engines}
    for _ in range(ROUNDS):
        for name, forward in engines.items():
            wall, processor = time.perf_counter(), time.process_time()
            forward(batch)
            forward(batch)
            alone = time.perf_counter() - wall, time.process_time() - processor
            predictor.engine = predictor.engine._replace(forward=forward)
            started = time.perf_counter()
            for _ in predictor.predict(files):
                pass
            times[name].append((*alone, time.perf_counter() - started))
    rows = []
    for name, found in times.items():
        ratios = [
            [old / new for old, new in zip(before, after, strict=True)]
            for before, after in zip(times["before"], found, strict=True)
        ]
        forward_ratio, processor_ratio, ratio = (statistics.median(column) for column in zip(*ratios, strict=True))
        rows.append({
            "name": f"{run.config.model} {name}",
            "images_per_second": len(files) / statistics.median(whole for _, _, whole in found),
            "ratio": ratio,
            "forward_ratio": forward_ratio,
            "processor_ratio": processor_ratio,
            "difference": difference[name],
        })  # fmt: skip
    return rows


def peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--model", default="densenet121-imagenet")
    parser.add_argument("--engines", metavar="MODELS", help="compare engines, for each of these models")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    show_log()
    import_tensorflow()
    from fastmri_cls.inference.predictor import find_images

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.source:
            files = find_images([arguments.source])[: arguments.images]
        else:
            (folder / "files").mkdir()
            files = draw_files(folder / "files", arguments.images)
        if arguments.engines:
            rows = []
            for model in arguments.engines.split(","):
                rows += measure_engines(untrained_run(folder, model), files)
                for row in rows[-5:]:
                    print(
                        f"{row['name']:42} {row['images_per_second']:6.1f} images/s  ratio {row['ratio']:.2f}  forward "
                        f"{row['forward_ratio']:.2f}  processor {row['processor_ratio']:.2f}  {row['difference']:.0e}",
                        flush=True,
                    )
            if arguments.json:
                print(json.dumps({"rows": rows, "baseline": "before of each", "environment": describe()}))
            return
        run = Run(arguments.run) if arguments.run else untrained_run(folder, arguments.model)
        result = measure(run, files)
    for row in result["rows"]:
        print(f"{row['name']:8} {row['images_per_second']:8.1f} images/s  ratio {row['ratio']:.2f}")
    print(f"peak memory grew by {result['rss_growth_mib']} MiB over the last nine tenths of the images")
    if arguments.json:
        print(json.dumps({**result, "environment": describe()}))


if __name__ == "__main__":
    main()
