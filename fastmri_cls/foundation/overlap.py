"""Two pieces of work at the same time: that of a device, and that of the host on the device's last result."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def one_ahead(items: Iterable[T]) -> Iterator[T]:
    """Yield `items`, each only when the next one has been made.

    Where making an item means to start a computation on a GPU, the GPU computes the next one while the host reads this.
    """
    remaining = iter(items)
    for item in remaining:
        for following in remaining:
            yield item
            item = following
        yield item
