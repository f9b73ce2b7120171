"""The figures of a RUN, each a function from numbers to a matplotlib Figure; nothing is written here.

Most take `panels`, {title: predictions of one or several runs on the same images}; several runs are repeats of one
system.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from sklearn import metrics

from fastmri_cls.evaluation.calibration import expected_calibration_error, reliability
from fastmri_cls.evaluation.temperature import scale_by_temperature
from fastmri_cls.report.curves import Curve, precision_recall, roc
from fastmri_cls.report.drawing import (
    COLOURS,
    EDGE,
    GREYS,
    PHOTOGRAPHS,
    PLAIN,
    colour,
    describe,
    diagonal,
    legend_below,
    light_frame,
    line_style,
    new_figure,
    panels_of,
    unit_square,
    wrapped,
)
from fastmri_cls.runs.history import Epoch
from fastmri_cls.runs.predictions import Predictions

Panels = Mapping[str, Sequence[Predictions]]

_NO_CURVE = Curve(np.empty(0), np.empty(0), np.nan)  # of a class without images, or without others; in the legend alone


def figure_sets(p: Predictions) -> dict[str, list[Predictions]]:
    """Return the sets that figures show side by side: the test images of each source; all of them if several."""
    sets = {source: [p.where(p.sources == source)] for source in p.source_names}
    return sets | ({"pooled": [p]} if len(sets) > 1 else {})


def result_figures(p: Predictions, temperature: float | None) -> dict[str, Figure]:
    """Return the figures of the report of any evaluated model, by title.

    Args:
        p: of all test images.
        temperature: of temperature scaling; None without a calibration.
    """
    sets = figure_sets(p)
    return {
        "Confusion matrix": confusion_matrices(sets),
        "Class accuracy": class_accuracy(sets, GREYS),
        "ROC": roc_curves(sets),
        "Precision recall": precision_recall_curves(sets),
        "Reliability": reliability_diagram(sets, {name: [temperature] for name in sets}),
    }


def augmented_examples(
    originals: np.ndarray, augmented: Sequence[np.ndarray], names: Sequence[str], policy: str
) -> Figure:
    """Show each image as stored, then as training sees it.

    Args:
        originals: uint8 [n, height, width, channels].
        augmented: several arrays of the same shape in 0..255.
        names: class of each image.
        policy: the augmentation policy.
    """
    columns = ["as stored", *(f"draw {number + 1}" for number in range(len(augmented)))]
    figure = new_figure(1.1 * len(columns), 1.17 * len(names) + 0.3, PHOTOGRAPHS)
    grid = figure.subplots(len(names), len(columns), squeeze=False)
    for column, images in enumerate((originals, *augmented)):
        for row, name in enumerate(names):
            axes = grid[row, column]
            image = np.clip(images[row], 0, 255).astype(np.uint8)
            axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
            axes.set_xticks([])
            axes.set_yticks([])
            if column == 0:
                axes.set_ylabel(name, fontsize=9)
            if row == 0:
                axes.set_title(columns[column], fontsize=9)
    describe(grid[-1, -1], f"policy {policy}, one image of each class: {', '.join(names)}")
    return figure


def confusion_matrices(panels: Panels) -> Figure:
    """Show row-normalised confusion matrices, summed over repeats; a cell holds fraction and count."""
    figure, grid = panels_of(len(panels), width=4.4, height=4.2)
    for axes, (name, repeats) in zip(grid, panels.items(), strict=True):
        classes = repeats[0].classes
        labels = range(len(classes))
        counts = np.sum([metrics.confusion_matrix(p.labels, p.predicted, labels=labels) for p in repeats], axis=0)
        fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*counts.shape):
            shade = "white" if fractions[row, column] > 0.55 else "#222222"
            text = f"{fractions[row, column]:.2f}\n({counts[row, column]})"
            axes.text(column, row, text, ha="center", va="center", color=shade, fontsize=8)
        axes.set_xticks(labels, classes, rotation=30, ha="right")
        axes.set_yticks(labels, classes)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        runs = f", {len(repeats)} runs" if len(repeats) > 1 else ""
        axes.set_title(f"{wrapped(name)}\n(n = {len(repeats[0])}{runs})", fontsize=10)
        rows = [
            f"true {true}, predicted {', '.join(f'{c} {n}' for c, n in zip(classes, row, strict=True))}"
            for true, row in zip(classes, counts, strict=True)
        ]
        describe(axes, "; ".join(rows))
    return figure


def class_accuracy(panels: Panels, colours: Sequence[str] = COLOURS) -> Figure:
    """Show the accuracy of each class (its recall) as bars: the mean over repeats, and a dot for each repeat.

    Args:
        panels: one bar for each class and panel.
        colours: one for each panel.
    """
    classes = next(iter(panels.values()))[0].classes
    figure = new_figure(4.6, 1.2 + 0.24 * len(classes) * (len(panels) + 0.6))
    axes = figure.subplots()
    width = 0.84 / len(panels)
    handles, words = [], []
    for number, (name, repeats) in enumerate(panels.items()):
        places = np.arange(len(classes)) + (number - (len(panels) - 1) / 2) * width
        recalls = np.array([[_recall(p, c) for c in range(len(classes))] for p in repeats])
        means = recalls.mean(axis=0)
        bars = axes.barh(
            places,
            np.nan_to_num(means),
            width * 0.92,
            color=colours[number % len(colours)],
            edgecolor=EDGE,
            linewidth=0.6,
        )
        bars.set_label(name)
        handles.append(bars)
        shown = [f"{v:.2f}" if np.isfinite(v) else "none" for v in means]
        axes.bar_label(bars, shown, fontsize=7.5, padding=2)
        words.append(f"{name}: {', '.join(f'{c} {value}' for c, value in zip(classes, shown, strict=True))}")
        if len(repeats) > 1:
            axes.plot(recalls.ravel(), np.tile(places, len(repeats)), "o", color="#222222", markersize=2.5, alpha=0.7)
    axes.set_yticks(range(len(classes)), classes)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_xlabel("accuracy of the class")
    light_frame(axes)
    axes.grid(visible=False, axis="y")
    legend_below(axes, handles, columns=2 if len(panels) > 1 else 1)
    describe(axes, "; ".join(words))
    return figure


def roc_curves(panels: Panels) -> Figure:
    """Show the one-vs-rest ROC curve of each class, with its AUC; one run in a panel."""
    return _curves(panels, roc, "1 - specificity", "sensitivity", "AUC")


def precision_recall_curves(panels: Panels) -> Figure:
    """Show the precision-recall curve of each class, with its average precision; one run in a panel."""
    return _curves(panels, precision_recall, "recall", "precision", "AP")


def _curves(panels: Panels, curve_of: Callable[[Predictions, int], Curve | None], x: str, y: str, area: str) -> Figure:
    classes = next(iter(panels.values()))[0].classes
    figure, grid = panels_of(len(panels), width=4.2, height=4.5 + 0.2 * len(classes))
    for axes, (name, (p,)) in zip(grid, panels.items(), strict=True):
        handles = []
        for label, class_name in enumerate(p.classes):
            curve = curve_of(p, label) or _NO_CURVE
            (line,) = axes.plot(curve.x, curve.y, color=colour(label), linestyle=line_style(label))
            value = "not defined" if curve is _NO_CURVE else f"{curve.area:.3f}"
            line.set_label(f"{class_name}, {area} {value}")
            if curve_of is precision_recall:
                line.set_drawstyle("steps-post")
            handles.append(line)
        if curve_of is roc:
            diagonal(axes)
        unit_square(axes, x, y, name)
        legend_below(axes, handles)
        describe(axes, "; ".join(str(line.get_label()) for line in handles))
    return figure


def reliability_diagram(panels: Panels, temperatures: Mapping[str, Sequence[float | None]]) -> Figure:
    """Show accuracy against confidence in bins, as trained and calibrated; a larger point stands for more images.

    Args:
        panels: the runs of each panel.
        temperatures: {title: temperature of each run in the panel}; None for a run without calibration.
    """
    figure, grid = panels_of(len(panels), width=4.2, height=4.8)
    for axes, (name, repeats) in zip(grid, panels.items(), strict=True):
        diagonal(axes)
        labels = [p.labels for p in repeats]
        handles = [_reliability_line(axes, labels, [p.probabilities for p in repeats], 0, "as trained")]
        known = [t for t in temperatures[name] if t is not None]
        if len(known) == len(repeats):
            scaled = [scale_by_temperature(p.probabilities, t) for p, t in zip(repeats, known, strict=True)]
            title = "temperature " + ", ".join(f"{t:.2f}" for t in known)
            handles.append(_reliability_line(axes, labels, scaled, 1, title))
        unit_square(axes, "confidence", "accuracy", name)
        legend_below(axes, handles)
        describe(axes, "; ".join(str(line.get_label()) for line in handles))
    return figure


def _reliability_line(
    axes: Axes, labels: Sequence[np.ndarray], probabilities: Sequence[np.ndarray], number: int, title: str
) -> Line2D:
    """Draw the bins of all repeats together; the error in the legend is the mean over the repeats."""
    bins = reliability(np.concatenate(labels), np.concatenate(probabilities))
    error = np.mean([expected_calibration_error(*one) for one in zip(labels, probabilities, strict=True)])
    (line,) = axes.plot(bins.confidence, bins.accuracy, color=PLAIN[number], linestyle=line_style(number), linewidth=1)
    line.set_label(f"{title}, ECE {error:.3f}")
    sizes = 12 + 250 * bins.images / bins.images.max()
    axes.scatter(bins.confidence, bins.accuracy, s=sizes, color=PLAIN[number], alpha=0.6, clip_on=False)
    return line


def _recall(p: Predictions, label: int) -> float:
    truth = p.labels == label
    return float((p.predicted == label)[truth].mean()) if truth.any() else float("nan")


def training_curves(history: Sequence[Epoch]) -> Figure:
    """Show loss, accuracy and learning rate by epoch, the second phase shaded.

    Args:
        history: every epoch, in order.
    """
    figure, grid = panels_of(3, width=3.8, height=3.5)
    epochs = np.arange(1, len(history) + 1)
    second = [epoch for epoch, row in zip(epochs, history, strict=True) if row.phase == 2]
    for axes, title, names in zip(
        grid,
        ("loss", "accuracy", "learning rate"),
        (("loss", "val_loss"), ("accuracy", "val_accuracy"), ("learning_rate",)),
        strict=True,
    ):
        handles: list[Artist] = []
        words = []
        for number, name in enumerate(names):
            values = [getattr(epoch, name) for epoch in history]
            style = line_style(number)
            (line,) = axes.plot(epochs, values, color=PLAIN[number], linestyle=style, marker=".", markersize=4)
            line.set_label("validation" if name.startswith("val_") else "training")
            handles.append(line)
            words.append(f"{line.get_label()} {values[0]:.3g} in epoch 1, {values[-1]:.3g} in epoch {len(values)}")
        if second:
            shade = axes.axvspan(second[0] - 0.5, second[-1] + 0.5, color="#888888", alpha=0.15, linewidth=0, zorder=0)
            shade.set_label("phase 2")
            words.append(f"phase 2 from epoch {second[0]}")
            handles.append(shade)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        light_frame(axes)
        legend_below(axes, handles, columns=3)
        describe(axes, "; ".join(words))
    grid[-1].set_yscale("log")
    grid[-1].yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
    grid[-1].yaxis.set_minor_formatter(NullFormatter())
    return figure
