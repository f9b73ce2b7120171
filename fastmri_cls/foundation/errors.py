"""What ends a command early; cli/app.py turns each into a single line on stderr and an exit code."""


class UserError(Exception):
    """A fault in input, files or flags. The message names the thing, the fact and the cure, on one line."""


class Stopped(Exception):  # noqa: N818 - asked for, not an error
    """SIGTERM came and everything is saved; the message says how to go on. Exit code 143, a shell's for SIGTERM."""
