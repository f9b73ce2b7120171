"""Checks of option values for callers from Python; on the command line Typer has made them already."""

import math
from collections.abc import Sequence

from fastmri_cls.foundation.errors import UserError


def check_choice(flag: str, value: object, choices: Sequence[object]) -> None:
    """Refuse a value that is not among the choices.

    Raises:
        UserError: names the flag, the value and the choices.
    """
    if value not in choices:
        raise UserError(f"{flag} {value}: choose one of {', '.join(map(str, choices))}")


def check_range(flag: str, value: float | None, low: float, high: float = math.inf) -> None:
    """Refuse a number outside of [low, high], and NaN; None stands for an option that was not given.

    Raises:
        UserError: names the flag, the number and the range.
    """
    if value is not None and not low <= value <= high:
        limits = f"at least {low}" if high == math.inf else f"a number from {low} to {high}"
        raise UserError(f"{flag} {value}: give {limits}")
