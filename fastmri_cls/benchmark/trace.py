"""The slowest operations in a trace of TensorFlow's profiler (xplane.proto), by type.

On a CPU every operation is an event of a thread, named `place:Type`. On a GPU an event of a stream is a kernel. Where
an operation launched it, the kernel names that one (`tf_op`); where XLA fused several into it, or a CUDA graph launched
it, only XLA's own operation (`hlo_op`), or nothing but its own name.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.private_api import xplane_pb2

_SHOWN = 10
_OPERATION = re.compile(r"(?P<place>[^:]+):(?P<type>\w+)")
_NUMBER = re.compile(r"[._]\d+$")  # of one of several equal operations of XLA
_KERNEL = re.compile(r"(?:void )?(?P<name>[^<(]+)")  # without template and arguments
# These wait for the operations inside them.
_CONTAINERS = ("PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile", "If", "StatelessIf")


@dataclass(frozen=True)
class SlowOperation:
    """All operations of one type.

    Attributes:
        type: the name of TensorFlow, of XLA, or of the kernel, the first that is known.
        seconds: their total time.
        share: fraction of the time of all operations.
        calls: how many ran.
        place: the slowest operation of the type.
    """

    type: str
    seconds: float
    share: float
    calls: int
    place: str


@dataclass(frozen=True)
class Operations:
    """Where the time of a device went.

    Attributes:
        slowest: the slowest types, the slowest first.
        unnamed: fraction of the time in kernels that name neither an operation of TensorFlow nor of XLA.
    """

    slowest: list[SlowOperation]
    unnamed: float


def slowest_operations(logdir: Path, count: int = _SHOWN) -> Operations:
    """Return the types of operation that took most time in the trace below `logdir`.

    Raises:
        UserError: there is no trace.
    """
    files = sorted(logdir.glob("plugins/profile/*/*.xplane.pb"))
    if not files:
        raise UserError(f"{logdir}: the profiler left no trace; run it again")
    space = xplane_pb2.XSpace.FromString(files[-1].read_bytes())
    seconds: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    calls: dict[str, int] = defaultdict(int)
    unnamed = 0.0
    for kind, place, duration, is_named in _events(space):
        seconds[kind][place] += duration
        calls[kind] += 1
        unnamed += 0.0 if is_named else duration
    totals = {kind: sum(places.values()) for kind, places in seconds.items()}
    everything = sum(totals.values())
    slowest = [
        SlowOperation(
            kind,
            totals[kind],
            totals[kind] / everything,
            calls[kind],
            max(seconds[kind], key=seconds[kind].__getitem__),
        )
        for kind in sorted(totals, key=totals.__getitem__, reverse=True)[:count]
    ]
    return Operations(slowest, unnamed / everything if everything else 0.0)


def _events(space: Any) -> Iterator[tuple[str, str, float, bool]]:
    """Yield type, place, seconds of each operation, and whether it names itself."""
    devices = [plane for plane in space.planes if plane.name.startswith("/device:")]
    for plane in devices or [plane for plane in space.planes if plane.name == "/host:CPU"]:
        # Other lines of a device sum the same kernels up again, by step, by module or by operation.
        streams = [line for line in plane.lines if line.name.startswith("Stream")]
        for line in streams or plane.lines:
            for event in line.events:
                stats = _stats(plane, event)
                name = plane.event_metadata[event.metadata_id].name
                found = _OPERATION.fullmatch(stats.get("tf_op", name))
                if found:
                    kind, place = found["type"], found["place"]
                elif not devices:
                    continue  # an event of the host that is no operation
                elif "hlo_op" in stats:
                    kind, place = _NUMBER.sub("", stats["hlo_op"]), stats["hlo_op"]
                else:
                    kernel = _KERNEL.match(name)
                    kind = place = kernel["name"].strip() if kernel else name
                if kind not in _CONTAINERS:
                    yield kind, place, event.duration_ps / 1e12, bool(found) or "hlo_op" in stats


def _stats(plane: Any, event: Any) -> dict[str, str]:
    """Return the names that an event gives of its operation."""
    found = {}
    for stat in (*plane.event_metadata[event.metadata_id].stats, *event.stats):
        name = plane.stat_metadata[stat.metadata_id].name
        if name in ("tf_op", "hlo_op"):
            found[name] = str(stat.str_value or plane.stat_metadata[stat.ref_value].name)
    return found
