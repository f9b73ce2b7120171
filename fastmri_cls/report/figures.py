"""The figures of a RUN, each a function from numbers to a matplotlib Figure; nothing is written here."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn import metrics

from fastmri_cls.evaluation.calibration import reliability
from fastmri_cls.evaluation.predictions import Predictions

# Okabe and Ito's palette, which people with any colour vision can tell apart.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")


def figure_sets(p: Predictions) -> dict[str, Predictions]:
    """Return the sets that figures show side by side: each source's test images, and all of them if several."""
    sources = list(dict.fromkeys(p.sources.tolist()))
    sets = {source: p.where(p.sources == source) for source in sources}
    return sets | ({"pooled": p} if len(sources) > 1 else {})


def augmented_examples(
    originals: np.ndarray, augmented: Sequence[np.ndarray], names: Sequence[str], policy: str
) -> Figure:
    """Show each image as stored, then as training sees it.

    Args:
        originals: [n, height, width, channels] in 0..255. augmented: several such arrays. names: classes [n].
    """
    columns = ["as stored", *(f"draw {number + 1}" for number in range(len(augmented)))]
    figure = _figure(1.6 * len(columns), 1.72 * len(names))
    grid = figure.subplots(len(names), len(columns), squeeze=False)
    for column, images in enumerate((originals, *augmented)):
        for row, name in enumerate(names):
            axes = grid[row, column]
            image = np.clip(images[row], 0, 255).astype(np.uint8)
            axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
            axes.set_xticks([])
            axes.set_yticks([])
            if column == 0:
                axes.set_ylabel(name)
            if row == 0:
                axes.set_title(columns[column], fontsize=9)
    figure.suptitle(f"Augmentation: {policy}", fontsize=11)
    return figure


def confusion_matrices(sets: Mapping[str, Predictions]) -> Figure:
    """Show the row-normalised confusion matrix of each set; cells hold the share and the count."""
    figure, grid = _panels(len(sets), width=4.4, height=4.1)
    for axes, (name, p) in zip(grid, sets.items(), strict=True):
        counts = metrics.confusion_matrix(p.labels, p.predicted, labels=range(len(p.classes)))
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row in range(len(counts)):
            for column in range(len(counts)):
                colour = "white" if shares[row, column] > 0.55 else "#222222"
                text = f"{shares[row, column]:.2f}\n({counts[row, column]})"
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
        axes.set_xticks(range(len(p.classes)), p.classes, rotation=30, ha="right")
        axes.set_yticks(range(len(p.classes)), p.classes)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.set_title(f"{name} (n = {len(p)})", fontsize=10)
    return figure


def class_accuracy(sets: Mapping[str, Predictions]) -> Figure:
    """Show each class's accuracy (its recall) on each set as bars."""
    classes = next(iter(sets.values())).classes
    figure = _figure(max(5.0, 1.5 * len(classes)), 3.4)
    axes = figure.subplots()
    width = 0.8 / len(sets)
    for number, (name, p) in enumerate(sets.items()):
        values = [float((p.predicted == p.labels)[p.labels == c].mean()) if (p.labels == c).any() else np.nan
                  for c in range(len(classes))]  # fmt: skip
        places = np.arange(len(classes)) + (number - (len(sets) - 1) / 2) * width
        bars = axes.bar(places, values, width * 0.92, label=name, color=_COLOURS[number % len(_COLOURS)])
        axes.bar_label(bars, [f"{v:.2f}" if np.isfinite(v) else "none" for v in values], fontsize=7, padding=1)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_ylim(0, 1.08)
    axes.set_ylabel("accuracy of the class")
    _quiet(axes)
    axes.legend(fontsize=8, frameon=False, ncols=len(sets), loc="upper center", bbox_to_anchor=(0.5, 1.16))
    return figure


