"""The one exception a user can cause; cli/app.py turns it into a single line on stderr and exit code 1."""


class UserError(Exception):
    """A fault in input, files or flags. The message names the thing, the fact and the cure, on one line."""
