"""Exceptions that end a command early; cli/app.py turns each into one line on stderr and an exit code."""

import signal


class UserError(Exception):
    """A fault in input, files or options. The message names the thing, the fact and the cure in one line."""


class Stopped(Exception):  # noqa: N818 - asked for, not an error
    """A training or study was stopped by a signal or by `max_hours`; its state is saved, the message says how to go on.

    Attributes:
        exit_code: 128 plus the signal's number, as in a shell: 143 for SIGTERM and `max_hours`, 130 for Ctrl-C.
    """

    def __init__(self, message: str, number: int = signal.SIGTERM) -> None:
        super().__init__(message)
        self.exit_code = 128 + number
