"""Linux and macOS: the demo's parts run in a process without what only Linux has; native Windows is refused in a line.

The process stands in for macOS, which has flock but no affinity, no prctl, no posix_fallocate, no /proc and no /sys.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from fastmri_cls.sources.phantom import write_phantom_sources

pytestmark = pytest.mark.slow

WITHOUT_LINUX = """
import ctypes, io, os, sys

for name in ("sched_getaffinity", "sched_setaffinity", "posix_fallocate", "posix_fadvise", "memfd_create"):
    delattr(os, name)
sys.modules["resource"] = None
real_open, real_sysconf, real_getattr = io.open, os.sysconf, ctypes.CDLL.__getattr__

def open_without_proc(file, *arguments, **options):
    if str(file).startswith(("/proc", "/sys")):
        raise FileNotFoundError(2, "No such file or directory", str(file))
    return real_open(file, *arguments, **options)

def sysconf_without_available_memory(name):
    if name == "SC_AVPHYS_PAGES":
        raise ValueError("unrecognized configuration name")
    return real_sysconf(name)

def without_prctl(library, name):
    if name == "prctl":
        raise AttributeError(name)
    return real_getattr(library, name)

io.open, os.sysconf, ctypes.CDLL.__getattr__ = open_without_proc, sysconf_without_available_memory, without_prctl
"""

EVERY_MODULE = """
import importlib, logging, pathlib, pkgutil

import fastmri_cls

for module in pkgutil.walk_packages(fastmri_cls.__path__, "fastmri_cls."):
    if not module.name.endswith(("__main__", "torch_baseline", "inference.page")):  # the last two need what is extra
        importlib.import_module(module.name)
ours, root = logging.getLogger("fastmri_cls"), logging.getLogger()
assert (ours.propagate, ours.level) == (True, logging.NOTSET)
assert [type(handler) for handler in ours.handlers] == [logging.NullHandler]
"""

DEMO_PARTS = """
from fastmri_cls.foundation.cpu import available_cores
from fastmri_cls.foundation.memory import free_memory

assert available_cores() >= 1
assert free_memory() > 2**20
for arguments in (
    f"build-tfrecords alpha={sources}/alpha --out {out}/data --image-size 32 --split published --workers 2",
    f"verify {out}/data",
    f"train --data {out}/data --model small-cnn --out {out}/run --protocol paper --batch-size 8 "
    "--phase1-epochs 1 --phase2-epochs 0",
    f"predict {out}/run {sources}/alpha/Testing --out {out}/predictions.csv",
):
    sys.argv = ["fastmri-cls", *arguments.split()]
    try:
        fastmri_cls.cli.app.main()
    except SystemExit as end:
        assert not end.code, arguments
"""

GUARD = "if __name__ == '__main__':\n"  # the build's worker processes import the script again


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "script.py"
    path.write_text(script)
    return subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=600, check=False)


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def test_the_demos_parts_run_without_what_only_linux_has_and_imports_configure_no_logging(tmp_path):
    write_phantom_sources(tmp_path / "sources", training=8, testing=4)
    names = f"sources, out = {str(tmp_path / 'sources')!r}, {str(tmp_path / 'out')!r}\n"
    result = run(WITHOUT_LINUX + GUARD + indented(names + EVERY_MODULE + DEMO_PARTS), tmp_path)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "are as dataset.json says" in result.stdout
    assert (tmp_path / "out" / "run" / "report.html").exists()
    assert (tmp_path / "out" / "predictions.csv").exists()


def test_native_windows_is_refused_in_one_line_that_names_wsl2(tmp_path):
    command = "import sys; sys.modules['fcntl'] = None; from fastmri_cls.cli.app import main; main()"
    result = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "WSL2" in result.stderr
