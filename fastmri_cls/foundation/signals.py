"""SIGTERM (a preempted machine) and SIGINT (Ctrl-C) as requests to save and stop."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_STDERR = 2


@contextmanager
def stop_requests(react: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Call `react` on SIGTERM and on the first Ctrl-C; a second Ctrl-C interrupts at once.

    Outside the main thread, where Python allows no signal handlers, nothing is changed.

    Args:
        react: gets the signal; an exception it raises appears wherever the main thread is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            # Not by the log or print: the signal may have come in the middle of either.
            os.write(_STDERR, b"\nstopping; press Ctrl-C again to stop without saving\n")
        react(signal.Signals(number))

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
