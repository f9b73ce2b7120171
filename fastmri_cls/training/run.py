"""One training from options to model.keras: the RUN folder, the two phases, the saved model. `train` calls this."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from fastmri_cls.foundation.atomic import new_file, write_text
from fastmri_cls.foundation.environment import describe
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log, log_to
from fastmri_cls.foundation.run_folder import FILE_NAME, alone, read_config
from fastmri_cls.models.backbones import unfrozen_layers
from fastmri_cls.models.head import ClassifierOptions, build_classifier, float32_copy
from fastmri_cls.models.registry import find_backbone
from fastmri_cls.models.weights import load_weights
from fastmri_cls.pipeline.tiers import choose_tier
from fastmri_cls.records.manifest import Manifest, check_files, read_manifest
from fastmri_cls.training.data import load_training_data
from fastmri_cls.training.options import TrainOptions
from fastmri_cls.training.phases import check_feature_views, run_phases
from fastmri_cls.training.precision import choose_precision, choose_xla
from fastmri_cls.training.protocol import Protocol

MODEL_NAME = "model.keras"
_RESOLVED = ("cache", "precision", "xla")  # what may be `auto`


def train(options: TrainOptions) -> None:
    """Train both phases and write config.json, history.csv, tensorboard/ and model.keras into `options.out`.

    Raises:
        UserError: the dataset is unsound or unfit for the protocol, the model or its weights cannot be had, OUT exists.
        Stopped: SIGTERM came; `resume` goes on.
    """
    manifest = read_manifest(options.data)
    check_files(options.data, manifest)
    backbone = find_backbone(options.model)
    check_protocol(manifest, options.protocol, options.data)
    if options.resume and (options.out / FILE_NAME).exists():
        options = _as_begun(options, manifest)
    elif options.out.exists() and any(options.out.iterdir()):
        raise UserError(f"{options.out}: exists already; add --resume to go on with it or choose another --out")
    options = _resolve(options, manifest)

    keras.utils.set_random_seed(options.seed)
    if options.deterministic:
        # keras-cv's layers ask for the global generator, which determinism wants to have been set.
        tf.random.set_global_generator(tf.random.Generator.from_seed(options.seed))
        tf.config.experimental.enable_op_determinism()
    classifier = build_classifier(
        backbone,
        ClassifierOptions(
            num_classes=len(manifest.classes),
            image_size=manifest.image_size,
            channels=manifest.channels,
            preprocessing=options.protocol.preprocessing,
            precision=options.precision,
        ),
    )
    unfrozen_layers(classifier.base, options.protocol.unfreeze)  # an unknown layer ends it here
    loaded = load_weights(classifier, options.weights)
    check_feature_views(options, from_scratch=loaded is None)
    data = load_training_data(options.data, manifest, options.protocol, options.cache, options.seed, options.fold)

    with alone(options.out), log_to(options.out / "train.log"):
        _check_resize(manifest, options.protocol)
        if not (options.out / FILE_NAME).exists():
            write_config(options, manifest, loaded)
        if not (options.out / MODEL_NAME).exists():
            run_phases(classifier, data, options, manifest, from_scratch=loaded is None)
            with new_file(options.out / MODEL_NAME) as path:
                float32_copy(classifier).model.save(path)


def write_config(options: TrainOptions, manifest: Manifest, loaded: dict[str, Any] | None) -> None:
    """Write config.json: every option as resolved, the dataset, the weights, versions and devices."""
    config = {
        **{name: str(value) if isinstance(value, Path) else value for name, value in asdict(options).items()},
        "classes": list(manifest.classes),
        "image_size": manifest.image_size,
        "channels": manifest.channels,
        "dataset": {
            "fingerprint": manifest.fingerprint,
            "split": manifest.split,
            "resize": manifest.options["resize"],
            "splits": {name: split.num_examples for name, split in manifest.splits.items()},
            "per_class": {name: split.per_class for name, split in manifest.splits.items()},
        },
        "loaded_weights": loaded,
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "environment": describe(),
    }
    write_text(options.out / FILE_NAME, json.dumps(config, indent=2, ensure_ascii=False) + "\n")


def check_protocol(manifest: Manifest, protocol: Protocol, directory: Path) -> None:
    """Refuse a dataset on which the protocol's numbers would not mean what they say.

    Raises:
        UserError: copies of one image are in several splits, and the protocol does not allow it.
    """
    straddling = manifest.duplicates.get("straddling", 0)
    if straddling and not protocol.straddling_allowed:
        raise UserError(
            f"{directory}: {straddling} groups of copies are in more than one split, so that a test accuracy would be "
            f"too high; rebuild with --split grouped, or choose --protocol paper to accept it"
        )


def _as_begun(options: TrainOptions, manifest: Manifest) -> TrainOptions:
    """Return `options` with what `auto` meant when the RUN began.

    Raises:
        UserError: an option or the dataset differs from the RUN's.
    """
    config = read_config(options.out)
    if config["dataset"]["fingerprint"] != manifest.fingerprint:
        raise UserError(
            f"{options.out}: was begun with another dataset than {options.data}; give that, or another --out"
        )
    asked = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(options).items()}
    for name in set(asked) - {"out", "data", "resume", *_RESOLVED}:
        if json.loads(json.dumps(asked[name])) != config.get(name):
            raise UserError(f"{options.out}: was begun with another {name}; give the same options, or another --out")
    for name in _RESOLVED:
        if asked[name] not in ("auto", config[name]):
            raise UserError(f"{options.out}: was begun with --{name} {config[name]}; give the same, or another --out")
    return replace(options, **{name: config[name] for name in _RESOLVED})


def _resolve(options: TrainOptions, manifest: Manifest) -> TrainOptions:
    return replace(
        options,
        cache=choose_tier(options.cache, manifest.pixels_bytes),
        precision=choose_precision(options.precision),
        xla="on" if choose_xla(options.xla) else "off",
    )


def _check_resize(manifest: Manifest, protocol: Protocol) -> None:
    built = manifest.options.get("resize")
    if built != protocol.resize:
        log.info(
            f"note: the dataset was resized with {built}, protocol {protocol.name} means {protocol.resize} "
            f"(build-tfrecords --resize {protocol.resize})"
        )
