"""Timing and results of the benchmarks: interleaved rounds, medians, a table, the JSON of `--json`, a bar chart.

The candidates take turns in every round, so that a machine that slows down slows all of them. A round opens each
candidate anew and lets it run before the clock starts, so that neither start-up nor buffered batches count.
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
class Candidate:
    """An input pipeline or augmentation that delivers batches.

    Attributes:
        name: shown in tables and in the JSON.
        open: starts anew and returns an iterator over whole batches of `batch_size` images.
        what: one line of description.
        batch_size: images in a batch.
        kind: `peer` is other people's software, `floor` a lower bound on the time that no candidate can beat.
    """

    name: str
    open: Callable[[], Iterator[Any]]
    what: str
    batch_size: int = 32
    kind: Kind = "peer"


@dataclass(frozen=True)
class Timing:
    """Duration of a measurement.

    Attributes:
        rounds: in each, all candidates take turns.
        seconds: minimum time measured per candidate and round.
        min_batches: minimum number of batches measured per candidate and round.
        warm_up: batches before the clock starts.
    """

    rounds: int = 3
    seconds: float = 3.0
    min_batches: int = 8
    warm_up: int = 12


@dataclass(frozen=True)
class Row:
    """Result of one candidate.

    Attributes:
        name: as in `Candidate`.
        what: as in `Candidate`.
        images_per_second: median over the rounds.
        slowest: minimum over the rounds.
        fastest: maximum over the rounds.
        ratio: median over the rounds of the ratio to the baseline in the same round.
        kind: as in `Candidate`.
    """

    name: str
    what: str
    images_per_second: float
    slowest: float
    fastest: float
    ratio: float
    kind: Kind


@dataclass(frozen=True)
class Result:
    """Rows of one run in the order of the candidates, the name of the baseline, and the machine and versions."""

    title: str
    rows: tuple[Row, ...]
    baseline: str
    environment: Environment

    def to_json(self) -> str:
        """Return the document that `--json` prints."""
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


def run(title: str, candidates: Sequence[Candidate], timing: Timing) -> Result:
    """Measure `candidates`; the first is the baseline."""
    rates: dict[str, list[float]] = {candidate.name: [] for candidate in candidates}
    for number in range(timing.rounds):
        for candidate in candidates:
            rate = images_per_second(candidate, timing)
            rates[candidate.name].append(rate)
            log.info(f"round {number + 1}/{timing.rounds}  {candidate.name:22} {rate:10,.0f} images/s")
    baseline = candidates[0].name
    rows = tuple(make_row(one.name, one.what, rates[one.name], rates[baseline], one.kind) for one in candidates)
    return Result(title, rows, baseline, describe())


def make_row(name: str, what: str, rates: list[float], baseline: list[float], kind: Kind) -> Row:
    """Return a candidate's row.

    Args:
        name: of the candidate.
        what: its description.
        rates: images per second, one value per round.
        baseline: the baseline's rates in the same rounds.
        kind: of the candidate.
    """
    ratio = statistics.median(rate / other for rate, other in zip(rates, baseline, strict=True))
    return Row(name, what, statistics.median(rates), min(rates), max(rates), ratio, kind)


def images_per_second(candidate: Candidate, timing: Timing) -> float:
    """Measure one round of one candidate."""
    batches = candidate.open()
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
    return done * candidate.batch_size / elapsed


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
