"""Too little memory: under a control group's limit and ulimit -v, `--cache auto` steps down, the run ends well."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tests.campaign.materials import TRAIN, Materials, build_arguments
from tests.campaign.runner import Conditions, Ended, Zygote

_MIB = 1 << 20
_GROUP_LIMIT = 950 * _MIB  # a process with TensorFlow takes 700
_SPACE_LIMIT = 10_000 * _MIB  # of addresses; TensorFlow maps 6 GB before it does anything
_SIDE = 1024  # pixels: so that few images are many bytes


def under_a_control_group(folder: Path, given: Materials, zygote: Zygote) -> str:
    """Train on more pixels than the group has room for; skipped where one may make no group."""
    with _group(_GROUP_LIMIT) as group:
        if not group:
            return ""
        return _steps_down(folder, given, zygote, Conditions(memory_group=group))


def under_ulimit(folder: Path, given: Materials, zygote: Zygote) -> str:
    """The same with `ulimit -v`."""
    return _steps_down(folder, given, zygote, Conditions(address_bytes=_SPACE_LIMIT))


def _steps_down(folder: Path, given: Materials, zygote: Zygote, conditions: Conditions) -> str:
    folder.mkdir(parents=True)
    built = zygote.run(*build_arguments(given.source, folder / "data"), "--image-size", _SIDE)
    if built.code != 0:
        return f"the build failed: {built.stderr[-200:]}"
    flags = ("--phase2-epochs", 0, "--batch-size", 4)
    command = ("train", "--data", folder / "data", "--out", folder / "run", *TRAIN, *flags)
    return _verdict(zygote.run(*command, conditions=conditions))


def _verdict(ended: Ended) -> str:
    if ended.crashed or ended.code != 0:
        return ended.crashed or f"exit code {ended.code}: {ended.stderr.strip()[-200:]}"
    return "" if "cache: none" in ended.stderr else f"did not step down: {ended.stderr[:200]}"


@contextlib.contextmanager
def _group(limit: int) -> Iterator[str]:
    """Make a control group (v1 or v2) with this limit below our own and yield its folder, "" where one may not."""
    name = f"campaign-{os.getpid()}"
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        group = Path("/sys/fs/cgroup") / controllers / path.lstrip("/") / name
        file = "memory.limit_in_bytes" if controllers else "memory.max"
        try:
            group.mkdir()
            (group / file).write_text(str(limit))
        except OSError:
            with contextlib.suppress(OSError):
                group.rmdir()
            continue
        try:
            yield str(group)
        finally:
            group.rmdir()
        return
    yield ""
