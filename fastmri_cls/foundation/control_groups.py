"""Linux control groups (cgroups, v1 and v2): which limits containers and job schedulers set for this process."""

from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
_ROOT = Path("/sys/fs/cgroup")


def groups(controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups that this process is in, with all groups above them.

    Args:
        controller: `memory` or `cpu`.
    """
    for line in read_lines(PROC / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        mount = _ROOT / controllers
        # In a container the mount's root may be the group itself, whatever the path says: then only the root exists.
        for name in (Path(path), *Path(path).parents):
            yield mount / name.relative_to("/")


def read_lines(path: Path) -> list[str]:
    """Return the lines of a system file, none if it does not exist or must not be read."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
