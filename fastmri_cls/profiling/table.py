"""What `profile` prints: the shares of a step, the slowest operations, the advice."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from fastmri_cls.profiling.steps import StepTimes
from fastmri_cls.profiling.trace import SlowOperation


def print_profile(times: StepTimes, operations: Sequence[SlowOperation], sentences: Sequence[str]) -> None:
    """Print all of it on stdout."""
    out = Console(highlight=False)
    parts = Table("part of a step", box=None, header_style="bold", pad_edge=False)
    parts.add_column("share", justify="right")
    parts.add_column("ms", justify="right")
    for (name, share), milliseconds in zip(times.shares.items(), 1000 * times.seconds.mean(axis=0), strict=True):
        parts.add_row(name, f"{share:.1%}", f"{milliseconds:.1f}")
    out.print(parts)
    out.print(f"{times.images_per_second:.0f} images/s, part after part\n")
    slow = Table("slowest operations", box=None, header_style="bold", pad_edge=False)
    for name in ("share", "ms a step", "calls"):
        slow.add_column(name, justify="right")
    slow.add_column("most of it in", no_wrap=True)
    for one in operations:
        per_step = f"{1000 * one.seconds / len(times.seconds):.2f}"
        slow.add_row(
            one.type.removeprefix("_MklNative"), f"{one.share:.1%}", per_step, str(one.calls), _short(one.place)
        )
    out.print(slow)
    for sentence in sentences:
        out.print(f"- {sentence}", markup=False, soft_wrap=True)


def _short(place: str) -> str:
    """The last two names of a path: layer and operation."""
    return "/".join(place.split("/")[-2:])
