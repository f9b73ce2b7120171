"""The two phases of a protocol: what each trains, on which batches, and how an interrupted one goes on."""

from dataclasses import dataclass, replace

import keras

from fastmri_cls.augment.batch import Augmentation
from fastmri_cls.augment.policies import MIXING, make_augmentation
from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log
from fastmri_cls.models.cut import cut_classifier
from fastmri_cls.models.head import Classifier, freeze_for_phase
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.training.callbacks import AveragedWeights, History, schedule
from fastmri_cls.training.checkpoint import Checkpoint, Progress, assign, values
from fastmri_cls.training.data import TrainingData, training_selection, validation_selection
from fastmri_cls.training.distribution import Distribution, SharedCheckpoints
from fastmri_cls.training.engine import Engine, StepOptions
from fastmri_cls.training.feature_store import Source
from fastmri_cls.training.feature_views import make_feature_data
from fastmri_cls.training.optimizers import make_optimizer
from fastmri_cls.training.tensorboard import ConfusionByEpoch, write_augmented_batches, write_options


@dataclass(frozen=True)
class Stage:
    """What one phase trains: a model (the classifier or a part of it), its batches and their augmentation."""

    model: keras.Model
    data: TrainingData
    augment: Augmentation


def run_phases(
    classifier: Classifier,
    data: TrainingData,
    options: TrainOptions,
    dataset: Dataset,
    distribution: Distribution,
    *,
    from_scratch: bool,
) -> None:
    """Train what is left of both phases; the classifier ends with the best weights of the last phase.

    Every worker runs it; the chief alone records.
    """
    protocol = options.protocol
    step = StepOptions(classifier.options.num_classes, protocol.label_smoothing, options.seed, options.xla == "on")
    stages = _stages(classifier, data, options, dataset)
    checkpoints = SharedCheckpoints(options.out / "checkpoints", distribution)
    start = (checkpoints.latest() if options.resume else None) or Checkpoint()
    if start.model:
        log.info(f"going on from phase {start.progress.phase}, epoch {start.progress.epoch + 1}")
        assign(classifier.model.variables, start.model)
    with checkpoints.stopping_on_signals():
        for number, phase in ((1, protocol.phase1), (2, protocol.phase2)):
            if phase.max_epochs == 0 or number < start.progress.phase:
                continue
            stage = stages[number]
            freeze_for_phase(classifier, number, protocol.unfreeze, from_scratch=from_scratch)
            rate = phase.learning_rate * (protocol.scratch_factor if from_scratch else 1.0)
            steps = phase.max_epochs * stage.data.training.steps_per_epoch
            with distribution.strategy.scope():
                stage.model.compile(make_optimizer(rate, options.precision, protocol, steps))
            start = replace(start, progress=replace(start.progress, phase=number))
            engine = Engine(stage.model, stage.augment, step, classifier.model, distribution.strategy)
            callbacks = schedule(phase, protocol)
            if distribution.is_chief:
                history = History(options.out, start.progress, phase.max_epochs)
                epochs, board = history.epochs_done, history.tensorboard
                if epochs == 0:
                    write_options(board, options)
                    write_augmented_batches(board, data.training, protocol, options.seed)
                callbacks += [history, ConfusionByEpoch(board, dataset.classes, engine.confusion, epochs)]
            if protocol.ema:
                callbacks.append(AveragedWeights())
            batches = stage.data.training, stage.data.validation
            epochs = engine.fit(*batches, phase.max_epochs, callbacks, start, checkpoints)
            done = Progress(phase=number + 1, epochs_before=start.progress.epochs_before + epochs)
            start = Checkpoint(done, model=values(classifier.model.variables))
            checkpoints.save(lambda: start, force=True)  # noqa: B023 - called at once


def check_feature_views(options: TrainOptions, *, from_scratch: bool) -> None:
    """Refuse what cannot be trained on features.

    Raises:
        UserError: there is no frozen trunk, or the augmentation mixes labels.
    """
    if options.feature_views and from_scratch:
        raise UserError("--feature-views: needs pretrained weights, since nothing is frozen without; give --weights")
    if options.feature_views and options.protocol.augment in MIXING:
        raise UserError(
            f"--augment {options.protocol.augment}: mixes labels, which --feature-views cannot; choose another policy"
        )


def _stages(classifier: Classifier, data: TrainingData, options: TrainOptions, dataset: Dataset) -> dict[int, Stage]:
    """The whole classifier on images in both phases, or its head and its top on features."""
    protocol = options.protocol
    augment = make_augmentation(protocol.augment, contrast=protocol.contrast)
    if options.feature_views == 0:
        return dict.fromkeys((1, 2), Stage(classifier.model, data, augment))
    freeze_for_phase(classifier, 1, protocol.unfreeze, from_scratch=False)
    parts = cut_classifier(classifier, protocol.unfreeze)
    facts = {"dataset": dataset.fingerprint, "augment": protocol.augment, "contrast": protocol.contrast}
    source = Source(
        dataset,
        training_selection(dataset.manifest, protocol, options.fold),
        validation_selection(dataset.manifest, protocol, options.fold),
    )
    features = make_feature_data(classifier, parts, data, source, augment, options.feature_views, facts)
    none = make_augmentation("none")
    return {1: Stage(parts.head, features.phase1, none), 2: Stage(parts.top, features.phase2, none)}
