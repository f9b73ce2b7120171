"""How much of the forward pass' own speed `fastmri-cls predict` keeps, files and decoding included, and its memory.

python benchmarks/predict.py --json
    1 000 drawn slices (512 px RGB JPEG), an untrained densenet121-imagenet at 224 px
python benchmarks/predict.py --run RUN --source DIR --json
    a trained RUN on the files of DIR

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
from pathlib import Path

import numpy as np
from PIL import Image

from fastmri_cls.foundation.environment import describe
from fastmri_cls.foundation.progress import show_log
from fastmri_cls.foundation.quiet import import_tensorflow
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

    options = PredictOptions()
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


def peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--model", default="densenet121-imagenet")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    show_log()
    import_tensorflow()
    from fastmri_cls.inference.predictor import find_images

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = Run(arguments.run) if arguments.run else untrained_run(folder, arguments.model)
        if arguments.source:
            files = find_images([arguments.source])[: arguments.images]
        else:
            (folder / "files").mkdir()
            files = draw_files(folder / "files", arguments.images)
        result = measure(run, files)
    for row in result["rows"]:
        print(f"{row['name']:8} {row['images_per_second']:8.1f} images/s  ratio {row['ratio']:.2f}")
    print(f"peak memory grew by {result['rss_growth_mib']} MiB over the last nine tenths of the images")
    if arguments.json:
        print(json.dumps({**result, "environment": describe()}))


if __name__ == "__main__":
    main()
