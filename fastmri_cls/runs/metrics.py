"""metrics.json as types: the metrics of each test set, with 95 % intervals.

In JSON an estimate is a number, and its interval stands beside it under `ci95`:
`{"accuracy": 0.956, ..., "ci95": {"accuracy": [0.943, 0.968]}}`. A metric that is not defined (the AUC of a class
without images in the set) is null.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from fastmri_cls.foundation import json_files
from fastmri_cls.foundation.errors import UserError

_Json = dict[str, Any]
_SET_ESTIMATES = ("accuracy", "balanced_accuracy", "auc_macro")
_CLASS_ESTIMATES = ("recall", "specificity", "auc")
_PART_ESTIMATES = ("seen_accuracy", "unseen_accuracy", "difference")


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval.

    Attributes:
        value: the point estimate.
        low: lower bound of the interval; None where no interval is known.
        high: upper bound.
        sd: standard deviation over the repeats of a system; None for a single run.
    """

    value: float
    low: float | None = None
    high: float | None = None
    sd: float | None = None

    def __str__(self) -> str:
        """Return "0.956 [0.943, 0.968]"; with a standard deviation "0.956 ± 0.004 [0.943, 0.968]"."""
        spread = "" if self.sd is None else f" ± {self.sd:.3f}"
        interval = "" if self.low is None or self.high is None else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.value:.3f}{spread}{interval}"


@dataclass(frozen=True)
class OperatingPoint:
    """A class called where its probability reaches a threshold chosen on validation.

    Attributes:
        threshold: the smallest probability that calls the class; None where validation offered none.
        sensitivity: fraction of the class's images that are called.
        specificity: fraction of the other images that are not.
    """

    threshold: float | None
    sensitivity: float | None
    specificity: float | None


@dataclass(frozen=True)
class ClassMetrics:
    """One class against the rest, where the most probable class is called.

    Attributes:
        precision: fraction of the images called the class that are of it; None if none is called.
        recall: fraction of the class's images that are called; None if there are none.
        f1: harmonic mean of the two; None if no image is of the class or called it.
        specificity: fraction of the other images that are not called; None if there are none.
        auc: area under the one-vs-rest ROC curve; None if one side is empty.
        average_precision: area under the precision-recall curve as a sum of steps; None without images of the class.
        support: images of the class.
        operating: the same at the class's operating point; None without a calibration.
    """

    precision: float | None
    recall: Estimate | None
    f1: float | None
    specificity: Estimate | None
    auc: Estimate | None
    average_precision: float | None
    support: int
    operating: OperatingPoint | None = None


@dataclass(frozen=True)
class ProbabilityScores:
    """How good the probabilities are: log loss, expected calibration error, Brier score (sum over classes, 0 to 2)."""

    loss: float
    ece: float
    brier: float


@dataclass(frozen=True)
class SetMetrics:
    """The metrics of one test set.

    Attributes:
        n: images.
        accuracy: fraction of images whose most probable class is right.
        balanced_accuracy: mean recall of the classes in the set.
        kappa: Cohen's kappa; None where truth and prediction are one and the same class throughout.
        loss: log loss.
        ece: expected calibration error, see `evaluation.calibration`.
        brier: Brier score, summed over classes, 0 to 2.
        auc_macro: mean of the one-vs-rest AUCs of the classes in the set; None with one class.
        per_class: {class: metrics} in label order.
        confusion_matrix: images by true class (rows) and predicted class (columns).
        calibrated: the scores after temperature scaling; None without a calibration.
    """

    n: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    kappa: float | None
    loss: float
    ece: float
    brier: float
    auc_macro: Estimate | None
    per_class: dict[str, ClassMetrics]
    confusion_matrix: list[list[int]]
    calibrated: ProbabilityScores | None = None


@dataclass(frozen=True)
class Timing:
    """How long training took.

    Attributes:
        epochs: epochs of both phases.
        training_seconds: seconds of all epochs, validation included.
        images_per_second: median over the epochs.
    """

    epochs: int
    training_seconds: float
    images_per_second: float


@dataclass(frozen=True)
class EvaluatedDataset:
    """The dataset that was evaluated.

    Attributes:
        name: the name of its folder.
        fingerprint: see `Manifest.fingerprint`.
    """

    name: str
    fingerprint: str


@dataclass(frozen=True)
class SeenPart:
    """Test images of one test set that a model was trained on, or was not.

    Attributes:
        seen: images that are in the training set or duplicate one of its images.
        seen_accuracy: accuracy on them; None if there are none.
        unseen: the other images.
        unseen_accuracy: accuracy on them; None likewise.
        difference: accuracy on the seen images minus that on the others, with the interval of the difference.
    """

    seen: int
    seen_accuracy: Estimate | None
    unseen: int
    unseen_accuracy: Estimate | None
    difference: Estimate | None


