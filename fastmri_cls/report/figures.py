"""The figures of a RUN, each a function from numbers to a matplotlib Figure; nothing is written here.

Most take `panels`, {title: predictions of one or several runs on the same images}; several are repeats of one system.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn import metrics

from fastmri_cls.evaluation.calibration import expected_calibration_error, reliability, scale_by_temperature
from fastmri_cls.runs.predictions import Predictions

# Okabe and Ito's palette, which people with any colour vision can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")


Panels = Mapping[str, Sequence[Predictions]]


def figure_sets(p: Predictions) -> dict[str, list[Predictions]]:
    """Return the sets that figures show side by side: each source's test images, and all of them if several."""
    sets = {source: [p.where(p.sources == source)] for source in p.source_names}
    return sets | ({"pooled": [p]} if len(sets) > 1 else {})


def augmented_examples(
    originals: np.ndarray, augmented: Sequence[np.ndarray], names: Sequence[str], policy: str
) -> Figure:
    """Show each image as stored, then as training sees it.

    Args:
        originals: [n, height, width, channels] in 0..255. augmented: several such arrays. names: classes [n].
    """
    columns = ["as stored", *(f"draw {number + 1}" for number in range(len(augmented)))]
    figure = new_figure(1.6 * len(columns), 1.72 * len(names))
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


def confusion_matrices(panels: Panels) -> Figure:
    """Show row-normalised confusion matrices, those of repeats added up; cells hold the share and the count."""
    figure, grid = panels_of(len(panels), width=4.4, height=4.2)
    for axes, (name, repeats) in zip(grid, panels.items(), strict=True):
        classes = repeats[0].classes
        labels = range(len(classes))
        counts = np.sum([metrics.confusion_matrix(p.labels, p.predicted, labels=labels) for p in repeats], axis=0)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*counts.shape):
            shade = "white" if shares[row, column] > 0.55 else "#222222"
            text = f"{shares[row, column]:.2f}\n({counts[row, column]})"
            axes.text(column, row, text, ha="center", va="center", color=shade, fontsize=8)
        axes.set_xticks(labels, classes, rotation=30, ha="right")
        axes.set_yticks(labels, classes)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        runs = f", {len(repeats)} runs" if len(repeats) > 1 else ""
        axes.set_title(f"{name}\n(n = {len(repeats[0])}{runs})", fontsize=10)
    return figure


def class_accuracy(panels: Panels) -> Figure:
    """Show each class's accuracy (its recall) as bars; of repeats the mean, and a dot for each."""
    classes = next(iter(panels.values()))[0].classes
    figure = new_figure(max(6.5, 0.5 * len(classes) * len(panels)), 3.6)
    axes = figure.subplots()
    width = 0.84 / len(panels)
    for number, (name, repeats) in enumerate(panels.items()):
        places = np.arange(len(classes)) + (number - (len(panels) - 1) / 2) * width
        recalls = np.array([[_recall(p, c) for c in range(len(classes))] for p in repeats])
        means = recalls.mean(axis=0)
        bars = axes.bar(places, np.nan_to_num(means), width * 0.92, label=name, color=colour(number))
        axes.bar_label(bars, [f"{v:.2f}" if np.isfinite(v) else "none" for v in means], fontsize=7, padding=1)
        if len(repeats) > 1:
            axes.plot(np.tile(places, len(repeats)), recalls.ravel(), "o", color="#222222", markersize=2.5, alpha=0.7)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_ylim(0, 1.1)
    axes.set_ylabel("accuracy of the class")
    quiet(axes)
    figure.legend(fontsize=8, frameon=False, ncols=3, loc="outside upper center")
    return figure


def roc_curves(panels: Panels) -> Figure:
    """Show each class's ROC curve against the rest, with its AUC; of one run a panel."""
    figure, grid = panels_of(len(panels), width=4.2, height=4.0)
    for axes, (name, (p,)) in zip(grid, panels.items(), strict=True):
        for label, class_name in enumerate(p.classes):
            truth = p.labels == label
            if truth.all() or not truth.any():
                continue
            false, true, _ = metrics.roc_curve(truth, p.probabilities[:, label])
            area = metrics.auc(false, true)
            axes.plot(false, true, color=colour(label), label=f"{class_name}, AUC {area:.3f}")
        axes.plot([0, 1], [0, 1], color="#bbbbbb", linestyle=":", linewidth=1)
        unit_square(axes, "1 - specificity", "sensitivity", name)
        axes.legend(fontsize=8, frameon=False, loc="lower right")
    return figure


