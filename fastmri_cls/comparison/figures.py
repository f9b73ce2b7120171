"""The figures of a comparison that a RUN has not; the others are those of figures.py with a panel a system.

`systems` are {name: the predictions of its repeats, on the same images}; a colour is a system's throughout.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from sklearn import metrics

from fastmri_cls.report.figures import Panels, colour, new_figure, panels_of, quiet, unit_square
from fastmri_cls.report.text_tables import Estimate
from fastmri_cls.runs.predictions import Predictions

Corner = Literal["lower left", "lower right"]
Points = Callable[[Predictions, int], tuple[np.ndarray, float]]
History = Sequence[Mapping[str, float]]

_GRID = np.linspace(0, 1, 501)


def accuracy_overview(
    accuracies: Mapping[str, Mapping[str, Estimate]],
    published: Mapping[str, float],
    baselines: Mapping[str, Mapping[str, float]],
) -> Figure:
    """Show every system's accuracy with its interval on each test set, the paper's number and the baselines.

    Args:
        accuracies: {set: {system: estimate}}. published: {system: accuracy on all test images}.
        baselines: {set: {baseline: accuracy}}.
    """
    systems = list(next(iter(accuracies.values())))
    figure, grid = panels_of(len(accuracies), width=2.9, height=1.3 + 0.36 * len(systems), share_y=True)
    for axes, (set_name, by_system) in zip(grid, accuracies.items(), strict=True):
        for row, (system, found) in enumerate(by_system.items()):
            if found.value is None:
                continue
            low, high = found.interval or (found.value, found.value)
            errors = [[found.value - low], [high - found.value]]
            axes.errorbar(found.value, row, xerr=errors, fmt="o", color=colour(row), capsize=3, markersize=5)
            if set_name == "pooled" and system in published:
                axes.plot(published[system], row, marker="D", color="none", markeredgecolor="#222222", markersize=6)
        for style, (name, value) in zip((":", "--", "-."), baselines.get(set_name, {}).items(), strict=False):
            axes.axvline(value, color="#888888", linewidth=1, linestyle=style, label=name)
        axes.set_title(set_name, fontsize=10)
        axes.set_xlabel("accuracy")
        axes.margins(x=0.08)
        quiet(axes)
    grid[0].set_yticks(range(len(systems)), systems)
    grid[0].set_ylim(len(systems) - 0.5, -0.5)
    handles, names = grid[-1].get_legend_handles_labels()
    if published:
        handles += grid[-1].plot([], [], marker="D", color="none", markeredgecolor="#222222")
        names += ["the paper's number"]
    if handles:
        figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def roc_curves(systems: Panels) -> Figure:
    """Show each class's ROC curve against the rest, a panel a class; of repeats their mean (Fawcett 2006)."""
    return _by_class(systems, roc_points, "1 - specificity", "sensitivity", "AUC", "lower right")


def precision_recall_curves(systems: Panels) -> Figure:
    """Show each class's precision-recall curve, a panel a class; of repeats, the mean precision."""
    return _by_class(systems, precision_recall_points, "recall", "precision", "AP", "lower left")


def roc_points(p: Predictions, label: int) -> tuple[np.ndarray, float]:
    """Return the sensitivity at 501 equally spaced values of 1 - specificity, and the AUC."""
    truth, scores = p.labels == label, p.probabilities[:, label]
    false, true, _ = metrics.roc_curve(truth, scores)
    sensitivity = np.interp(_GRID, false, true)
    sensitivity[0] = 0.0  # a curve starts in the corner, however steeply it rises
    return sensitivity, float(metrics.roc_auc_score(truth, scores))


def precision_recall_points(p: Predictions, label: int) -> tuple[np.ndarray, float]:
    """Return the precision at the smallest reached recall >= each of 501 values, and the average precision."""
    truth, scores = p.labels == label, p.probabilities[:, label]
    precision, recall, _ = metrics.precision_recall_curve(truth, scores)
    reached = np.searchsorted(recall[::-1], _GRID)
    return precision[::-1][reached], float(metrics.average_precision_score(truth, scores))


def learning_curves(histories: Mapping[str, Sequence[History]]) -> Figure:
    """Show loss and accuracy on validation (solid) and training (dotted) by epoch, a line a run.

    Args:
        histories: {system: the rows of each repeat's history.csv}.
    """
    figure = new_figure(10.5, 3.8)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for number, (system, repeats) in enumerate(histories.items()):
            for repeat, history in enumerate(repeats):
                epochs = np.arange(1, len(history) + 1)
                label = system if repeat == 0 else None
                axes.plot(epochs, [row[f"val_{name}"] for row in history], color=colour(number), label=label)
                axes.plot(epochs, [row[name] for row in history], color=colour(number), linestyle=":", linewidth=1)
                second = [row["phase"] for row in history].index(2) if history[-1]["phase"] == 2 else None
                if second:
                    axes.plot(second + 1, history[second][f"val_{name}"], "|", color=colour(number), markersize=14)
        axes.set_title(f"{name}: validation solid, training dotted", fontsize=10)
        axes.set_xlabel("epoch (a bar marks the start of phase 2)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        quiet(axes)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, fontsize=8,
                  frameon=False)  # fmt: skip
    return figure


def cost_against_accuracy(points: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Show accuracy against seconds of training, a point a run.

    Args:
        points: {system: (seconds, accuracy) of each repeat}.
    """
    figure = new_figure(6.5, 3.6)
    axes = figure.subplots()
    for number, (system, values) in enumerate(points.items()):
        seconds, accuracies = zip(*values, strict=True)
        axes.plot(seconds, accuracies, "o", color=colour(number), label=system, markersize=7, alpha=0.8)
    axes.set_xscale("log")
    for ticks in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        ticks(FuncFormatter(lambda seconds, _: f"{seconds:,.0f}"))
    axes.set_xlabel("seconds of training")
    axes.set_ylabel("accuracy, all test images")
    quiet(axes)
    figure.legend(fontsize=8, frameon=False, ncols=2, loc="outside upper center")
    return figure


def _by_class(systems: Panels, points: Points, x: str, y: str, area: str, corner: Corner) -> Figure:
    labels_by_name = next(iter(systems.values()))[0].classes
    figure, grid = panels_of(len(labels_by_name), width=4.0, height=4.0, columns=2)
    for axes, (label, class_name) in zip(grid, enumerate(labels_by_name), strict=False):
        for number, (name, repeats) in enumerate(systems.items()):
            truth = repeats[0].labels == label
            if truth.all() or not truth.any():
                continue
            curves, areas = zip(*(points(p, label) for p in repeats), strict=True)
            text = f"{name}, {area} {np.mean(areas):.3f}"
            axes.plot(_GRID, np.mean(curves, axis=0), color=colour(number), label=text)
        unit_square(axes, x, y, class_name)
        axes.legend(fontsize=7, frameon=False, loc=corner)
    return figure
