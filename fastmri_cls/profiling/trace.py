"""The profiler's trace file (XSpace) -> the operations that took longest, without the profiler plugin.

On a CPU every operation is an event named `place:Type` of a thread; on an accelerator the kernels say which operation
they belong to (that part was never run on one).
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastmri_cls.foundation.errors import UserError

_OPERATION = re.compile(r"(?P<place>[^:]+):(?P<type>\w+)")
# These wait for the operations inside them.
_CONTAINERS = ("PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile", "If", "StatelessIf")


@dataclass(frozen=True)
class SlowOperation:
    """All operations of one `type`: `seconds` and `share` of all operations' time, `calls`, and the slowest `place`."""

    type: str
    seconds: float
    share: float
    calls: int
    place: str


def slowest_operations(logdir: Path, count: int = 10) -> list[SlowOperation]:
    """Return the `count` types of operation that took most time in the trace below `logdir`.

    Raises:
        UserError: there is no trace.
    """
    from fastmri_cls.foundation.private_api import xplane_pb2

    files = sorted(logdir.glob("plugins/profile/*/*.xplane.pb"))
    if not files:
        raise UserError(f"{logdir}: the profiler left no trace; run it again")
    space = xplane_pb2.XSpace.FromString(files[-1].read_bytes())
    devices = [plane for plane in space.planes if plane.name.startswith("/device:")]
    seconds: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    calls: dict[str, int] = defaultdict(int)
    for plane in devices or [plane for plane in space.planes if plane.name == "/host:CPU"]:
        for line in plane.lines:
            for event in line.events:
                found = _OPERATION.fullmatch(_operation_of(plane, event))
                if found and found["type"] not in _CONTAINERS:
                    seconds[found["type"]][found["place"]] += event.duration_ps / 1e12
                    calls[found["type"]] += 1
    totals = {type_: sum(places.values()) for type_, places in seconds.items()}
    everything = sum(totals.values())
    return [
        SlowOperation(
            type_,
            totals[type_],
            totals[type_] / everything,
            calls[type_],
            max(seconds[type_], key=seconds[type_].__getitem__),
        )
        for type_ in sorted(totals, key=totals.__getitem__, reverse=True)[:count]
    ]


def _operation_of(plane: Any, event: Any) -> str:
    metadata = plane.event_metadata[event.metadata_id]
    for stat in (*event.stats, *metadata.stats):
        if plane.stat_metadata[stat.metadata_id].name == "tf_op":
            return str(stat.str_value or plane.stat_metadata[stat.ref_value].name)
    return str(metadata.name)
