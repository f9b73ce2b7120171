"""How much memory this process may still take: the machine's, a control group's (v1 and v2) or ulimit's, the least."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_GROUPS = Path("/sys/fs/cgroup")
_FILES = (  # of version 2 and of version 1: the limit, the use, and what of it memory.stat calls cached
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
_UNLIMITED = 1 << 60  # bytes; version 1 writes its "no limit" as a number just below 2**63


def free_memory() -> int:
    """Return the bytes this process may still take, 0 or more."""
    return max(0, min([_of_machine(), *_of_groups(), *_of_ulimit()]))


def _of_machine() -> int:
    for line in _lines(_PROC / "meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_groups() -> Iterator[int]:
    """Yield the room of every control group this process is in, its own and those above, which count it too."""
    for line in _lines(_PROC / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        mount = _GROUPS / controllers
        # In a container the mount's root may be the group itself, whatever the path says: then only the root is there.
        for name in (Path(path), *Path(path).parents):
            yield from _room(mount / name.relative_to("/"))


def _room(group: Path) -> Iterator[int]:
    """Yield limit - use of a group that has a limit; cached files are given back before anything is refused."""
    for limit_name, use_name, cached_name in _FILES:
        limit, use = _lines(group / limit_name), _lines(group / use_name)
        if limit and use and limit[0].isdigit() and int(limit[0]) < _UNLIMITED:
            facts = dict(line.split() for line in _lines(group / "memory.stat"))
            yield int(limit[0]) - int(use[0]) + int(facts.get(cached_name, 0))


def _of_ulimit() -> Iterator[int]:
    """Yield what `ulimit -v` and `ulimit -d` leave; pages mapped count there whether they are used or not."""
    facts = dict(line.split(":", 1) for line in _lines(_PROC / "self" / "status") if ":" in line)
    for kind, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        limit = resource.getrlimit(kind)[0]
        if limit != resource.RLIM_INFINITY and name in facts:
            yield limit - int(facts[name].split()[0]) * 1024


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
