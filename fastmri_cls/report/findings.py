"""What the numbers say, in sentences that several reports share."""

from collections.abc import Mapping, Sequence

from fastmri_cls.evaluation.sets import POOLED
from fastmri_cls.report.evaluated import EvaluatedData
from fastmri_cls.runs.config import RunConfig
from fastmri_cls.runs.metrics import Estimate, RunMetrics
from fastmri_cls.runs.protocol import Protocol

SELECTED_ON_TEST = (
    "Early stopping, the learning rate and the choice of the epoch went by images of the first test set: the accuracy "
    "on it is too high."
)


def first_sentence(model: str, accuracy: Estimate, images: int, baselines: Mapping[str, float]) -> str:
    """Return what a reader should know first: the accuracy, beside what learns nothing about the classes.

    Args:
        model: its name.
        accuracy: on all test images.
        images: number of test images.
        baselines: {shortcut baseline: accuracy on the same images}; may be empty.
    """
    sentence = f"{model} has an accuracy of {accuracy} on {images:,} test images"
    if not baselines:
        return f"{sentence}."
    known = ", ".join(f"{name} {value:.3f}" for name, value in baselines.items())
    return f"{sentence}; baselines that learn nothing about the classes reach: {known}."


def run_findings(config: RunConfig, metrics: RunMetrics, evaluated: EvaluatedData) -> list[str]:
    """Return what the report and the card of a RUN say of its accuracy.

    Args:
        config: of the RUN.
        metrics: of the evaluation.
        evaluated: the dataset that was evaluated.
    """
    found = baseline_findings({"The model": metrics[POOLED].accuracy}, metrics.baselines.get(POOLED, {}))
    is_own = evaluated.fingerprint == config.dataset.fingerprint
    return found + ([SELECTED_ON_TEST] if is_own and selects_on_test(config.protocol) else [])


def selects_on_test(protocol: Protocol) -> bool:
    """Whether test images decide when a training ends and which of its epochs is kept."""
    return protocol.validate_on == "sliding-window"


def baseline_findings(accuracies: Mapping[str, Estimate], baselines: Mapping[str, float]) -> list[str]:
    """Say which models are not clearly more accurate than the best shortcut baseline.

    Args:
        accuracies: {model: accuracy}.
        baselines: {shortcut baseline: accuracy on the same images}; nothing is said without any.
    """
    if not baselines:
        return []
    name, best = max(baselines.items(), key=lambda item: item[1])
    baseline = f"{name} ({best:.3f}), a baseline without a network"
    better = {model: found for model, found in accuracies.items() if found.value > best}
    worse = [model for model in accuracies if model not in better]
    unclear = [model for model, found in better.items() if found.low is not None and found.low <= best]
    unknown = [model for model, found in better.items() if found.low is None]
    sentences = []
    if worse and len(worse) == len(accuracies) > 1:
        sentences.append(f"No model is more accurate than {baseline}.")
    elif worse:
        sentences.append(f"{listed(worse)} {'is' if len(worse) == 1 else 'are'} not more accurate than {baseline}.")
    for models, reason in ((unclear, "the 95 % interval includes it"), (unknown, "there is no interval")):
        if models:
            verb = "is" if len(models) == 1 else "are"
            sentences.append(f"{listed(models)} {verb} not clearly more accurate than {baseline}: {reason}.")
    if not sentences:
        who = {1: f"{next(iter(accuracies))} is", 2: "Both models are"}.get(
            len(accuracies), f"All {len(accuracies)} models are"
        )
        sentences.append(f"{who} clearly more accurate than {baseline}.")
    return sentences


def listed(names: Sequence[str]) -> str:
    """Return "a, b and c", or "a; b and c" if a name holds a comma, as names of models may."""
    between = "; " if any("," in name for name in names) else ", "
    return names[0] if len(names) == 1 else f"{between.join(names[:-1])} and {names[-1]}"
