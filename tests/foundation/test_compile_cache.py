"""Compiled programs are kept on machines with GPUs only, and never against flags that the user has set."""

import os
import sys

import pytest

from fastmri_cls.foundation import compile_cache


@pytest.fixture
def gpus(tmp_path, monkeypatch):
    """The driver's files of one GPU; TensorFlow is not imported yet."""
    information = tmp_path / "gpus" / "0000:01:00.0" / "information"
    information.parent.mkdir(parents=True)
    information.write_text("Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 1\n")
    monkeypatch.setattr(compile_cache, "_GPUS", tmp_path / "gpus")
    monkeypatch.setattr(compile_cache, "_DRIVER", tmp_path / "version")
    monkeypatch.setenv("FASTMRI_CLS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    for variable in ("TF_XLA_FLAGS", "XLA_FLAGS"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv(variable, "")
    return information


def test_programs_of_gpus_are_kept_in_the_cache_folder(gpus, tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/d")
    compile_cache.keep_compiled_programs()
    (folder,) = (tmp_path / "cache" / "xla").iterdir()
    assert {path.name for path in folder.iterdir()} == {"programs", "autotuning"}
    programs = f"--tf_xla_persistent_cache_directory={folder / 'programs'} --tf_xla_persistent_cache_device_types=GPU"
    assert os.environ["TF_XLA_FLAGS"] == programs
    chosen = f"--xla_dump_to=/d --xla_gpu_per_fusion_autotune_cache_dir={folder / 'autotuning'}"
    assert os.environ["XLA_FLAGS"] == chosen
    compile_cache.keep_compiled_programs()
    assert os.environ["XLA_FLAGS"] == chosen


def test_another_gpu_or_driver_has_programs_of_its_own(gpus, tmp_path):
    names = {compile_cache._machine()}
    gpus.write_text("Model: \t NVIDIA L4\n")
    names.add(compile_cache._machine())
    (tmp_path / "version").write_text("NVRM version: 580.1")
    assert len(names | {compile_cache._machine()}) == 3


@pytest.mark.parametrize("why", ["no GPU", "too late"])
def test_nothing_is_set_without_a_gpu_or_after_the_import(gpus, tmp_path, monkeypatch, why):
    if why == "no GPU":
        monkeypatch.setattr(compile_cache, "_GPUS", tmp_path / "nothing")
    else:
        monkeypatch.setitem(sys.modules, "tensorflow", os)
    compile_cache.keep_compiled_programs()
    assert os.environ["TF_XLA_FLAGS"] == os.environ["XLA_FLAGS"] == ""
    assert not (tmp_path / "cache").exists()
