"""What the decoders share: values of any depth to 8 bits, and the exception for a file that cannot be used."""

import numpy as np

from fastmri_cls.sources.notes import Note, NoteKind

# A range is stretched by a hot pixel when values far from the central 99 % make it more than four times as wide: the
# image would be left with 64 of 256 levels. Far means farther from the central 99 % than these are wide.
# nnU-Net clips every CT to these percentiles (0.5 and 99.5); an ordinary scan here keeps its smallest and largest.
_CENTRAL = (0.005, 0.995)
_WIDENING = 4.0


class RejectedImage(Exception):  # noqa: N818 - a verdict on a file, not a fault of the program
    """A file cannot be used as an image; the message is the reason, in a few words."""


def stretch_to_8_bits(values: np.ndarray, hidden: np.ndarray | None = None) -> tuple[np.ndarray, tuple[Note, ...]]:
    """Stretch values from their smallest to their largest to 0..255; 16-bit scans seldom fill their range.

    Args:
        values: real numbers of any dtype and shape; those that are not finite become 0.
        hidden: bool, broadcast to `values`: not part of the picture (padding, transparent); they become 0.

    Returns:
        uint8 of the shape of `values`; a note if outliers were clipped.

    Raises:
        RejectedImage: no value is finite and visible.
    """
    visible = np.isfinite(values) if hidden is None else np.isfinite(values) & ~hidden
    shown = values if visible.all() else values[visible]
    low, high, notes = display_range(shown)
    return scale_to_8_bits(values, visible, low, high), notes


def display_range(values: np.ndarray) -> tuple[float, float, tuple[Note, ...]]:
    """Return the values to show as 0 and as 255, and a note if outliers lie beyond them.

    Raises:
        RejectedImage: `values`, finite ones, are empty.
    """
    if not values.size:
        raise RejectedImage("no pixel has a finite value")
    low, high = float(values.min()), float(values.max())
    if values.dtype.itemsize == 1:  # 8 bits hold no outlier that costs more than it shows
        return low, high, ()
    inner_low, inner_high = _without_outliers(values.ravel())
    if high - low > _WIDENING * (inner_high - inner_low) > 0:
        return inner_low, inner_high, (Note(NoteKind.OUTLIERS_CLIPPED),)
    return low, high, ()


def scale_to_8_bits(values: np.ndarray, visible: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map `low`..`high` to 0..255, clipped; what is not `visible` (bool, like `values`) becomes 0."""
    clipped = np.clip(np.where(visible, values, low).astype(np.float64), low, high)
    return np.rint((clipped - low) * (255.0 / (high - low) if high > low else 0.0)).astype(np.uint8)


def _without_outliers(values: np.ndarray) -> tuple[float, float]:
    """Return the smallest and the largest value that is not far from the central 99 %."""
    ranks = [int(fraction * (values.size - 1)) for fraction in _CENTRAL]
    ordered = np.partition(values, ranks)
    bottom, top = float(ordered[ranks[0]]), float(ordered[ranks[1]])
    near = values[(values >= bottom - (top - bottom)) & (values <= top + (top - bottom))]
    return float(near.min()), float(near.max())
