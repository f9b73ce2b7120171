"""How many processor cores this process may use."""

import math
import os
from collections.abc import Iterator

from fastmri_cls.foundation.control_groups import groups, read_lines


def available_cores() -> int:
    """Return the number of cores this process may use: the least of affinity and control group quotas, at least 1."""
    # macOS has no affinity.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *_quotas()]))


def _quotas() -> Iterator[int]:
    """Yield the quota of every control group that has one, in cores, rounded up."""
    for group in groups("cpu"):
        version_2 = [word for line in read_lines(group / "cpu.max") for word in line.split()]
        version_1 = read_lines(group / "cpu.cfs_quota_us") + read_lines(group / "cpu.cfs_period_us")
        for limit in (version_2, version_1):
            if len(limit) == 2 and limit[0].isdigit():  # else "max" (version 2) or "-1" (version 1): no quota
                yield math.ceil(int(limit[0]) / int(limit[1]))
