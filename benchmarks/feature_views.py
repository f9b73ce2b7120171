"""What feature views cost in accuracy: test accuracy against K on real scans, from weights made here.

python benchmarks/feature_views.py --pretrain nickparvar=DIR --target bhuvaji=DIR --out DIR --json

A backbone is trained from scratch on the first source, without the images of it that have a copy among the target's
validation or test images. Then `train --feature-views K` runs on the target for every K (0: live) and seed, from those
weights. The runs stay in OUT, so the same command goes on where it was interrupted; `accuracy.png` is the plot. Each
run is a process of its own.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from fastmri_cls.foundation.environment import describe
from fastmri_cls.foundation.progress import show_log
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import Source, parse_sources
from fastmri_cls.sources.scan import scan

BASELINE = "live"


def run(*arguments: str | Path) -> None:
    """Run a command of fastmri-cls.

    Raises:
        CalledProcessError: it failed; it has said why.
    """
    print("fastmri-cls", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "fastmri_cls", *map(str, arguments)], check=True)


def without_copies(source: Source, target: Source, data: Path, out: Path) -> Path:
    """Link the images of `source` that have no copy among what `data`, built from `target`, validates and tests on."""
    if not (out / "audit.json").exists():
        run("audit", f"{source.name}={source.path}", f"{target.name}={target.path}", "--out", out)
    pairs = _rows(out / "audit.csv")
    judging = {row["filename"] for row in _rows(data / "images.csv") if row["split"] not in ("", "train")}
    images = {(pair[f"{side}_source"], pair[f"{side}_path"], pair["group"]) for pair in pairs for side in "ab"}
    judged = {group for name, path, group in images if name == target.name and path in judging}
    copies = {path for name, path, group in images if name == source.name and group in judged}
    folder = out / f"{source.name}-alone"
    for file in scan([source], ClassNames()).files:
        if file.filename not in copies:
            link = folder / file.label / file.filename.replace("/", "-")
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(file.path.resolve())
    return folder


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def build(source: str, out: Path, image_size: int) -> Path:
    """Build a grouped dataset, once."""
    if not out.exists():
        run("build-tfrecords", source, "--out", out, "--image-size", str(image_size))
    return out


def train(out: Path, *flags: str | Path) -> float:
    """Train a RUN, once; return the accuracy on its tests."""
    if not (out / "metrics.json").exists():
        run("train", "--out", out, "--resume", *flags)
    return float(json.loads((out / "metrics.json").read_text(encoding="utf-8"))["tests"]["pooled"]["accuracy"])


def draw(accuracies: dict[int, list[float]], path: Path) -> None:
    """Plot each seed's accuracy and their mean against K."""
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    places = range(len(accuracies))
    for place, found in zip(places, accuracies.values(), strict=True):
        axes.plot([place] * len(found), found, "o", color="tab:blue", alpha=0.5)
    axes.plot(places, [statistics.mean(found) for found in accuracies.values()], "_", markersize=28, color="black")
    axes.set_xticks(places, ["live" if k == 0 else str(k) for k in accuracies])
    axes.set(xlabel="feature views K", ylabel="test accuracy", title="One dot a seed; the bar is their mean")
    axes.grid(axis="y", alpha=0.3)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pretrain", required=True, metavar="NAME=DIR", help="the source the backbone is trained on")
    parser.add_argument("--target", required=True, metavar="NAME=DIR", help="the source it is transferred to")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--model", default="densenet121-imagenet")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=20, help="of the training from scratch")
    parser.add_argument("--views", type=int, nargs="+", default=[0, 1, 2, 4, 8], help="0 is live")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", action="store_true", help="print a JSON object as the last line")
    arguments = parser.parse_args()
    show_log()
    out: Path = arguments.out
    (source, target) = parse_sources([arguments.pretrain, arguments.target])

    data = build(f"{target.name}={target.path}", out / "data", arguments.image_size)
    alone = without_copies(source, target, data, out / "audit")
    first = build(f"{source.name}={alone}", out / "pretraining-data", arguments.image_size)
    epochs = ("--phase1-epochs", str(arguments.epochs), "--phase2-epochs", "0")
    pretrained = train(out / "pretraining", "--data", first, "--model", arguments.model, "--weights", "none", *epochs)
    print(f"pretrained on {source.name}: {pretrained:.4f} on its own test groups")

    common = ("--data", data, "--model", arguments.model, "--weights", out / "pretraining")
    accuracies: dict[int, list[float]] = {k: [] for k in arguments.views}
    for seed in arguments.seeds:  # outside, so that an interrupted comparison is over whole seeds
        for k in arguments.views:
            flags = (*common, "--feature-views", str(k), "--seed", str(seed))
            accuracies[k].append(train(out / f"views{k}-seed{seed}", *flags))

    draw(accuracies, out / "accuracy.png")
    rows: list[dict[str, Any]] = [
        {
            "name": BASELINE if k == 0 else f"feature-views-{k}",
            "accuracy": statistics.mean(found),
            "seeds": found,
        }
        for k, found in accuracies.items()
    ]
    for row in rows:
        print(f"{row['name']:18} {row['accuracy']:.4f}   {' '.join(f'{value:.4f}' for value in row['seeds'])}")
    if arguments.json:
        print(json.dumps({"rows": rows, "baseline": BASELINE, "environment": describe()}))


if __name__ == "__main__":
    main()
