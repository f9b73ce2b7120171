"""Whether another engine may answer in place of a RUN's own: both see the same images first.

It must agree with the RUN's own as an export must (agreement.py), and `auto` takes it only if it is faster too.
"""

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log
from fastmri_cls.inference.agreement import TIE, compare
from fastmri_cls.inference.runtimes import Engine, Outputs

# The largest difference of a probability. float32: as in the exports, sums in another order. bfloat16: as far as a tie,
# and half of what is allowed to int8 weights; .012 to .019 on 574 real images, EfficientNetV2S trained at 64 px.
_TOLERANCES = {"float32": 1e-4, "bfloat16": TIE}
_MIN_SPEEDUP = 1.05  # as in training/autotune.py
_ROUNDS = 2  # in turns, of which the shorter counts: load of other processes only ever slows a forward pass
_WORTHWHILE = 1000  # images of 224 px: below, what a trial takes is not gained


class Preview(NamedTuple):
    """What will be predicted.

    Attributes:
        total: number of files.
        images: returns some of them, uint8 [n, size, size, channels].
    """

    total: int
    images: Callable[[], np.ndarray]

    def is_worth_a_trial(self, size: int) -> bool:
        """Whether so much is to be computed that a trial pays, at images of `size` pixels."""
        return self.total * (size / 224) ** 2 >= _WORTHWHILE


def checked(own: Engine, candidates: Iterable[Engine], images: np.ndarray) -> Engine:
    """Return the first candidate that agrees with a RUN's own engine.

    Raises:
        UserError: none of them does.
    """
    expected = own.forward(images)
    refusal = UserError("")
    for candidate in candidates:
        try:
            return _check(candidate, own, expected, images)
        except UserError as error:
            refusal = error
    raise refusal


def faster(own: Engine, candidates: Iterable[Engine], images: np.ndarray) -> Engine:
    """Return the first candidate that agrees with the own engine and is faster, else that one; say what was tried."""
    expected = own.forward(images)
    for candidate in candidates:
        try:
            found = _check(candidate, own, expected, images)
        except UserError as error:
            log.warning(f"note: {error}")
            continue
        # Both have been called before, so that nothing is compiled now.
        turns = [(_seconds(own, images), _seconds(found, images)) for _ in range(_ROUNDS)]
        before, after = map(min, zip(*turns, strict=True))
        ratio = before / after
        if ratio > _MIN_SPEEDUP:
            return found._replace(origin=f"{found.origin}; {ratio:.2f} times as fast as {own.name} in {own.precision}")
        log.info(f"{found.name} in {found.precision} was tried: {ratio:.2f} times as fast as {own.name}")
    return own


def _check(candidate: Engine, own: Engine, expected: Outputs, images: np.ndarray) -> Engine:
    agreement = compare(expected, candidate.forward(images), _TOLERANCES[candidate.precision])
    if agreement.holds:
        return candidate._replace(origin=f"{candidate.origin}; {agreement.sentence}")
    raise UserError(
        f"--engine {candidate.name}: in {candidate.precision}, beside {own.name}, {agreement.sentence}; allowed are "
        f"{TIE:g} and {agreement.tolerance:g}; choose --engine {own.name}"
    )


def _seconds(engine: Engine, images: np.ndarray) -> float:
    started = time.perf_counter()
    engine.forward(images)
    return time.perf_counter() - started
