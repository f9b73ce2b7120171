"""The cores a process may use are the least of the machine, its affinity and the quotas of its control groups."""

import os
from pathlib import Path

import pytest

from fastmri_cls.foundation import control_groups
from fastmri_cls.foundation.cpu import available_cores


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A process with an affinity of 8 cores in the group /outer/inner, without quotas yet."""
    monkeypatch.setattr(control_groups, "PROC", tmp_path / "proc")
    monkeypatch.setattr(control_groups, "_ROOT", tmp_path / "groups")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    write(tmp_path / "proc" / "self" / "cgroup", "3:cpu,cpuacct:/outer/inner\n2:cpuset:/other\n0::/outer/inner\n")
    return tmp_path / "groups"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_quotas_it_is_the_affinity(groups: Path) -> None:
    assert available_cores() == 8


def test_without_affinity_it_is_the_machines(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert available_cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1


@pytest.mark.parametrize("group", ["", "outer", "outer/inner"])
def test_a_quota_of_version_2_counts_in_every_group_above_too(groups: Path, group: str) -> None:
    write(groups / group / "cpu.max", "250000 100000\n")
    assert available_cores() == 3
    write(groups / group / "cpu.max", "max 100000\n")
    assert available_cores() == 8


def test_a_quota_of_version_1_counts(groups: Path) -> None:
    write(groups / "cpu,cpuacct" / "outer" / "cpu.cfs_period_us", "100000\n")
    write(groups / "cpu,cpuacct" / "outer" / "cpu.cfs_quota_us", "200000\n")
    assert available_cores() == 2
    write(groups / "cpu,cpuacct" / "outer" / "cpu.cfs_quota_us", "-1\n")
    assert available_cores() == 8


def test_a_quota_below_one_core_is_one_and_one_above_the_affinity_does_not_count(groups: Path) -> None:
    write(groups / "cpu.max", "5000 100000\n")
    assert available_cores() == 1
    write(groups / "cpu.max", "6400000 100000\n")
    assert available_cores() == 8
