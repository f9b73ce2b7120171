"""Advisory locks on open files and folders (flock). The system releases them when the process ends, however it ends."""

try:
    import fcntl
except ModuleNotFoundError:  # native Windows
    raise ImportError("fastmri-cls runs on Linux and macOS; on Windows, use it in WSL2") from None

from typing import IO, Any


def try_lock(file: int | IO[Any]) -> bool:
    """Lock an open file or folder, a descriptor or a file object, until it is closed.

    Returns:
        Whether the lock was free; if not, another process (or another descriptor of this one) holds it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
