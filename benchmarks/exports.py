"""Every registered model in every export format: does its own runtime say what the model says?

python benchmarks/exports.py --json [--models A,hybrid:A+B] [--formats A,B] [--size 64]
    untrained models whose last layer is scaled until probabilities spread as a trained model's do, on drawn slices
python benchmarks/exports.py --run RUN --json [--formats A,B]
    a trained RUN on every test image of its dataset

One row a model and format: the largest and the mean difference of a probability, the classes that change, seconds and
megabytes. Rounding to int8 changes a class where two are nearly equal, so how far apart they were stands beside it.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from fastmri_cls.foundation.environment import describe
from fastmri_cls.foundation.progress import show_log
from fastmri_cls.foundation.quiet import import_tensorflow, without_native_output

SPREAD = 2.0  # standard deviation of the logits
IMAGES = 64


def spread_out(model, images: np.ndarray) -> None:
    """Scale and centre the last layer's logits over `images`."""
    from fastmri_cls.models.surgery import split_classifier

    parts = split_classifier(model)
    _, output_map = parts.backbone(parts.preprocessing(images.astype(np.float32)))
    units = parts.head(output_map).numpy()
    logits = units @ parts.last.kernel.numpy()
    scale = SPREAD / logits.std(axis=0)
    parts.last.kernel.assign(parts.last.kernel.numpy() * scale)
    parts.last.bias.assign(-logits.mean(axis=0) * scale)


def untrained(name: str, size: int):
    """Return what is exported of the model `name`, and images to check it on, which calibrate it too."""
    import keras

    from fastmri_cls.export.formats import Exported
    from fastmri_cls.models.head import ClassifierOptions, build_classifier
    from fastmri_cls.models.registry import find_model
    from fastmri_cls.sources.phantom import CLASSES, draw_phantom

    rng = np.random.default_rng(0)
    drawn = [draw_phantom(CLASSES[n % len(CLASSES)], rng, size)[0] for n in range(IMAGES)]
    images = np.stack(drawn)[..., None]
    keras.utils.set_random_seed(0)
    options = ClassifierOptions(len(CLASSES), size, 1)
    model = build_classifier(find_model(name), options, fast=False).model  # as a RUN has saved it
    spread_out(model, images)
    return Exported(model, CLASSES, "bilinear", images), images


def trained(run: Path):
    """Return what `export` exports of `run`, and every test image of its dataset."""
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.export.formats import Exported
    from fastmri_cls.export.run import CALIBRATION_IMAGES, spread_images
    from fastmri_cls.runs.run import Run

    opened = Run(run)
    dataset = Dataset(opened.config.data)
    calibration = spread_images(dataset, list(dataset.splits)[:1], CALIBRATION_IMAGES)
    tests = dataset.manifest.test_splits
    images = spread_images(dataset, tests, dataset.count(tests))
    return Exported(opened.model(), dataset.classes, str(dataset.manifest.options["resize"]), calibration), images


def try_one(name: str, format_: str, exported, images: np.ndarray) -> dict[str, object]:
    from fastmri_cls.export.formats import FORMATS
    from fastmri_cls.inference.agreement import compare
    from fastmri_cls.inference.runtimes import Outputs

    model = exported.model
    expected = model.predict(images.astype(np.float32), verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        FORMATS[format_].write(exported, Path(folder))
        seconds = time.perf_counter() - started
        found = FORMATS[format_].open(Path(folder))(images).probabilities
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    agreement = compare(Outputs(expected), Outputs(found), FORMATS[format_].tolerance)
    return {
        "name": f"{name} {format_}",
        "seconds": round(seconds, 1),
        "megabytes": round(size / 1e6, 1),
        **agreement.as_json(),
        "mean_difference": float(np.abs(expected - found).mean()),
        "holds": agreement.holds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--models")
    parser.add_argument("--formats")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    show_log()
    import_tensorflow()

    from fastmri_cls.export.formats import FORMATS
    from fastmri_cls.models.registry import BACKBONES

    rows = []
    for name in [arguments.run.name] if arguments.run else (arguments.models or ",".join(BACKBONES)).split(","):
        exported, images = trained(arguments.run) if arguments.run else untrained(name, arguments.size)
        for format_ in (arguments.formats or ",".join(FORMATS)).split(","):
            with without_native_output():
                row = try_one(name, format_, exported, images)
            rows.append(row)
            print(
                f"{row['name']:36} differs by {row['largest_difference']:.1e} (mean {row['mean_difference']:.1e})  "
                f"changed {row['changed']}/{row['images']} (at most {row['widest_change']:.2f} apart)  "
                f"{'holds' if row['holds'] else 'FAILS'}  {row['seconds']:6.1f} s  {row['megabytes']:6.1f} MB",
                flush=True,
            )
    if arguments.json:
        print(json.dumps({"rows": rows, "baseline": "model", "environment": describe()}))


if __name__ == "__main__":
    main()
