"""What fastmri-cls does on a GPU, in parts that each take some minutes; every result is written down at once.

python benchmarks/gpu.py --part PART --out DIR [--models A,B] [--seconds 500] [--device gpu]

facts        the card, the tier that `auto` takes before and after it is in use, gather, iterators
steps        images/s of precision x XLA x batch size, of the cache tiers (the share of a step that waits for input)
             and of phase 2; PyTorch's own step beside them where torch and torchvision are installed
layers       our layers beside Keras' own; how far TF32 is from float32
precision    mixed_float16: finite losses, skipped updates
determinism  the same training twice with --deterministic
views        feature extraction beside the bare forward pass
protocol     seconds of the whole two-phase protocol, on images and on feature views
commands     benchmark step, profile, train and predict as users call them

DIR/PART.json is complete after each measurement, and what fails or comes too late says so in its place. The roofline is
an estimate for one H100 (GFLOP and bytes of the layers at 224 px; 400 TFLOP/s for convolutions, 2.7 TB/s). `--smoke`
runs everything tiny, on any device: it says whether a part works, not how fast.
"""

import argparse
import hashlib
import io
import json
import time
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gpu_session import BFLOAT16, Session, command, make_engine, rate, torch_rate
from peers.networks import TORCHVISION

from fastmri_cls.foundation.cache import cache_in
from fastmri_cls.foundation.gpus import free_gpu_memory, use_device
from fastmri_cls.foundation.progress import show_log
from fastmri_cls.foundation.quiet import import_tensorflow

# Images/s of a forward pass at 224 px, every operation apart and perfectly fused; estimates.
ROOFLINE = {
    "densenet121-imagenet": (13_600, 30_400),
    "efficientnetv2s": (20_800, 54_800),
    "convnext-tiny": (31_600, 46_900),
    "small-cnn": (458_000, 880_000),
}


def facts(one: Session) -> None:
    """The card, and whether `auto` means the same before and after it is in use."""
    import tensorflow as tf

    from fastmri_cls.dataset import Dataset
    from fastmri_cls.pipeline.batches import prefetch_to_accelerator
    from fastmri_cls.pipeline.tiers import TIERS, choose_tier

    def gather() -> float:
        examples = Dataset(one.data()).examples("train", "device")
        fetch, indices, count = tf.function(examples.fetch), tf.constant(np.arange(256) * 7 % 64), 20
        fetch({"index": indices})["image"][0, 0, 0, 0].numpy()
        began = time.perf_counter()
        for _ in range(count):
            image = fetch({"index": indices})["image"]
        image[0, 0, 0, 0].numpy()
        return round(256 * count / (time.perf_counter() - began))

    def iterator_milliseconds(tier: str) -> float:
        batches, spent = one.training(tier, 8, 2), []
        for _ in range(5):
            began = time.perf_counter()
            next(iter(prefetch_to_accelerator(batches.stream(0), batches.examples)))
            spent.append(1000 * (time.perf_counter() - began))
        return round(float(np.median(spent[1:])), 1)

    for when in ("before", "after"):
        one.note(f"auto tier {when}", lambda: [choose_tier("auto", 1 << 30), free_gpu_memory()])
        one.note(f"gather images/s {when}", gather)
    one.note("iterator ms", lambda: {tier: iterator_milliseconds(tier) for tier in TIERS})


def steps(one: Session, model: str) -> None:
    """Precision x XLA x batch size on a constant batch; then the tiers, phase 2, and PyTorch."""
    from fastmri_cls.pipeline.tiers import TIERS

    for precision in (BFLOAT16, "float32"):
        for xla in (True, False):
            for batch in one.batches:
                engine = partial(make_engine, one, model, precision, xla=xla)
                name = f"{model} {precision} xla={xla} batch={batch}"
                one.note(name, lambda engine=engine, batch=batch: rate(one, engine(), batch=batch))
    tiers = one.note(f"{model} tiers", lambda: {tier: rate(one, make_engine(one, model), tier) for tier in TIERS})
    alone = one.results[f"{model} {BFLOAT16} xla=True batch={one.batches[0]}"]
    one.note(
        f"{model} input wait",
        lambda: {t: round(1 - r["images_per_second"] / alone["images_per_second"], 3) for t, r in tiers.items()},
    )
    one.note(f"{model} phase 2", lambda: rate(one, make_engine(one, model, phase=2), "ram"))
    if model in TORCHVISION:
        one.note(f"{model} PyTorch", lambda: {f"batch={b}": torch_rate(one, model, b) for b in one.batches})


