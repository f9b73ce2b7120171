"""A lock is held by one, and released with its process."""

import subprocess
import sys
from pathlib import Path

from fastmri_cls.foundation.locks import try_lock

HOLDER = """
import sys, time
from fastmri_cls.foundation.locks import try_lock
file = open(sys.argv[1], "ab")
print(try_lock(file), flush=True)
time.sleep(60)
"""


def test_a_killed_process_never_keeps_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "True\n"
            with path.open("rb") as mine:
                assert not try_lock(mine)
        finally:
            holder.kill()
    with path.open("rb") as mine:
        assert try_lock(mine.fileno())


def test_a_second_descriptor_of_the_same_process_is_refused_until_the_first_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with path.open("rb") as first, path.open("rb") as second:
        assert try_lock(first)
        assert not try_lock(second)
        first.close()
        assert try_lock(second)