@dataclass(frozen=True)
class TrainedOn:
    """What a model is worth on images that are not duplicates of its training images.

    Attributes:
        training_sets: names of the training sets that test images were compared with.
        images: images in them.
        not_compared: images of them that could not be compared: unreadable, or left out of the dataset.
        sets: {test set: its seen and unseen part}, `pooled` last.
    """

    training_sets: list[str]
    images: int
    not_compared: int
    sets: dict[str, SeenPart]


@dataclass
class _RawMetrics:
    """As much of the JSON's form as `from_json` needs to find the test sets."""

    tests: dict[str, _Json]
    val: _Json | None
    trained_on: _Json | None = None


@dataclass(frozen=True)
class RunMetrics:
    """metrics.json of a RUN or of one of its evaluations.

    Attributes:
        tests: {test set: metrics}: each source, `<source>-clean` (its leak-free part), `pooled`, `mean` over sources.
        val: of the validation split; None where training used it, or where another dataset was evaluated.
        temperature: of temperature scaling; None without a calibration.
        baselines: {test set: {shortcut baseline: accuracy}}.
        timing: of the training; None for a model that was not trained here.
        dataset: what was evaluated; None in files of versions that did not record it.
        model_sha256: of the model that was evaluated; None likewise.
        trained_on: accuracy on test images that the model was trained on and on the others, where that was asked.
    """

    tests: dict[str, SetMetrics]
    val: SetMetrics | None
    temperature: float | None
    baselines: dict[str, dict[str, float]]
    timing: Timing | None
    dataset: EvaluatedDataset | None = None
    model_sha256: str | None = None
    trained_on: TrainedOn | None = None

    def __getitem__(self, test_set: str) -> SetMetrics:
        """Return the metrics of a test set by its name."""
        return self.tests[test_set]


def write_metrics(path: Path, metrics: RunMetrics) -> None:
    """Write metrics.json."""
    json_files.write(path, to_json(metrics))


def read_metrics(path: Path) -> RunMetrics:
    """Read metrics.json, of this version or an earlier one.

    Raises:
        UserError: the file is missing or is not what `write_metrics` wrote.
    """
    try:
        return from_json(msgspec.json.decode(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: no such file; that RUN is not finished, train or evaluate it") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise UserError(f"{path}: is damaged ({error}); run evaluate on that RUN again") from None


def to_json(metrics: RunMetrics) -> _Json:
    """Return the content of metrics.json as plain dicts, lists and numbers."""
    plain: _Json = msgspec.to_builtins(metrics)
    for test_set in filter(None, (*plain["tests"].values(), plain["val"])):
        calibrated = test_set.pop("calibrated")
        _split(test_set, _SET_ESTIMATES)
        if calibrated:
            test_set["calibrated"] = calibrated
        for of_class in test_set["per_class"].values():
            if of_class["operating"] is None:
                del of_class["operating"]
            _split(of_class, _CLASS_ESTIMATES)
    for parts in plain["trained_on"]["sets"].values() if metrics.trained_on else ():
        _split(parts, _PART_ESTIMATES)
    return plain


def from_json(plain: object) -> RunMetrics:
    """Return the metrics that `to_json` gave as plain values.

    Raises:
        msgspec.ValidationError: naming the place that is not as expected.
    """
    raw = msgspec.convert(plain, _RawMetrics)
    for test_set in filter(None, (*raw.tests.values(), raw.val)):
        _join(test_set, _SET_ESTIMATES)
        per_class = msgspec.convert(test_set.get("per_class"), dict[str, _Json])
        test_set["per_class"] = per_class
        for of_class in per_class.values():
            _join(of_class, _CLASS_ESTIMATES)
    if raw.trained_on:
        raw.trained_on["sets"] = msgspec.convert(raw.trained_on.get("sets"), dict[str, _Json])
        for parts in raw.trained_on["sets"].values():
            _join(parts, _PART_ESTIMATES)
    return msgspec.convert({**msgspec.convert(plain, _Json), **vars(raw)}, RunMetrics)


def _split(block: _Json, names: tuple[str, ...]) -> None:
    """Replace each estimate {value, low, high} by its value, and put the intervals under `ci95`."""
    estimates = {name: block[name] for name in names}
    block.update({name: found and found["value"] for name, found in estimates.items()})
    block["ci95"] = {
        name: None if found is None or found["low"] is None else [found["low"], found["high"]]
        for name, found in estimates.items()
    }


def _join(block: _Json, names: tuple[str, ...]) -> None:
    """Undo `_split`; an interval may be missing."""
    intervals = msgspec.convert(block.get("ci95", {}), dict[str, tuple[float, float] | None])
    for name in names:
        value, (low, high) = block.get(name), intervals.get(name) or (None, None)
        block[name] = None if value is None else {"value": value, "low": low, "high": high}
