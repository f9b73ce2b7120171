"""The batches of a training: which images a protocol trains and validates on, and the weights of the classes."""

from dataclasses import dataclass

import numpy as np

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.pipeline.batches import EvaluationBatches, SlidingWindowBatches, TrainingBatches
from fastmri_cls.pipeline.examples import SINGLE_WORKER, Selection, WorkerShard
from fastmri_cls.records.manifest import Manifest
from fastmri_cls.runs.protocol import SLIDING_WINDOW_BATCHES, Protocol

ValidationBatches = EvaluationBatches | SlidingWindowBatches


@dataclass(frozen=True)
class TrainingData:
    """The batches of a phase.

    Attributes:
        training: what is trained on.
        validation: what is validated on.
    """

    training: TrainingBatches
    validation: ValidationBatches


def load_training_data(
    dataset: Dataset,
    protocol: Protocol,
    cache: str,
    seed: int,
    fold: int | None = None,
    worker: WorkerShard = SINGLE_WORKER,
) -> TrainingData:
    """Open the examples `protocol` trains and validates on.

    Args:
        dataset: where the images are.
        protocol: decides the splits, the batch size and the length of an epoch.
        cache: the tier: none, ram or device.
        seed: of the order of the training images.
        fold: validate on this fold and train on the others, for a dataset with folds.
        worker: what this worker reads of each batch.

    Raises:
        UserError: the dataset lacks a split the protocol needs, or has too few images for one batch.
    """
    manifest = dataset.manifest
    train, validate = training_selection(manifest, protocol, fold), validation_selection(manifest, protocol, fold)
    for selection in (train, validate):
        if selection.count(manifest) == 0:
            raise UserError(
                f"{dataset.path}: no images in {'+'.join(selection.splits)}, which protocol {protocol.name} needs; "
                "rebuild with build-tfrecords"
            )

    examples = dataset.examples(train, cache, worker)
    steps = protocol.steps_per_epoch or examples.count // protocol.batch_size
    if steps == 0:
        raise UserError(
            f"{dataset.path}: {examples.count} training images do not fill one batch; "
            f"choose --batch-size {examples.count}"
        )
    training = TrainingBatches(
        examples,
        protocol.batch_size,
        steps,
        class_weights(manifest, protocol, fold).tolist(),
        seed,
        endless=protocol.steps_per_epoch is not None,
        worker=worker,
    )
    validated = dataset.examples(validate, cache, worker)
    evaluation = EvaluationBatches(validated, protocol.batch_size, worker)
    if protocol.validate_on == "sliding-window":
        return TrainingData(training, SlidingWindowBatches(evaluation, SLIDING_WINDOW_BATCHES))
    return TrainingData(training, evaluation)


def class_weights(manifest: Manifest, protocol: Protocol, fold: int | None = None) -> np.ndarray:
    """Return scikit-learn's balanced weights, float [classes]; absent classes get 0.

    The notebooks count the Training images of every source, although they train on the first source only.

    Args:
        manifest: of the dataset.
        protocol: decides which images count.
        fold: the fold to validate on, for a dataset with folds.
    """
    from sklearn.utils.class_weight import compute_class_weight

    splits = training_selection(manifest, protocol, fold).splits
    counts = np.array([sum(manifest.splits[s].per_class.get(name, 0) for s in splits) for name in manifest.classes])
    present = np.flatnonzero(counts)
    weights = np.zeros(len(counts))
    weights[present] = compute_class_weight("balanced", classes=present, y=np.repeat(present, counts[present]))
    return weights


def training_selection(manifest: Manifest, protocol: Protocol, fold: int | None = None) -> Selection:
    """Return the examples that the protocol trains on."""
    if protocol.train_on == "first-source":
        everything = (*manifest.training_splits(fold), manifest.validation_split(fold))
        return Selection(everything, source=manifest.source_names[0])
    return Selection(manifest.training_splits(fold))


def validation_selection(manifest: Manifest, protocol: Protocol, fold: int | None = None) -> Selection:
    """Return the examples that the protocol validates on."""
    if protocol.validate_on == "sliding-window":
        return Selection((manifest.test_splits[0],))
    return Selection((manifest.validation_split(fold),))