def layers(one: Session, model: str) -> None:
    """Our layers beside Keras' own, and the largest difference of a probability from Keras' without TF32."""
    import tensorflow as tf

    def differences() -> dict[str, float]:
        images = tf.constant(np.random.default_rng(0).uniform(0, 255, (8, one.size, one.size, 1)), tf.float32)
        ours = make_engine(one, model, "float32", xla=False).model
        theirs = make_engine(one, model, "float32", xla=False, fast=False).model
        theirs.set_weights(ours.get_weights())
        found = {}
        for tf32 in (False, True):
            tf.config.experimental.enable_tensor_float_32_execution(tf32)
            for name, network in (("keras", theirs), ("ours", ours)):
                step = tf.function(lambda x, network=network: network(x, training=False))
                found[f"{name}, TF32 {tf32}"] = step(images).numpy()
        return {name: float(np.abs(value - found["keras, TF32 False"]).max()) for name, value in found.items()}

    for fast in (True, False):
        for xla in (True, False):
            engine = partial(make_engine, one, model, xla=xla, fast=fast)
            one.note(f"{model} ours={fast} xla={xla}", lambda engine=engine: rate(one, engine()))
    one.note(f"{model} differences", differences)


def precision(one: Session, model: str) -> None:
    """mixed_float16 in phase 2: updates that were skipped show in the scale."""

    def float16(**changes: Any) -> dict[str, Any]:
        engine = make_engine(one, model, "mixed_float16", phase=2, **changes)
        measured, optimizer = rate(one, engine, "ram", 16), engine.model.optimizer
        return measured | {"scale": float(optimizer.dynamic_scale), "updates": int(optimizer.iterations)}

    for changes in ({}, {"clip_norm": 1.0, "ema": True}, {"accumulate": 4}):
        one.note(f"{model} mixed_float16 {changes}", lambda changes=changes: float16(**changes))


def train_once(one: Session, *flags: object) -> dict[str, Any]:
    """Train small-cnn for an epoch of each phase; return the digest of its weights too."""
    import h5py

    out = one.out / f"run-{time.monotonic_ns()}"
    epochs = ("--phase1-epochs", 1, "--phase2-epochs", 1)
    found = command(one, "train", "--data", one.data(), "--model", "small-cnn", "--out", out, *epochs, *flags)
    digest = hashlib.sha256()
    with zipfile.ZipFile(out / "model.keras") as archive:
        weights = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(weights) as file:
        file.visititems(lambda _, item: digest.update(item[()].tobytes()) if isinstance(item, h5py.Dataset) else None)
    return {"run": str(out), "weights": digest.hexdigest()[:16], "seconds": found["seconds"]}


def protocol(one: Session, model: str, views: int, epochs: dict[str, int]) -> dict[str, Any]:
    """Return the seconds of a training from seeded weights, and images/s of its phases."""
    from fastmri_cls.benchmark.two_phase import seeded_weights, without_early_stopping
    from fastmri_cls.models.registry import find_backbone
    from fastmri_cls.runs.options import TrainOptions
    from fastmri_cls.runs.protocol import resolve_protocol
    from fastmri_cls.training.run import train

    out, backbone, data = one.out / f"run-{time.monotonic_ns()}", find_backbone(model), one.data()
    pretrained = backbone.default_weights != "none"
    weights = str(seeded_weights(backbone, one.out / "weights.h5")) if pretrained else "none"
    recipe = without_early_stopping(resolve_protocol("paper", epochs))
    began = time.perf_counter()
    train(TrainOptions(data, model, out, recipe, weights=weights, feature_views=views))
    rows = [line.split(",") for line in (out / "history.csv").read_text(encoding="utf-8").splitlines()[1:]]
    return {"seconds": round(time.perf_counter() - began, 1), "images_per_second": {row[0]: row[-1] for row in rows}}


def views(one: Session, model: str) -> None:
    """Feature extraction, with reading and writing, beside the bare forward pass; then a training on features."""
    import tensorflow as tf

    from fastmri_cls.augment.policies import make_augmentation
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.models.head import ClassifierOptions, build_classifier, freeze_for_phase
    from fastmri_cls.models.registry import find_backbone
    from fastmri_cls.models.surgery import cut_classifier
    from fastmri_cls.pipeline.examples import Selection
    from fastmri_cls.training.feature_store import FeatureStore, Source

    def extraction() -> dict[str, float]:
        classifier = build_classifier(find_backbone(model), ClassifierOptions(4, one.size, 1, precision=BFLOAT16))
        freeze_for_phase(classifier, 1, 0.2, from_scratch=False)
        parts, dataset = cut_classifier(classifier, 0.2), Dataset(one.data())
        training = Selection(("train",))
        source = Source(dataset, training, Selection(("val",)))
        store = FeatureStore(classifier, parts, source, make_augmentation("paper"), {"run": time.time()})
        store.provide([(Selection(("val",)), None), (Selection(("val",)), 0)])  # traced
        began = time.perf_counter()
        store.provide([(training, 0), (training, 1)])
        found = 2 * training.count(dataset.manifest) / (time.perf_counter() - began)
        batch = one.batches[-1]
        images, forward = tf.zeros([batch, one.size, one.size, 1]), tf.function(lambda x: parts.tail(parts.trunk(x)))
        forward(images).numpy()
        began = time.perf_counter()
        for _ in range(4):
            pooled = forward(images)
        pooled.numpy()
        bare = 4 * batch / (time.perf_counter() - began)
        return {"images_per_second": round(found, 1), "forward": round(bare, 1), "ratio": round(found / bare, 2)}

    one.note(f"{model} extraction", extraction)
    if find_backbone(model).default_weights != "none":  # else nothing is frozen
        epochs = {"phase1_epochs": 1, "phase2_epochs": 1}
        one.note(f"{model} training on 2 views", lambda: protocol(one, model, 2, epochs))


