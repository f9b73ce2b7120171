"""A build that is killed, starved or doubled: the dataset is whole or absent, and the next build succeeds."""

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastmri_cls.records.manifest import read_manifest
from fastmri_cls.records.verify import find_problems

pytestmark = pytest.mark.slow

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(phantom_sources: dict[str, Path]) -> Iterator[Start]:
    """Start a build of the phantom sources at 64 px, as the fixture `dataset` is built; it is ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def run(out: Path, *flags: object, file_bytes: int | None = None) -> subprocess.Popen[str]:
        def limit() -> None:
            if file_bytes:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

        named = [f"{name}={path}" for name, path in phantom_sources.items()]
        command = [sys.executable, "-m", "fastmri_cls", "build-tfrecords", *named, "--out", str(out)]
        command += ["--image-size", "64", *map(str, flags)]
        started.append(
            subprocess.Popen(command, text=True, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, preexec_fn=limit)
        )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def begun(out: Path) -> bool:
    return out.with_name(f".{out.name}.incomplete").exists() or out.exists()


def shards(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob("*.tfrecord")}


# Builds in children of one process that has imported TensorFlow already, so that the kills fall on the build itself.
# It reads the folder to build from stdin, answers with the child's id, and then with how the child ended.
NURSERY = """
import os, sys
from pathlib import Path
import fastmri_cls.records.writer
from fastmri_cls.records.build import build_dataset
from fastmri_cls.records.options import BuildOptions
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import parse_sources
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        build_dataset(
            parse_sources(sys.argv[1:]), ClassNames(), BuildOptions(image_size=64), Path(line.strip()), 1, force=True
        )
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def test_killed_at_ten_random_moments_a_build_leaves_nothing_half_written(
    phantom_sources: dict[str, Path], dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    named = [f"{name}={path}" for name, path in phantom_sources.items()]
    command = [sys.executable, "-c", NURSERY, *named]
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as nursery:

        def start_child(folder: Path) -> int:
            print(folder, file=nursery.stdin, flush=True)
            return int(nursery.stdout.readline())

        def how_it_ended() -> int:
            return int(nursery.stdout.readline())

        start_child(tmp_path / "timed")
        began = time.monotonic()
        assert how_it_ended() == 0
        duration = time.monotonic() - began

        moments = random.Random(0)
        killed = 0
        for _ in range(10):
            child = start_child(out)
            time.sleep(moments.uniform(0, duration))
            with contextlib.suppress(ProcessLookupError):  # it has ended already
                os.kill(child, signal.SIGKILL)
            killed += how_it_ended() == signal.SIGKILL
            if out.exists():  # the build was faster than the kill: then it is whole
                assert find_problems(out, read_manifest(out)) == []
        assert killed >= 5

        start_child(out)
        assert how_it_ended() == 0
        nursery.stdin.close()
    assert find_problems(out, read_manifest(out)) == []
    assert shards(out) == shards(dataset)
    assert {path.name for path in tmp_path.iterdir()} == {"out", "timed"}


def test_the_workers_of_a_killed_builder_end_too(start: Start, tmp_path: Path) -> None:
    process = start(tmp_path / "out", "--workers", 2)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_for(lambda: len(children.read_text().split()) >= 2)
    workers = children.read_text().split()
    process.kill()
    wait_for(lambda: not any(Path(f"/proc/{worker}/cmdline").exists() for worker in workers))


def test_a_second_builder_is_refused_and_the_first_is_not_disturbed(
    start: Start, dataset: Path, tmp_path: Path
) -> None:
    first = start(tmp_path / "out", "--workers", 1)
    wait_for(lambda: begun(tmp_path / "out"))
    first.send_signal(signal.SIGSTOP)
    for flags in ((), ("--force",)):
        second = start(tmp_path / "out", "--workers", 1, *flags)
        assert "another process is writing it; wait for it or choose another --out" in second.communicate(timeout=60)[1]
        assert second.returncode == 1
    first.send_signal(signal.SIGCONT)
    assert first.wait(120) == 0
    assert shards(tmp_path / "out") == shards(dataset)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path | None]]:
    """Mount a file system of some bytes, or return None where one may not."""
    mounted: list[Path] = []

    def mount(size: int) -> Path | None:
        place = tmp_path / "disk"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
            return None
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


# The 260 images are 1.1 MB, and so are their shards: the disk is full during the pass, or while TensorFlow writes.
@pytest.mark.parametrize("size", [500_000, 1_600_000])
def test_a_full_disk_is_one_clear_line_and_leaves_nothing(
    start: Start, small_disk: Callable[[int], Path | None], tmp_path: Path, size: int
) -> None:
    disk = small_disk(size)
    place = disk or tmp_path
    process = start(place / "out", "--workers", 1, file_bytes=None if disk else 500_000)
    stderr = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    [line] = stderr.splitlines()
    assert "No space left on device" in line or "File too large" in line
    assert "free some space" in line or not disk
    assert [path.name for path in place.iterdir() if "out" in path.name] == []
