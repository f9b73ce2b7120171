"""The two phases of a protocol: what each trains, on which batches, and how an interrupted phase resumes."""

import math
from contextlib import ExitStack
from dataclasses import dataclass, replace

import keras

from fastmri_cls.augment.batch import Augmentation
from fastmri_cls.augment.names import MIXING
from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log
from fastmri_cls.models.frozen_values import precompute
from fastmri_cls.models.head import Classifier, dropouts, freeze_for_phase
from fastmri_cls.models.surgery import cut_classifier
from fastmri_cls.runs import files
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.training.callbacks import AveragedWeights, History, schedule
from fastmri_cls.training.checkpoint import Checkpoint, Progress, assign, values
from fastmri_cls.training.data import TrainingData, training_selection, validation_selection
from fastmri_cls.training.display import training_display
from fastmri_cls.training.distribution import DistributedContext, SharedCheckpoints
from fastmri_cls.training.engine import make_engine
from fastmri_cls.training.feature_store import Source
from fastmri_cls.training.feature_views import make_feature_data
from fastmri_cls.training.precision import ComputePolicy
from fastmri_cls.training.tensorboard import ConfusionByEpoch, write_augmented_batches, write_options, write_texts
from fastmri_cls.training.tracking import EpochTracker, Tracking


@dataclass(frozen=True)
class Stage:
    """What one phase trains.

    Attributes:
        model: the classifier or a part of it.
        data: its batches.
        augment: of the training batches.
    """

    model: keras.Model
    data: TrainingData
    augment: Augmentation


def run_phases(
    classifier: Classifier,
    data: TrainingData,
    options: TrainOptions,
    dataset: Dataset,
    context: DistributedContext,
    tracking: Tracking,
    *,
    from_scratch: bool,
    deadline: float = math.inf,
) -> None:
    """Train the rest of both phases; the classifier ends with the best weights of the last phase.

    Every worker runs this; only the chief records.

    Args:
        classifier: the model to train.
        data: its batches of images.
        options: resolved, without `auto`.
        dataset: that `data` is from.
        context: the devices.
        tracking: is told of each epoch.
        from_scratch: whether the backbones have no pretrained weights.
        deadline: `time.monotonic()` at which to save and stop.
    """
    protocol, policy = options.protocol, ComputePolicy(options.precision, options.xla == "on")
    stages = _stages(classifier, data, options, dataset, context.replicas)
    checkpoints = SharedCheckpoints(options.out / files.CHECKPOINTS, context, deadline)
    start = (checkpoints.latest() if options.resume else None) or Checkpoint()
    if start.model:
        log.info(f"going on from phase {start.progress.phase}, epoch {start.progress.epoch + 1}")
        assign(classifier.model.variables, start.model)
    with checkpoints.stopping_on_signals():
        for number, phase in ((1, protocol.phase1), (2, protocol.phase2)):
            if phase.max_epochs == 0 or number < start.progress.phase:
                continue
            stage = stages[number]
            engine = make_engine(
                classifier,
                protocol,
                number,
                policy,
                seed=options.seed,
                from_scratch=from_scratch,
                augment=stage.augment,
                model=stage.model,
                steps_per_epoch=stage.data.training.steps_per_epoch,
                strategy=context.strategy,
            )
            start = replace(start, progress=replace(start.progress, phase=number))
            callbacks = schedule(phase, protocol)
            if context.is_chief:
                history = History(options.out, start.progress, phase.max_epochs)
                epochs, board = history.epochs_done, history.tensorboard
                if epochs == 0:
                    write_options(board, options)
                    write_texts(board, options.out)
                    write_augmented_batches(board, data.training, protocol, options.seed)
                callbacks += [history, ConfusionByEpoch(board, dataset.classes, engine.confusion, epochs)]
                callbacks.append(EpochTracker(tracking, history))
            if protocol.ema:
                callbacks.append(AveragedWeights())
            batches = stage.data.training, stage.data.validation
            with ExitStack() as drawn:
                if context.is_chief:
                    callbacks.append(drawn.enter_context(training_display(phase, start.progress, stage.data)))
                epochs = engine.fit(*batches, phase.max_epochs, callbacks, start, checkpoints)
            done = Progress(phase=number + 1, epochs_before=start.progress.epochs_before + epochs)
            start = Checkpoint(done, model=values(classifier.model.variables))
            checkpoints.save(lambda: start, force=True)  # noqa: B023 - called at once


def check_feature_views(options: TrainOptions, *, from_scratch: bool) -> None:
    """Refuse options that cannot be trained on features.

    Raises:
        UserError: nothing is frozen, or the augmentation mixes labels.
    """
    if options.feature_views and from_scratch:
        raise UserError(
            "--feature-views: needs pretrained weights, since without them nothing is frozen; give --weights"
        )
    if options.feature_views and options.protocol.augment in MIXING:
        raise UserError(
            f"--augment {options.protocol.augment}: mixes labels, which --feature-views cannot; choose another policy"
        )


def _stages(
    classifier: Classifier, data: TrainingData, options: TrainOptions, dataset: Dataset, replicas: int
) -> dict[int, Stage]:
    """Return the stage of each phase: the whole classifier on images, or its parts on features."""
    protocol = options.protocol
    augment = make_augmentation(protocol.augment, contrast=protocol.contrast)
    if options.feature_views == 0:
        return dict.fromkeys((1, 2), Stage(classifier.model, data, augment))
    freeze_for_phase(classifier, 1, protocol.unfreeze, from_scratch=False, frozen_mode=protocol.frozen_mode)
    parts = cut_classifier(classifier, protocol.unfreeze)
    if replicas == 1:
        precompute(classifier.model)
    facts = {"dataset": dataset.fingerprint, "augment": protocol.augment, "contrast": protocol.contrast}
    if dropouts(classifier) and protocol.frozen_mode != "training":  # other views stay those of earlier versions
        facts["frozen_mode"] = protocol.frozen_mode
    source = Source(
        dataset,
        training_selection(dataset.manifest, protocol, options.fold),
        validation_selection(dataset.manifest, protocol, options.fold),
    )
    keras_alone = options.deterministic or replicas > 1
    views = options.feature_views
    features = make_feature_data(classifier, parts, data, source, augment, views, facts, keras_alone=keras_alone)
    none = make_augmentation("none")
    return {1: Stage(parts.head, features.phase1, none), 2: Stage(parts.tail_and_head, features.phase2, none)}
