"""How much memory this process may still take: the least of machine, control groups and ulimit."""

import os
from collections.abc import Iterator
from pathlib import Path

from fastmri_cls.foundation.control_groups import PROC, groups, read_lines

try:
    import resource
except ModuleNotFoundError:
    resource = None  # type: ignore[assignment]

_FILES = (  # control groups v2 and v1: limit, use, and the entry of memory.stat that counts cached files
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
_UNLIMITED = 1 << 60  # bytes; v1 writes "no limit" as a number just below 2**63
_FREE_FRACTION = 0.5  # of the physical memory, on systems that do not say how much of it is available (macOS)


def free_memory() -> int:
    """Return the bytes this process may still take, 0 or more."""
    return max(0, min([_machine(), *_control_groups(), *_ulimits()]))


def _machine() -> int:
    for line in read_lines(PROC / "meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return int(_FREE_FRACTION * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _control_groups() -> Iterator[int]:
    for group in groups("memory"):
        yield from _group(group)


def _group(group: Path) -> Iterator[int]:
    """Yield limit - use of a group that has a limit; cached files do not count, the kernel drops them when needed."""
    for limit_name, use_name, cached_name in _FILES:
        limit, use = read_lines(group / limit_name), read_lines(group / use_name)
        if limit and use and limit[0].isdigit() and int(limit[0]) < _UNLIMITED:
            facts = dict(line.split() for line in read_lines(group / "memory.stat"))
            yield int(limit[0]) - int(use[0]) + int(facts.get(cached_name, 0))


def _ulimits() -> Iterator[int]:
    """Yield what `ulimit -v` and `ulimit -d` leave; they count mapped pages, used or not."""
    if resource is None:
        return
    facts = dict(line.split(":", 1) for line in read_lines(PROC / "self" / "status") if ":" in line)
    for kind, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        limit = resource.getrlimit(kind)[0]
        if limit != resource.RLIM_INFINITY and name in facts:
            yield limit - int(facts[name].split()[0]) * 1024