def precision_recall_curves(panels: Panels) -> Figure:
    """Show each class's precision-recall curve, with its average precision; of one run a panel."""
    figure, grid = panels_of(len(panels), width=4.2, height=4.0)
    for axes, (name, (p,)) in zip(grid, panels.items(), strict=True):
        for label, class_name in enumerate(p.classes):
            truth = p.labels == label
            if not truth.any():
                continue
            precision, recall, _ = metrics.precision_recall_curve(truth, p.probabilities[:, label])
            average = metrics.average_precision_score(truth, p.probabilities[:, label])
            axes.step(recall, precision, where="post", color=colour(label), label=f"{class_name}, AP {average:.3f}")
        unit_square(axes, "recall", "precision", name)
        axes.legend(fontsize=8, frameon=False, loc="lower left")
    return figure


def reliability_diagram(panels: Panels, temperatures: Mapping[str, Sequence[float | None]]) -> Figure:
    """Show accuracy against confidence in 15 bins, as trained and calibrated; a point's size tells its images.

    Args:
        temperatures: {title: of each run in the panel}, None where there is none.
    """
    figure, grid = panels_of(len(panels), width=4.2, height=4.2)
    for axes, (name, repeats) in zip(grid, panels.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="#bbbbbb", linestyle=":", linewidth=1)
        labels = [p.labels for p in repeats]
        _reliability_line(axes, labels, [p.probabilities for p in repeats], 0, "as trained")
        known = [t for t in temperatures[name] if t is not None]
        if len(known) == len(repeats):
            scaled = [scale_by_temperature(p.probabilities, t) for p, t in zip(repeats, known, strict=True)]
            title = "temperature " + ", ".join(f"{t:.2f}" for t in known)
            _reliability_line(axes, labels, scaled, 1, title)
        unit_square(axes, "confidence", "accuracy", name)
        axes.legend(fontsize=8, frameon=False, loc="upper left")
    return figure


def _reliability_line(
    axes: Axes, labels: Sequence[np.ndarray], probabilities: Sequence[np.ndarray], number: int, title: str
) -> None:
    """Draw the bins of all repeats together; the error in the legend is the mean of theirs."""
    bins = reliability(np.concatenate(labels), np.concatenate(probabilities))
    error = np.mean([expected_calibration_error(*one) for one in zip(labels, probabilities, strict=True)])
    axes.plot(bins.confidence, bins.accuracy, color=colour(number), linewidth=1, label=f"{title}, ECE {error:.3f}")
    sizes = 12 + 250 * bins.images / bins.images.max()
    axes.scatter(bins.confidence, bins.accuracy, s=sizes, color=colour(number), alpha=0.6, clip_on=False)


def _recall(p: Predictions, label: int) -> float:
    truth = p.labels == label
    return float((p.predicted == label)[truth].mean()) if truth.any() else float("nan")


def training_curves(history: Sequence[Mapping[str, float]]) -> Figure:
    """Show loss, accuracy and learning rate by epoch, the second phase shaded.

    Args:
        history: the rows of history.csv.
    """
    figure = new_figure(10.5, 3.3)
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
        for colour, name in zip(COLOURS, names, strict=False):
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
        quiet(axes)
    return figure


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches."""
    return Figure(figsize=(width, height), dpi=110, layout="constrained")


def panels_of(
    count: int, width: float, height: float, columns: int = 3, *, share_y: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its `count` panels of a size in inches, `columns` in a row."""
    columns = 2 if count == 4 else min(count, columns)  # four make a square
    rows = -(-count // columns)
    figure = new_figure(width * columns, height * rows)
    grid = list(figure.subplots(rows, columns, squeeze=False, sharey=share_y).ravel())
    for empty in grid[count:]:
        empty.set_axis_off()
    return figure, grid[:count]


def colour(number: int) -> str:
    """Return the colour of class, set or system `number`."""
    return COLOURS[number % len(COLOURS)]


def unit_square(axes: Axes, x: str, y: str, title: str) -> None:
    """Make `axes` a square from 0 to 1."""
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, fontsize=10)
    quiet(axes)


def quiet(axes: Axes) -> None:
    """Leave of frame and grid what helps reading."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
