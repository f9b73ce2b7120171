"""The exception of a file that cannot be used; building lists it and goes on."""


class RejectedImage(Exception):  # noqa: N818 - a verdict on a file, not a fault of the program
    """A file cannot be used as an image; the message is the reason, in a few words."""
