"""The memory a process may take is the least of what machine, control groups and ulimit leave."""

import subprocess
import sys
from pathlib import Path

import pytest

from fastmri_cls.foundation import control_groups, memory

MIB = 2**20


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 8000 MiB free and this process in the group /outer/inner, without limits yet."""
    for module in (control_groups, memory):
        monkeypatch.setattr(module, "PROC", tmp_path / "proc")
    monkeypatch.setattr(control_groups, "_ROOT", tmp_path / "groups")
    write(tmp_path / "proc" / "meminfo", f"MemTotal: 1 kB\nMemAvailable:   {8000 * 1024} kB\n")
    write(tmp_path / "proc" / "self" / "cgroup", "4:memory:/outer/inner\n3:cpu:/\n0::/outer/inner\n")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_limits_it_is_the_machines(system: Path) -> None:
    assert memory.free_memory() == 8000 * MIB


@pytest.mark.parametrize("group", ["", "outer", "outer/inner"])
def test_a_limit_of_version_2_counts_in_every_group_above_too(system: Path, group: str) -> None:
    write(system / "groups" / group / "memory.max", f"{1000 * MIB}\n")
    write(system / "groups" / group / "memory.current", f"{300 * MIB}\n")
    assert memory.free_memory() == 700 * MIB
    write(system / "groups" / group / "memory.stat", f"anon 5\ninactive_file {200 * MIB}\n")
    assert memory.free_memory() == 900 * MIB  # cached files are given back when they must be
    write(system / "groups" / group / "memory.max", "max\n")
    assert memory.free_memory() == 8000 * MIB


def test_a_limit_of_version_1_counts_and_its_number_for_none_does_not(system: Path) -> None:
    group = system / "groups" / "memory" / "outer"
    write(group / "memory.limit_in_bytes", f"{2**63 - 4096}\n")
    write(group / "memory.usage_in_bytes", f"{300 * MIB}\n")
    assert memory.free_memory() == 8000 * MIB
    write(group / "memory.limit_in_bytes", f"{200 * MIB}\n")
    assert memory.free_memory() == 0


def test_ulimit_counts() -> None:
    script = "from fastmri_cls.foundation.memory import free_memory; print(free_memory())"
    found = subprocess.run(
        ["bash", "-c", f"ulimit -v 3000000; exec {sys.executable} -c '{script}'"], capture_output=True, check=True
    )
    assert 0 < int(found.stdout) < 3_000_000 * 1024
