"""The figures that only a comparison has; the others are those of report/figures.py with one panel for each system.

`systems` are {name: predictions of its repeats, on the same images}. A colour means a system throughout.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fastmri_cls.report.curves import precision_recall, roc
from fastmri_cls.report.drawing import (
    colour,
    legend_below,
    light_frame,
    line_style,
    new_figure,
    panels_of,
    unit_square,
)
from fastmri_cls.report.figures import Panels
from fastmri_cls.runs.history import Epoch
from fastmri_cls.runs.metrics import Estimate
from fastmri_cls.runs.predictions import Predictions

Points = Callable[[Predictions, int], tuple[np.ndarray, float] | None]
History = Sequence[Epoch]

_GRID = np.linspace(0, 1, 501)


def accuracy_overview(
    accuracies: Mapping[str, Mapping[str, Estimate]],
    paper: Mapping[str, float],
    baselines: Mapping[str, Mapping[str, float]],
) -> Figure:
    """Show the accuracy of every system with its interval on each test set, beside the paper's and the baselines'.

    Args:
        accuracies: {test set: {system: accuracy}}.
        paper: {system: the paper's accuracy on all test images}.
        baselines: {test set: {shortcut baseline: accuracy}}.
    """
    systems = list(next(iter(accuracies.values())))
    figure, grid = panels_of(len(accuracies), width=2.9, height=1.3 + 0.36 * len(systems), share_x=True, share_y=True)
    for axes, (set_name, by_system) in zip(grid, accuracies.items(), strict=True):
        for row, (system, found) in enumerate(by_system.items()):
            if found.value is None:
                continue
            errors = None
            if found.low is not None and found.high is not None:
                errors = [[found.value - found.low], [found.high - found.value]]
            axes.errorbar(found.value, row, xerr=errors, fmt="o", color=colour(row), capsize=3, markersize=5)
            if set_name == "pooled" and system in paper:
                axes.plot(paper[system], row, marker="D", color="none", markeredgecolor="#222222", markersize=6)
        for style, (name, value) in zip((":", "--", "-."), baselines.get(set_name, {}).items(), strict=False):
            axes.axvline(value, color="#888888", linewidth=1, linestyle=style, label=name)
        axes.set_title(set_name, fontsize=10)
        axes.set_xlabel("accuracy")
        axes.margins(x=0.08)
        light_frame(axes)
    grid[0].set_yticks(range(len(systems)), systems)
    grid[0].set_ylim(len(systems) - 0.5, -0.5)
    handles, names = grid[-1].get_legend_handles_labels()
    if paper:
        handles += grid[-1].plot([], [], marker="D", color="none", markeredgecolor="#222222")
        names += ["paper"]
    if handles:
        figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def roc_curves(systems: Panels) -> Figure:
    """Show the one-vs-rest ROC curves, one panel for each class; the mean curve of repeats (Fawcett 2006)."""
    return _by_class(systems, roc_points, "1 - specificity", "sensitivity", "AUC")


def precision_recall_curves(systems: Panels) -> Figure:
    """Show the precision-recall curves, one panel for each class; the mean precision of repeats."""
    return _by_class(systems, precision_recall_points, "recall", "precision", "AP")


def roc_points(p: Predictions, label: int) -> tuple[np.ndarray, float] | None:
    """Return the sensitivity at 501 equally spaced values of 1 - specificity, and the AUC; None if not defined."""
    curve = roc(p, label)
    if curve is None:
        return None
    sensitivity = np.interp(_GRID, curve.x, curve.y)
    sensitivity[0] = 0.0  # the curve starts in the corner, however steeply it rises
    return sensitivity, curve.area


def precision_recall_points(p: Predictions, label: int) -> tuple[np.ndarray, float] | None:
    """Return the precision at the smallest recall >= each of 501 values, and the average precision; None likewise."""
    curve = precision_recall(p, label)
    if curve is None:
        return None
    reached = np.searchsorted(curve.x[::-1], _GRID)
    return curve.y[::-1][reached], curve.area


def learning_curves(histories: Mapping[str, Sequence[History]]) -> Figure:
    """Show loss and accuracy on validation (solid) and training (dotted) by epoch, one line for each run.

    Args:
        histories: {system: the epochs of each repeat}.
    """
    figure = new_figure(10.5, 3.8)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for number, (system, repeats) in enumerate(histories.items()):
            for repeat, history in enumerate(repeats):
                epochs = np.arange(1, len(history) + 1)
                validation = [getattr(epoch, f"val_{name}") for epoch in history]
                training = [getattr(epoch, name) for epoch in history]
                axes.plot(epochs, validation, color=colour(number), label=system if repeat == 0 else None)
                axes.plot(epochs, training, color=colour(number), linestyle=":", linewidth=1)
                second = [epoch.phase for epoch in history].index(2) if history[-1].phase == 2 else None
                if second:
                    axes.plot(second + 1, validation[second], "|", color=colour(number), markersize=14)
        axes.set_title(f"{name}: validation solid, training dotted", fontsize=10)
        axes.set_xlabel("epoch (tick: start of phase 2)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        light_frame(axes)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, fontsize=8,
                  frameon=False)  # fmt: skip
    return figure


def cost_against_accuracy(points: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Show accuracy against training time, one point for each run.

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
    light_frame(axes)
    figure.legend(fontsize=8, frameon=False, ncols=2, loc="outside upper center")
    return figure


def _by_class(systems: Panels, points: Points, x: str, y: str, area: str) -> Figure:
    classes = next(iter(systems.values()))[0].classes
    figure, grid = panels_of(len(classes), width=4.4, height=4.7 + 0.2 * len(systems), columns=2)
    for axes, (label, class_name) in zip(grid, enumerate(classes), strict=True):
        handles = []
        for number, (name, repeats) in enumerate(systems.items()):
            found = [curve for p in repeats if (curve := points(p, label)) is not None]
            if not found:
                continue
            curves, areas = zip(*found, strict=True)
            (line,) = axes.plot(_GRID, np.mean(curves, axis=0), color=colour(number), linestyle=line_style(number))
            line.set_label(f"{name}, {area} {np.mean(areas):.3f}")
            handles.append(line)
        unit_square(axes, x, y, class_name)
        legend_below(axes, handles)
    return figure