def whole_protocol(one: Session, model: str) -> None:
    """50 + 10 epochs, live and on 4 feature views; the second run finds what XLA compiled."""
    from fastmri_cls.models.registry import find_backbone

    epochs = {"phase1_epochs": 1, "phase2_epochs": 1} if one.smoke else {}
    for count in (0, 0, 4) if find_backbone(model).default_weights != "none" else (0, 0):
        which = "live" if count == 0 else f"{count} views"
        run = "again" if f"{model} {which}" in one.results else ""
        one.note(f"{model} {which} {run}".strip(), lambda count=count: protocol(one, model, count, epochs))


def determinism(one: Session) -> None:
    """The digests of two equal trainings, with and without XLA."""
    for xla in ("on", "off"):
        flags = ("--deterministic", "--xla", xla, "--precision", BFLOAT16)
        one.note(f"xla {xla}", lambda flags=flags: [train_once(one, *flags) for _ in "ab"])


def commands(one: Session) -> None:
    """Commands as users call them."""
    source, few, data = one.data().parent / "sources" / "alpha", 4 if one.smoke else 64, one.data()
    model = one.models[0]
    step = ("--source", source, "--model", model, "--steps", few, "--rounds", 2, "--json")
    one.note("benchmark step", lambda: command(one, "benchmark", "step", *step))
    trace = one.out / f"trace-{time.monotonic_ns()}"
    one.note("profile", lambda: command(one, "profile", "--data", data, "--model", model, "--out", trace, "--json"))
    run = one.note("train", lambda: train_once(one))["run"]
    out = one.out / "predictions.csv"
    one.note("predict", lambda: command(one, "predict", run, source, "--out", out, "--json"))


OF_THE_MACHINE = {"facts": facts, "determinism": determinism, "commands": commands}
OF_A_MODEL = {"steps": steps, "layers": layers, "precision": precision, "views": views, "protocol": whole_protocol}


def table(one: Session) -> str:
    """Return the rates as a Markdown table, beside the roofline of the model where it is known."""
    lines = ["| measurement | images/s | peak MiB | roofline, images/s (estimate) |", "| :--- | ---: | ---: | ---: |"]
    for name, value in one.results.items():
        if isinstance(value, dict) and isinstance(value.get("images_per_second"), float):
            estimate = "{:,} to {:,}".format(*ROOFLINE[name.split()[0]]) if name.split()[0] in ROOFLINE else ""
            lines.append(f"| {name} | {value['images_per_second']:,.0f} | {value.get('peak_mib') or ''} | {estimate} |")
    return "\n".join(lines)


def main() -> None:
    """Parse, measure one part, print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=[*OF_THE_MACHINE, *OF_A_MODEL], required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--models", default=",".join(ROOFLINE), metavar="A,B")
    parser.add_argument("--seconds", type=float, default=500.0, help="nothing is begun after this time")
    parser.add_argument("--device", default="auto", choices=["auto", "gpu", "cpu"])
    parser.add_argument("--smoke", action="store_true", help="tiny, on any device")
    parser.add_argument("--json", action="store_true", help="print a JSON object as the last line")
    arguments = parser.parse_args()
    show_log()
    arguments.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + arguments.seconds
    one = Session(arguments.part, arguments.out, arguments.models.split(","), arguments.smoke, end)
    with cache_in(arguments.out / "cache"):
        import_tensorflow()
        use_device(arguments.device)
        if one.part in OF_THE_MACHINE:
            OF_THE_MACHINE[one.part](one)
        else:
            for model in one.models:
                OF_A_MODEL[one.part](one, model)
    print(table(one))
    if arguments.json:
        print(json.dumps(one.document(), default=str))


if __name__ == "__main__":
    main()
