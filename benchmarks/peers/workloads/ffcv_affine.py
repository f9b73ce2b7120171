"""The whole augmentation as one operation that FFCV compiles, written as its guide on custom operations shows.

The images are grey, so it reads one of FFCV's three channels.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.compiler import Compiler
from ffcv.pipeline.operation import Operation
from ffcv.pipeline.state import State

from benchmarks.peers.workloads.augmentation import BRIGHTNESS, CONTRAST, MEAN, ROTATION, SHIFT, STD, ZOOM


class Affine(Operation):
    """uint8 [batch, height, width, 3] -> turned, zoomed, shifted, brightened and normalised, float32 of that shape."""

    def generate_code(self) -> Callable:
        """Return the function that FFCV compiles."""
        each = Compiler.get_iterator()
        turn, gain, offset = math.radians(ROTATION), 1 / (255 * STD), -MEAN / STD

        def augment(images: np.ndarray, out: np.ndarray) -> np.ndarray:
            count, rows, columns = images.shape[:3]
            for index in each(count):
                angle = np.random.uniform(-turn, turn)
                across, down = np.random.uniform(1 - ZOOM, 1 + ZOOM), np.random.uniform(1 - ZOOM, 1 + ZOOM)
                right, lower = np.random.uniform(-SHIFT, SHIFT) * columns, np.random.uniform(-SHIFT, SHIFT) * rows
                factor = np.random.uniform(1 - BRIGHTNESS, 1 + BRIGHTNESS)
                cosine, sine = math.cos(angle), math.sin(angle)
                image, moved, total = images[index], out[index], 0.0
                for row in range(rows):
                    for column in range(columns):
                        x, y = across * (column - columns / 2), down * (row - rows / 2)
                        u = cosine * x - sine * y + columns / 2 + right
                        v = sine * x + cosine * y + rows / 2 + lower
                        level = np.float32(0)
                        if 0 <= u < columns - 1 and 0 <= v < rows - 1:
                            left, top = int(u), int(v)
                            a, b = np.float32(u - left), np.float32(v - top)
                            upper = image[top, left, 0] * (1 - a) + image[top, left + 1, 0] * a
                            below = image[top + 1, left, 0] * (1 - a) + image[top + 1, left + 1, 0] * a
                            level = upper * (1 - b) + below * b
                        moved[row, column, 0] = level
                        total += level
                mean = total / (rows * columns)
                for channel in (2, 1, 0):  # the first holds the levels
                    scale = np.float32(factor * CONTRAST * gain[channel])
                    shift = np.float32(factor * (1 - CONTRAST) * mean * gain[channel] + offset[channel])
                    moved[:, :, channel] = moved[:, :, 0] * scale + shift
            return out[:count]

        augment.is_parallel = True
        return augment

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery]:
        """Say that the result is float32 and needs memory of its own."""
        shape, dtype = previous_state.shape, np.dtype(np.float32)
        return replace(previous_state, dtype=dtype), AllocationQuery(shape, dtype)
