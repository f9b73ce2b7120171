"""Too little memory: under a control group's limit and ulimit -v, `--cache auto` steps down, the run ends well."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.campaign.materials import TRAIN, Materials, build_arguments, draw_source
from tests.campaign.runner import Conditions, Zygote

_MIB = 1 << 20
_GROUP_LIMIT = 1000 * _MIB  # room for a training of small-cnn, not for 40 % of it in images
_SPACE_LIMIT = 4000 * _MIB  # of addresses, of which half is mapped before anything is chosen
_SIDE, _TRAINED, _TESTED = 512, 5, 270  # images of a class, 0.8 MB each; those that test only have to be there
_WAIT_SECONDS = 100


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
    source = draw_source(folder / "source", seed=2, training=_TRAINED, testing=_TESTED)
    form = ("--image-size", _SIDE, "--channels", 3, "--split", "published")
    built = zygote.run(*build_arguments(source, folder / "data"), *form)
    if built.code != 0:
        return f"the build failed: {built.stderr[-200:]}"
    flags = ("--phase2-epochs", 0, "--batch-size", 4)
    command = ("train", "--data", folder / "data", "--out", folder / "run", *TRAIN, *flags)
    running = zygote.start(*command, conditions=conditions)
    deadline = time.monotonic() + _WAIT_SECONDS
    while running.is_alive and not (folder / "run" / "model.keras").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    has_trained = (folder / "run" / "model.keras").exists()
    running.send(signal.SIGKILL)  # a thousand images need not be evaluated as well
    ended = running.wait()
    if not has_trained:
        return f"did not train: exit code {ended.code}: {ended.stderr.strip()[-200:]}"
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
