"""Faults: signals at random moments, flipped bits, full disks, a second writer, a wrong clock."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tests.campaign.materials import Materials
from tests.campaign.runner import Conditions, Ended, Zygote
from tests.campaign.victims import VICTIMS, LeftAlone, compare_results, leave_alone, run_again

Fault = Callable[[Path, Materials, Zygote], str]

_STILL_SECONDS = 1.0
_ROOM = 1 << 32  # bytes of a disk that is large enough


def alone_folder(folder: Path) -> Path:
    """Where a job whose folder is `folder` runs a victim's command undisturbed."""
    return folder.with_name(f"{folder.name}-alone")


class Alone:
    """What each victim gives when left alone, found out by the first fault that asks."""

    def __init__(self) -> None:
        self._found: dict[str, LeftAlone] = {}

    def of(self, name: str, folder: Path, given: Materials, zygote: Zygote) -> LeftAlone:
        """Return it."""
        if name not in self._found:
            place = alone_folder(folder)
            zygote.use_cache(place / "cache")
            self._found[name] = leave_alone(VICTIMS[name], place, given, zygote)
            zygote.use_cache(folder / "cache")
        return self._found[name]


def killed(name: str, number: signal.Signals, seed: str, alone: Alone) -> Fault:
    """Send a signal at a random moment, run the command again."""

    def fault(folder: Path, given: Materials, zygote: Zygote) -> str:
        victim, undisturbed = VICTIMS[name], alone.of(name, folder, given, zygote)
        folder.mkdir(parents=True)
        victim.prepare(folder, given)
        running = zygote.start(*victim.command(folder, given), conditions=victim.conditions)
        time.sleep(random.Random(seed).uniform(0, undisturbed.seconds))
        running.send(number)
        if number == signal.SIGSTOP:  # a disk, or a machine, that stands still for a while
            time.sleep(_STILL_SECONDS)
            running.send(signal.SIGCONT)
        ended = running.wait()
        expected = {0, -number, 143} if number == signal.SIGTERM else {0, -number}
        if ended.code not in expected:
            return f"exit code {ended.code} after {number.name}: {ended.crashed or ended.stderr.strip()[-200:]}"
        if ended.code == 0:
            return compare_results(victim.result(folder), undisturbed.result)
        return run_again(victim, undisturbed, folder, given, zygote)

    return fault


def off_the_clock(name: str, seconds: float, alone: Alone) -> Fault:
    """Run a command while the wall clock jumps about."""

    def fault(folder: Path, given: Materials, zygote: Zygote) -> str:
        victim, undisturbed = VICTIMS[name], alone.of(name, folder, given, zygote)
        folder.mkdir(parents=True)
        victim.prepare(folder, given)
        conditions = Conditions(often=victim.conditions.often, clock_shift=seconds)
        ended = zygote.run(*victim.command(folder, given), conditions=conditions)
        if ended.code != 0:
            return ended.crashed or f"exit code {ended.code}: {ended.stderr.strip()[-200:]}"
        return compare_results(victim.result(folder), undisturbed.result)

    return fault


def on_a_full_disk(name: str, seed: str, alone: Alone) -> Fault:
    """Let the disk be full at a random byte of what a command writes, then make room and run it again."""

    def fault(folder: Path, given: Materials, zygote: Zygote) -> str:
        victim, undisturbed = VICTIMS[name], alone.of(name, folder, given, zygote)
        folder.mkdir(parents=True)
        share = random.Random(seed).uniform(0, 0.98)
        with _small_disk(folder) as resize:
            place = folder / "place"
            place.mkdir()
            victim.prepare(place, given)
            zygote.use_cache(place / "cache")
            room = int(share * undisturbed.added_bytes)
            conditions = replace(victim.conditions, crowded=True)
            if resize:
                resize(shutil.disk_usage(folder).used + room)
            else:
                conditions = replace(conditions, file_bytes=max(1, room // 4))
            ended = zygote.run(*victim.command(place, given), conditions=conditions)
            wrong = _refused(ended, ("No space left on device", "File too large", "free some space", "are free"))
            if wrong:
                return wrong
            if resize:
                resize(_ROOM)
            return run_again(victim, undisturbed, place, given, zygote)

    return fault


def _refused(ended: Ended, reasons: tuple[str, ...]) -> str:
    """Return what is wrong with how a command ended that may fail, clearly, for one of `reasons`."""
    if ended.crashed or ended.code == 0:
        return ended.crashed
    if ended.code != 1 or len(ended.error_lines) != 1:
        return f"exit code {ended.code}, {len(ended.error_lines)} lines of error: {ended.stderr.strip()[-200:]}"
    line = ended.error_lines[0]
    return "" if any(reason in line for reason in reasons) else f"another reason: {line[:200]}"


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[Callable[[int], object] | None]:
    """Mount a tmpfs on `folder` and yield what sets its size in bytes; None where one may not mount."""

    def mount(options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    if os.geteuid() != 0 or not mount(f"size={_ROOM}"):
        yield None
        return
    try:
        yield lambda size: mount(f"remount,size={size}")
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def doubled(name: str, begun: str, says: str, alone: Alone) -> Fault:
    """Start a command, hold it still once `begun` is there, start it again: refused, and the first unharmed."""

    def fault(folder: Path, given: Materials, zygote: Zygote) -> str:
        victim, undisturbed = VICTIMS[name], alone.of(name, folder, given, zygote)
        folder.mkdir(parents=True)
        victim.prepare(folder, given)
        first = zygote.start(*victim.command(folder, given), conditions=victim.conditions)
        deadline = time.monotonic() + 60
        while not list(folder.glob(begun)) and time.monotonic() < deadline:
            time.sleep(0.005)
        first.send(signal.SIGSTOP)
        second = zygote.run(*victim.command(folder, given), conditions=victim.conditions)
        first.send(signal.SIGCONT)
        ended = first.wait()
        if second.code != 1 or says not in second.stderr:
            return f"the second: exit code {second.code}: {second.stderr.strip()[-200:]}"
        if ended.code != 0:
            return f"the first: exit code {ended.code}: {ended.stderr.strip()[-200:]}"
        return compare_results(victim.result(folder), undisturbed.result)

    return fault
