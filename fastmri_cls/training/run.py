"""One training from its options to model.keras: the RUN folder, the two phases, the saved model. `train` calls this."""

import json
import math
import time
from contextlib import ExitStack
from dataclasses import fields, replace

import keras
import tensorflow as tf

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.atomic import new_file
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.private_api import deterministic_ops
from fastmri_cls.foundation.progress import busy, log, log_to
from fastmri_cls.hub.weights import load_weights
from fastmri_cls.models.backbones import unfreeze_each
from fastmri_cls.models.head import ClassifierOptions, build_classifier, float32_copy
from fastmri_cls.models.registry import find_model
from fastmri_cls.runs import files
from fastmri_cls.runs.config import LoadedWeights, new_config, records_frozen_mode, write_config
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.protocol import Protocol
from fastmri_cls.runs.run import Run, exclusive, is_taken
from fastmri_cls.runs.train_file import write_train_file
from fastmri_cls.training.data import load_training_data
from fastmri_cls.training.display import describe_training
from fastmri_cls.training.distribution import DistributedContext, check_fits
from fastmri_cls.training.phases import check_feature_views, run_phases
from fastmri_cls.training.resolve import resolve
from fastmri_cls.training.tracking import Tracking

_RESOLVED = ("cache", "precision", "xla")  # may be `auto`
_NOT_COMPARED = ("out", "data", "resume", "max_hours", "track", "strategy", "device", "devices")  # on --resume


def train(options: TrainOptions, context: DistributedContext | None = None, tracking: Tracking | None = None) -> None:
    """Train both phases and write config.json, history.csv, tensorboard/ and model.keras into `options.out`.

    Args:
        options: may contain `auto`.
        context: the devices; None for one device. With several workers only the chief writes.
        tracking: an experiment tracker; None for none.

    Raises:
        UserError: the dataset is damaged or does not fit the protocol, the model or its weights are not available, or
            OUT exists.
        Stopped: SIGTERM or Ctrl-C came; `resume` continues.
    """
    context = context or DistributedContext()
    with context.ending_together(), deterministic_ops(options.deterministic):
        _train(options, context, tracking or Tracking())


def _train(options: TrainOptions, context: DistributedContext, tracking: Tracking) -> None:
    deadline = time.monotonic() + (options.max_hours or math.inf) * 3600
    with busy("reading the dataset"):
        dataset = Dataset(options.data, verify=True)
    backbone = find_model(options.model)
    check_protocol(dataset, options.protocol)
    check_fits(options, context)
    if context.is_chief:
        if options.resume and (options.out / files.CONFIG).exists():
            options = _as_begun(options, dataset)
        elif is_taken(options.out):
            raise UserError(f"{options.out}: exists already; add --resume to go on with it or choose another --out")
        with busy("choosing cache, precision and XLA"):
            options = resolve(options, dataset, replicas=context.replicas)
    chosen = {name: getattr(options, name) for name in _RESOLVED}
    chosen = json.loads(context.from_chief(json.dumps(chosen)))  # each worker's `auto` might choose differently
    options = replace(options, strategy=context.name, **chosen)

    with busy("building the model"):
        keras.utils.set_random_seed(options.seed)
        built = ClassifierOptions.for_dataset(dataset, options.protocol.preprocessing, options.precision)
        with context.strategy.scope():
            classifier = build_classifier(backbone, built)
        unfreeze_each(classifier.bases, options.protocol.unfreeze)  # refuses an unknown layer
        loaded = load_weights(classifier, options.weights)
    check_feature_views(options, from_scratch=loaded is None)
    with busy("loading images"):
        selected = dataset, options.protocol, options.cache, options.seed, options.fold
        data = load_training_data(*selected, context.worker_shard)

    with ExitStack() as held:
        if context.is_chief:
            held.enter_context(exclusive(options.out))
            held.enter_context(log_to(options.out / files.LOG))
            _check_resize(dataset, options.protocol)
            if not (options.out / files.CONFIG).exists():
                devices = [device.name for device in tf.config.list_logical_devices()]
                replicas = {"workers": context.workers, "replicas": context.replicas}
                write_config(options.out, new_config(options, dataset, loaded, devices, **replicas))
                write_train_file(options.out, options)
            _check_weights_as_begun(options, loaded)
            tracking.begin(options.out, Run(options.out).config)
        if not (options.out / files.MODEL).exists():
            log.info(describe_training(options, classifier.model, data))
            told = options, dataset, context, tracking
            run_phases(classifier, data, *told, from_scratch=loaded is None, deadline=deadline)
            if context.is_chief:
                with busy("saving the model"), new_file(options.out / files.MODEL) as path:
                    float32_copy(classifier).model.save(path)


def check_protocol(dataset: Dataset, protocol: Protocol) -> None:
    """Refuse a dataset on which the protocol's results would be misleading.

    Raises:
        UserError: duplicates of an image are in several splits, and the protocol does not allow it.
    """
    straddling = dataset.manifest.duplicates.get("straddling", 0)
    if straddling and not protocol.straddling_allowed:
        raise UserError(
            f"{dataset.path}: {straddling} groups of copies are in more than one split, so that a test accuracy would "
            f"be too high; rebuild with --split grouped, or choose --protocol paper to accept it"
        )


def _as_begun(options: TrainOptions, dataset: Dataset) -> TrainOptions:
    """Return `options` with `auto` as resolved when the RUN began.

    Raises:
        UserError: an option or the dataset differs from the RUN's.
    """
    config = Run(options.out).config
    if config.dataset.fingerprint != dataset.fingerprint:
        raise UserError(
            f"{options.out}: was begun with another dataset than {options.data}; give that, or another --out"
        )
    if not records_frozen_mode(options.out):
        options = replace(options, protocol=replace(options.protocol, frozen_mode=config.protocol.frozen_mode))
    for name in {field.name for field in fields(TrainOptions)} - {*_NOT_COMPARED, *_RESOLVED}:
        if getattr(options, name) != getattr(config, name):
            raise UserError(f"{options.out}: was begun with another {name}; give the same options, or another --out")
    if config.refresh_views:
        raise UserError(
            f"{options.out}: was begun with --refresh-views, which this version does not have; choose another --out"
        )
    begun = {name: getattr(config, name) for name in _RESOLVED}
    for name, value in begun.items():
        if name == "cache" and options.feature_views:
            continue  # features have a tier of their own
        if getattr(options, name) not in ("auto", value):
            raise UserError(f"{options.out}: was begun with --{name} {value}; give the same, or another --out")
    return replace(options, **begun)


def _check_weights_as_begun(options: TrainOptions, loaded: LoadedWeights | None) -> None:
    begun = Run(options.out).config.loaded_weights
    if (begun and begun.sha256) != (loaded and loaded.sha256):
        raise UserError(
            f"{options.out}: was begun with other weights than {options.weights} now are (another sha256); "
            "give the same file, or another --out"
        )


def _check_resize(dataset: Dataset, protocol: Protocol) -> None:
    built = dataset.manifest.options.get("resize")
    if built != protocol.resize:
        log.info(
            f"note: the dataset was resized with {built}, protocol {protocol.name} expects {protocol.resize} "
            f"(build-tfrecords --resize {protocol.resize})"
        )
