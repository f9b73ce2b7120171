"""How long the whole protocol takes on a whole dataset, backbone by backbone: the notebooks' 36 hours, here.

python benchmarks/whole_study.py --data DIR --out DIR --json [--models A,B] [--feature-views K]

DIR is a dataset of build-tfrecords. 50 + 10 epochs without early stopping, from seeded random weights (which cost what
trained ones cost, and need no download), from the images to model.keras: the views are computed within the time, the
tests come after it (`fastmri-cls evaluate`). Each backbone is run once: it takes minutes.
"""

import argparse
import json
import time
from pathlib import Path

from fastmri_cls.foundation.cache import cache_in
from fastmri_cls.foundation.environment import describe
from fastmri_cls.foundation.progress import show_log
from fastmri_cls.foundation.quiet import import_tensorflow

PAPER = "densenet121-radimagenet,efficientnetv2s,convnext-tiny"


def seconds_of(model: str, data: Path, out: Path, views: int) -> float:
    """Train `model` into `out`, a RUN that must not be there; return the seconds from images to model.keras."""
    import keras

    from fastmri_cls.benchmark.two_phase import seeded_weights, without_early_stopping
    from fastmri_cls.models.registry import find_backbone
    from fastmri_cls.runs.options import TrainOptions
    from fastmri_cls.runs.protocol import resolve_protocol
    from fastmri_cls.training.run import train

    keras.backend.clear_session()
    weights = seeded_weights(find_backbone(model), out.with_suffix(".h5"))
    protocol = without_early_stopping(resolve_protocol("paper", {}))
    started = time.perf_counter()
    train(TrainOptions(data, model, out, protocol, weights=str(weights), feature_views=views))
    return time.perf_counter() - started


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="a dataset of build-tfrecords")
    parser.add_argument("--out", required=True, type=Path, help="where the RUNs go")
    parser.add_argument("--models", default=PAPER, metavar="A,B")
    parser.add_argument("--feature-views", type=int, default=4, help="0 trains on images")
    parser.add_argument("--json", action="store_true", help="print a JSON object as the last line")
    arguments = parser.parse_args()
    show_log()

    arguments.out.mkdir(parents=True)
    import_tensorflow()
    rows = []
    with cache_in(arguments.out / "cache"):  # views that an earlier run made would not be computed again
        for model in arguments.models.split(","):
            seconds = seconds_of(model, arguments.data, arguments.out / model, arguments.feature_views)
            rows.append({"name": model, "seconds": seconds})
            print(f"{model:24} {seconds / 60:6.1f} minutes", flush=True)
    print(f"{'together':24} {sum(row['seconds'] for row in rows) / 60:6.1f} minutes")
    if arguments.json:
        print(json.dumps({"rows": rows, "environment": describe()}))


if __name__ == "__main__":
    main()
