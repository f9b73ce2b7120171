"""Every registered model in every export format: does its own runtime say what the model says?

python benchmarks/exports.py --json [--models A,hybrid:A+B] [--size 64]

Models are untrained, but the last layer is scaled until probabilities spread as a trained model's do; images are drawn
slices. One row a model and format: the largest difference of a probability, the classes that change,
seconds and megabytes. An int8 row changes a class where two classes are nearly equal, so its margin stands beside it.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from fastmri_cls.foundation.environment import describe
from fastmri_cls.foundation.quiet import import_tensorflow

SPREAD = 2.0  # standard deviation of the logits
IMAGES = 64


def spread_out(model, images: np.ndarray) -> None:
    """Scale and centre the last layer's logits over `images`."""
    from fastmri_cls.models.parts import take_apart

    parts = take_apart(model)
    _, output_map = parts.backbone(parts.preprocessing(images.astype(np.float32)))
    units = parts.head(output_map).numpy()
    logits = units @ parts.last.kernel.numpy()
    scale = SPREAD / logits.std(axis=0)
    parts.last.kernel.assign(parts.last.kernel.numpy() * scale)
    parts.last.bias.assign(-logits.mean(axis=0) * scale)


def try_one(name: str, format_: str, model, images: np.ndarray) -> dict[str, object]:
    from fastmri_cls.exporting.check import compare
    from fastmri_cls.exporting.formats import FORMATS, Exported
    from fastmri_cls.sources.phantom import CLASSES

    expected = model.predict(images.astype(np.float32), verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        FORMATS[format_].write(Exported(model, CLASSES, "bilinear", images), Path(folder))
        seconds = time.perf_counter() - started
        found = FORMATS[format_].open(Path(folder))(images)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    agreement = compare(expected, found, FORMATS[format_].tolerance)
    first, second = np.sort(expected, axis=1)[:, :-3:-1].T
    differing = expected.argmax(axis=1) != found.argmax(axis=1)
    return {
        "name": f"{name} {format_}",
        "seconds": round(seconds, 1),
        "megabytes": round(size / 1e6, 1),
        **agreement.as_json(),
        "holds": agreement.holds,
        "largest_margin_changed": float((first - second)[differing].max(initial=0)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models")
    parser.add_argument("--formats")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    import_tensorflow()
    import keras

    from fastmri_cls.exporting.formats import FORMATS
    from fastmri_cls.foundation.errors import UserError
    from fastmri_cls.models.head import ClassifierOptions, build_classifier
    from fastmri_cls.models.hybrid import find_model
    from fastmri_cls.models.registry import BACKBONES
    from fastmri_cls.sources.phantom import CLASSES, draw_phantom

    rng = np.random.default_rng(0)
    drawn = [draw_phantom(CLASSES[n % len(CLASSES)], rng, arguments.size)[0] for n in range(IMAGES)]
    images = np.stack(drawn)[..., None]
    rows = []
    for name in arguments.models.split(",") if arguments.models else BACKBONES:
        keras.utils.set_random_seed(0)
        options = ClassifierOptions(len(CLASSES), arguments.size, 1)
        model = build_classifier(find_model(name), options, fast=False).model  # as a RUN has saved it
        spread_out(model, images)
        for format_ in arguments.formats.split(",") if arguments.formats else FORMATS:
            try:
                row = try_one(name, format_, model, images)
            except UserError as error:
                print(f"{f'{name} {format_}':36} {error}", flush=True)
                continue
            rows.append(row)
            print(
                f"{row['name']:36} differs by {row['largest_difference']:.1e}  changed {row['changed']}/{IMAGES}  "
                f"{'holds' if row['holds'] else 'FAILS'}  {row['seconds']:6.1f} s  {row['megabytes']:6.1f} MB",
                flush=True,
            )
    if arguments.json:
        print(json.dumps({"rows": rows, "baseline": "model", "environment": describe()}))


if __name__ == "__main__":
    main()
