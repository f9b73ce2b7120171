"""How everything is timed and shown: rounds in turn, medians, a table, the JSON of `--json`, a bar chart.

All contestants take turns in every round, so that a machine that slows down slows all of them; a round starts each one
afresh and lets it run before the clock does, so that neither start-up nor what it had buffered counts.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fastmri_cls.foundation.atomic import new_file
from fastmri_cls.foundation.environment import Environment, describe
from fastmri_cls.foundation.progress import log

Kind = Literal["peer", "ours", "floor"]
_COLOURS: dict[Kind, str] = {"peer": "#E69F00", "ours": "#0072B2", "floor": "#bbbbbb"}


@dataclass(frozen=True)
class Contestant:
    """Something that delivers batches.

    Fields:
        open: starts afresh; each `next` of what it returns delivers one whole batch of `batch_size` images.
        what: one line for people.
        kind: `floor` is a bound on the work, not a way of doing it.
    """

    name: str
    open: Callable[[], Iterator[Any]]
    what: str
    batch_size: int = 32
    kind: Kind = "peer"


@dataclass(frozen=True)
class Timing:
    """How long to look: `rounds` of at least `seconds` and `min_batches`, after `warm_up` batches of each."""

    rounds: int = 3
    seconds: float = 3.0
    min_batches: int = 8
    warm_up: int = 12


@dataclass(frozen=True)
class Row:
    """A contestant's images a second: the median of its rounds, the slowest and the fastest; and the median of its
    rounds' ratios to the baseline in the same round."""

    name: str
    what: str
    images_per_second: float
    slowest: float
    fastest: float
    ratio: float
    kind: Kind


@dataclass(frozen=True)
class Result:
    """The rows of one run, in the order given, and what it ran on."""

    title: str
    rows: tuple[Row, ...]
    baseline: str
    environment: Environment

    def to_json(self) -> str:
        """Return the object that `--json` prints as the last line."""
        rows = [
            {
                "name": row.name,
                "images_per_second": round(row.images_per_second, 1),
                "ratio": round(row.ratio, 4),
                "slowest": round(row.slowest, 1),
                "fastest": round(row.fastest, 1),
                "kind": row.kind,
            }
            for row in self.rows
        ]
        return json.dumps({"rows": rows, "baseline": self.baseline, "environment": self.environment})


def run(title: str, contestants: Sequence[Contestant], timing: Timing) -> Result:
    """Measure `contestants`; the first is the baseline."""
    rates: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for number in range(timing.rounds):
        for contestant in contestants:
            rate = images_per_second(contestant, timing)
            rates[contestant.name].append(rate)
            log.info(f"round {number + 1}/{timing.rounds}  {contestant.name:22} {rate:10,.0f} images/s")
    baseline = contestants[0].name
    rows = tuple(make_row(one.name, one.what, rates[one.name], rates[baseline], one.kind) for one in contestants)
    return Result(title, rows, baseline, describe())


def make_row(name: str, what: str, rates: list[float], baseline: list[float], kind: Kind) -> Row:
    """Return the row of `rates`, one a round, beside the baseline's in the same rounds."""
    ratio = statistics.median(rate / other for rate, other in zip(rates, baseline, strict=True))
    return Row(name, what, statistics.median(rates), min(rates), max(rates), ratio, kind)


def images_per_second(contestant: Contestant, timing: Timing) -> float:
    """Return the rate of one round."""
    batches = contestant.open()
    try:
        for _ in range(timing.warm_up):
            next(batches)
        done, started = 0, time.perf_counter()
        elapsed = 0.0
        while elapsed < timing.seconds or done < timing.min_batches:
            next(batches)
            done += 1
            elapsed = time.perf_counter() - started
    finally:
        if hasattr(batches, "close"):
            batches.close()
    return done * contestant.batch_size / elapsed


def print_result(result: Result) -> None:
    """Print the table on stdout."""
    from rich.console import Console
    from rich.table import Table

    machine = result.environment
    versions = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    table = Table(title=result.title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    for name in ("images/s", "slowest", "fastest", "ratio"):
        table.add_column(name, justify="right")
    table.add_column("what")
    for row in result.rows:
        cells = (
            f"{value:,.{0 if value >= 100 else 1}f}" for value in (row.images_per_second, row.slowest, row.fastest)
        )
        table.add_row(row.name, *cells, f"{row.ratio:,.{1 if row.ratio >= 2 else 3}f}", row.what)
    out = Console()
    out.print(table)
    out.print(
        f"ratio to {result.baseline}; {machine['cores']} cores of {machine['processor']}; {versions}",
        highlight=False,
        markup=False,
    )


def write_chart(result: Result, path: Path) -> None:
    """Draw the rates as bars, on a logarithmic axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 0.5 * len(result.rows) + 1.4), dpi=110, layout="constrained")
    axes = figure.subplots()
    names = [row.name for row in result.rows]
    rates = [row.images_per_second for row in result.rows]
    colours = [_COLOURS[row.kind] for row in result.rows]
    bars = axes.barh(names, rates, color=colours, height=0.7)
    labels = [f"{row.images_per_second:,.0f}  ({row.ratio:,.1f}x)" for row in result.rows]
    axes.bar_label(bars, labels, padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 1.5, max(rates) * 6)
    axes.set_xlabel("images a second (logarithmic)")
    machine = result.environment
    axes.set_title(
        f"{result.title}\n{machine['cores']} cores, TensorFlow {machine['packages']['tensorflow']}", fontsize=10
    )
    axes.spines[["top", "right"]].set_visible(False)
    with new_file(path) as temporary:
        figure.savefig(temporary)
