"""The figures that only a comparison has; the others are those of report/figures.py with one panel for each system.

`systems` are {name: predictions of its repeats, on the same images}. A colour means a system throughout.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fastmri_cls.evaluation.sets import POOLED
from fastmri_cls.report.curves import precision_recall, roc
from fastmri_cls.report.drawing import (
    EDGE,
    colour,
    describe,
    legend_below,
    light_frame,
    line_style,
    new_figure,
    panels_of,
    unit_square,
    wrapped,
)
from fastmri_cls.report.figures import Panels
from fastmri_cls.runs.history import Epoch
from fastmri_cls.runs.metrics import Estimate
from fastmri_cls.runs.predictions import Predictions

Points = Callable[[Predictions, int], tuple[np.ndarray, float] | None]
History = Sequence[Epoch]

_GRID = np.linspace(0, 1, 501)
_NAME_WIDTH = 22  # letters of a system's name in a line beside its interval


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
    named = [wrapped(name, _NAME_WIDTH) for name in systems]
    rows = sum(name.count("\n") + 1 for name in named)
    figure, grid = panels_of(len(accuracies), width=4.4, height=1.7 + 0.2 * len(systems) + 0.16 * rows, share_x=True)
    for axes, (set_name, by_system) in zip(grid, accuracies.items(), strict=True):
        papers, lines, words = [], [], []
        for row, (system, found) in enumerate(by_system.items()):
            errors = None
            if found.low is not None and found.high is not None:
                errors = [[found.value - found.low], [found.high - found.value]]
            axes.errorbar(found.value, row, xerr=errors, fmt="o", color=colour(row), capsize=3, markersize=5)
            words.append(f"{system} {found}")
            if set_name == POOLED and system in paper:
                (line,) = axes.plot(
                    paper[system], row, marker="D", color="none", markeredgecolor=EDGE, markersize=6, linestyle="none"
                )
                line.set_label("paper")
                papers.append(line)
                words.append(f"the paper's {system} {paper[system]:.3f}")
        for style, (name, value) in zip((":", "--", "-."), baselines.get(set_name, {}).items(), strict=False):
            lines.append(axes.axvline(value, color="#888888", linewidth=1, linestyle=style))
            lines[-1].set_label(f"{name} {value:.3f}")
            words.append(f"{name} {value:.3f}")
        axes.set_title(set_name, fontsize=10)
        axes.set_xlabel("accuracy")
        axes.margins(x=0.08)
        axes.set_yticks(range(len(systems)), named, fontsize=8)
        axes.set_ylim(len(systems) - 0.5, -0.5)
        light_frame(axes)
        legend_below(axes, [*papers[:1], *lines])
        describe(axes, "; ".join(words))
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
    figure, grid = panels_of(2, width=4.6, height=3.7 + 0.2 * len(histories))
    for axes, name in zip(grid, ("loss", "accuracy"), strict=True):
        handles, words = [], []
        for number, (system, repeats) in enumerate(histories.items()):
            for repeat, history in enumerate(repeats):
                epochs = np.arange(1, len(history) + 1)
                validation = [getattr(epoch, f"val_{name}") for epoch in history]
                training = [getattr(epoch, name) for epoch in history]
                (line,) = axes.plot(epochs, validation, color=colour(number), label=system)
                axes.plot(epochs, training, color=colour(number), linestyle=":", linewidth=1)
                second = [epoch.phase for epoch in history].index(2) if history[-1].phase == 2 else None
                if second:
                    axes.plot(second + 1, validation[second], "|", color=colour(number), markersize=14)
                if repeat == 0:
                    handles.append(line)
                words.append(f"{system} {validation[-1]:.3g} on validation after {len(history)} epochs")
        axes.set_title(f"{name}: validation solid, training dotted", fontsize=10)
        axes.set_xlabel("epoch (tick: start of phase 2)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        light_frame(axes)
        legend_below(axes, handles)
        describe(axes, "; ".join(words))
    return figure


def cost_against_accuracy(points: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Show accuracy against training time, one point for each run.

    Args:
        points: {system: (seconds, accuracy) of each repeat}.
    """
    figure = new_figure(4.6, 3.2 + 0.2 * len(points))
    axes = figure.subplots()
    handles, words = [], []
    for number, (system, values) in enumerate(points.items()):
        seconds, accuracies = zip(*values, strict=True)
        handles += axes.plot(seconds, accuracies, "o", color=colour(number), label=system, markersize=7, alpha=0.8)
        words += [f"{system} {accuracy:.3f} after {time:,.0f} s" for time, accuracy in values]
    axes.set_xscale("log")
    for ticks in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        ticks(FuncFormatter(lambda seconds, _: f"{seconds:,.0f}"))
    axes.set_xlabel("seconds of training")
    axes.set_ylabel("accuracy, all test images")
    light_frame(axes)
    legend_below(axes, handles)
    describe(axes, "; ".join(words))
    return figure


def _by_class(systems: Panels, points: Points, x: str, y: str, area: str) -> Figure:
    classes = next(iter(systems.values()))[0].classes
    figure, grid = panels_of(len(classes), width=4.4, height=4.7 + 0.2 * len(systems), columns=2)
    for axes, (label, class_name) in zip(grid, enumerate(classes), strict=True):
        handles = []
        for number, (name, repeats) in enumerate(systems.items()):
            found = [curve for p in repeats if (curve := points(p, label)) is not None]
            if not found:  # of all systems likewise: they have the same images
                axes.text(0.5, 0.5, f"{area} not defined", ha="center", fontsize=9)
                describe(axes, f"{area} not defined")
                break
            curves, areas = zip(*found, strict=True)
            (line,) = axes.plot(_GRID, np.mean(curves, axis=0), color=colour(number), linestyle=line_style(number))
            line.set_label(f"{name}, {area} {np.mean(areas):.3f}")
            handles.append(line)
        unit_square(axes, x, y, class_name)
        legend_below(axes, handles)
        if handles:
            describe(axes, "; ".join(str(line.get_label()) for line in handles))
    return figure
