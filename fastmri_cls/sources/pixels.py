"""What the decoders share: levels to 8 bits, and the exception of a file that cannot be used."""

import numpy as np


class RejectedImage(Exception):  # noqa: N818 - a verdict on a file, not a fault of the program
    """A file cannot be used as an image; the message is the reason, in a few words."""


def stretch_to_8_bits(values: np.ndarray) -> np.ndarray:
    """Return uint8: finite `values` stretched from their smallest to their largest; 16-bit scans seldom fill the range.

    Raises:
        ValueError: no value is finite.
    """
    values = values.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError("no finite pixel")
    low, high = values[finite].min(), values[finite].max()
    scaled = (np.where(finite, values, low) - low) * (255.0 / (high - low) if high > low else 0.0)
    return np.rint(scaled).astype(np.uint8)
