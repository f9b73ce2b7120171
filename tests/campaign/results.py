"""The campaign's table: by part, what was tried and what came of it; each crash or loss by name."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.campaign.plan import BAD_INPUT
from tests.campaign.workers import Result, print_wrong


def as_json(results: Sequence[Result]) -> dict[str, dict[str, int]]:
    """Return {"bad_inputs": {tried, clear, crash}, "faults": {tried, recovered, lost}}."""
    bad = [result for result in results if result.job.part == BAD_INPUT]
    faults = [result for result in results if result.job.part != BAD_INPUT]
    return {
        "bad_inputs": _counts(bad, "clear", "crash"),
        "faults": _counts(faults, "recovered", "lost"),
    }


def _counts(results: Sequence[Result], well: str, ill: str) -> dict[str, int]:
    wrong = sum(bool(result.wrong) for result in results)
    return {"tried": len(results), well: len(results) - wrong, ill: wrong}


def print_results(console: Console, results: Sequence[Result], seconds: float, cores: int) -> None:
    """Print the table."""
    table = Table("part", box=None, header_style="bold", pad_edge=False)
    for name in ("tried", "clear or recovered", "crashed or lost"):
        table.add_column(name, justify="right")
    for part in dict.fromkeys(result.job.part for result in results):
        counts = _counts([result for result in results if result.job.part == part], "well", "ill")
        table.add_row(part, str(counts["tried"]), str(counts["well"]), str(counts["ill"]))
    console.print(table)
    for result in results:
        if result.wrong:
            print_wrong(console, result)
    totals = as_json(results)
    bad, faults = totals["bad_inputs"], totals["faults"]
    console.print(f"bad inputs: {bad['tried']} tried, {bad['clear']} clear, {bad['crash']} crashed")
    console.print(f"faults: {faults['tried']} tried, {faults['recovered']} recovered, {faults['lost']} lost")
    console.print(f"{seconds / 60:.1f} minutes, {cores} cores")