def roc_curves(sets: Mapping[str, Predictions]) -> Figure:
    """Show each class's ROC curve against the rest, with its AUC."""
    figure, grid = _panels(len(sets), width=4.2, height=4.0)
    for axes, (name, p) in zip(grid, sets.items(), strict=True):
        for label, class_name in enumerate(p.classes):
            truth = p.labels == label
            if truth.all() or not truth.any():
                continue
            false, true, _ = metrics.roc_curve(truth, p.probabilities[:, label])
            area = metrics.auc(false, true)
            axes.plot(false, true, color=_COLOURS[label % len(_COLOURS)], label=f"{class_name}, AUC {area:.3f}")
        axes.plot([0, 1], [0, 1], color="#bbbbbb", linestyle=":", linewidth=1)
        _unit_square(axes, "1 - specificity", "sensitivity", name)
        axes.legend(fontsize=8, frameon=False, loc="lower right")
    return figure


def precision_recall_curves(sets: Mapping[str, Predictions]) -> Figure:
    """Show each class's precision-recall curve, with its average precision."""
    figure, grid = _panels(len(sets), width=4.2, height=4.0)
    for axes, (name, p) in zip(grid, sets.items(), strict=True):
        for label, class_name in enumerate(p.classes):
            truth = p.labels == label
            if not truth.any():
                continue
            precision, recall, _ = metrics.precision_recall_curve(truth, p.probabilities[:, label])
            average = metrics.average_precision_score(truth, p.probabilities[:, label])
            colour = _COLOURS[label % len(_COLOURS)]
            axes.step(recall, precision, where="post", color=colour, label=f"{class_name}, AP {average:.3f}")
        _unit_square(axes, "recall", "precision", name)
        axes.legend(fontsize=8, frameon=False, loc="lower left")
    return figure


def reliability_diagram(sets: Mapping[str, Predictions]) -> Figure:
    """Show accuracy against confidence in 15 bins; a point's size tells how many images it stands for."""
    figure, grid = _panels(len(sets), width=4.2, height=4.0)
    for axes, (name, p) in zip(grid, sets.items(), strict=True):
        bins = reliability(p.labels, p.probabilities)
        axes.plot([0, 1], [0, 1], color="#bbbbbb", linestyle=":", linewidth=1)
        axes.plot(bins.confidence, bins.accuracy, color=_COLOURS[0], linewidth=1)
        axes.scatter(
            bins.confidence, bins.accuracy, s=12 + 250 * bins.images / bins.images.max(), color=_COLOURS[0], alpha=0.6
        )
        _unit_square(axes, "confidence", "accuracy", name)
    return figure


def training_curves(history: Sequence[Mapping[str, float]]) -> Figure:
    """Show loss, accuracy and learning rate by epoch, the second phase shaded.

    Args:
        history: the rows of history.csv.
    """
    figure = _figure(10.5, 3.3)
    epochs = np.arange(1, len(history) + 1)
    second = [epoch for epoch, row in zip(epochs, history, strict=True) if row["phase"] == 2]
    for axes, (title, names) in zip(
        figure.subplots(1, 3),
        (
            ("loss", ("loss", "val_loss")),
            ("accuracy", ("accuracy", "val_accuracy")),
            ("learning rate", ("learning_rate",)),
        ),
        strict=True,
    ):
        for colour, name in zip(_COLOURS, names, strict=False):
            label = "validation" if name.startswith("val_") else "training"
            axes.plot(epochs, [row[name] for row in history], color=colour, label=label, marker=".", markersize=4)
        if second:
            axes.axvspan(second[0] - 0.5, second[-1] + 0.5, color="#eeeeee", zorder=0, label="phase 2")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if title == "learning rate":
            axes.set_yscale("log")
        else:
            axes.legend(fontsize=8, frameon=False)
        _quiet(axes)
    return figure


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), dpi=110, layout="constrained")


def _panels(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    figure = _figure(width * count, height)
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def _unit_square(axes: Axes, x: str, y: str, title: str) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, fontsize=10)
    _quiet(axes)


def _quiet(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
