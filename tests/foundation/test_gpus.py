"""What is done about GPUs, on a machine that has none: TensorFlow's answers are made up."""

import logging

import pytest
import tensorflow as tf

from fastmri_cls.foundation import environment, gpus
from fastmri_cls.foundation.errors import UserError


@pytest.fixture
def no_gpu(monkeypatch):
    for question in ("list_physical_devices", "get_visible_devices"):
        monkeypatch.setattr(tf.config, question, lambda kind=None: [])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    gpus._warn_of_unusable_gpu.cache_clear()


@pytest.fixture
def two_gpus(monkeypatch):
    names = {"gpu 0": "NVIDIA H100", "gpu 1": "NVIDIA L4"}
    for question in ("list_physical_devices", "get_visible_devices"):
        monkeypatch.setattr(tf.config, question, lambda kind=None: list(names))
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"device_name": names[gpu]})
    return list(names)


def test_a_gpu_that_tensorflow_cannot_use_is_not_passed_over_in_silence(no_gpu, monkeypatch, tmp_path):
    lines: list[str] = []
    monkeypatch.setattr(gpus.log, "warning", lines.append)
    monkeypatch.setattr(gpus, "_NVIDIA_DEVICE", tmp_path / "nvidia0")
    gpus.prepare_gpus()
    assert not lines  # there is none
    (tmp_path / "nvidia0").touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    gpus.prepare_gpus()
    assert not lines  # hidden on purpose
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    gpus.prepare_gpus()
    gpus.prepare_gpus()
    (said,) = lines  # once
    assert "done on the CPU" in said
    assert ".[gpu]" in said


def test_the_memory_of_every_gpu_grows(two_gpus, monkeypatch):
    asked = []

    def grow(gpu, wanted):
        asked.append((gpu, wanted))
        if gpu == "gpu 0":
            raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", grow)
    gpus.prepare_gpus()
    assert asked == [(gpu, True) for gpu in two_gpus]


def test_results_name_the_gpus_and_say_whether_products_are_exact(two_gpus):
    assert environment.describe()["gpus"] == ["NVIDIA H100", "NVIDIA L4"]
    assert environment.describe()["gpu_software"]["tf32"]
    with gpus.exact_float32():
        assert not environment.describe()["gpu_software"]["tf32"]


def test_results_of_the_cpu_name_no_gpu(no_gpu):
    assert environment.describe()["gpus"] == []
    assert environment.describe()["gpu_software"] is None


def test_a_gpu_gets_larger_batches_than_a_cpu(two_gpus, monkeypatch):
    assert gpus.inference_batch() == 128
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind=None: [])  # as --device cpu leaves it
    assert gpus.inference_batch() == 32


def test_products_are_exact_in_the_block_and_as_before_after_it():
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    before = enabled()
    with gpus.exact_float32():
        assert not enabled()
    assert enabled() is before


def test_a_gpu_that_is_asked_for_and_not_there_is_refused(no_gpu):
    with pytest.raises(UserError, match=r"^--device gpu: TensorFlow finds no GPU; .*choose --device cpu$"):
        gpus.use_device("gpu")
    gpus.use_device("cpu")
    gpus.use_device("auto")
    with pytest.raises(UserError, match=r"--device tpu: choose one of auto, gpu, cpu"):
        gpus.use_device("tpu")


def test_the_cpu_leaves_gpus_alone_or_says_that_it_is_too_late(two_gpus, monkeypatch):
    hidden = []
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda seen, kind: hidden.append((seen, kind)))
    gpus.use_device("gpu")
    assert not hidden
    gpus.use_device("cpu")
    assert hidden == [([], "GPU")]

    def refuse(*_):
        raise RuntimeError("Visible devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "set_visible_devices", refuse)
    with pytest.raises(UserError, match="--device cpu: TensorFlow has begun to use the GPU"):
        gpus.use_device("cpu")


@pytest.fixture
def nvidia_smi(two_gpus, monkeypatch, tmp_path):
    """A tool of that name which writes down its arguments."""
    tool, asked = tmp_path / "nvidia-smi", tmp_path / "asked"
    tool.write_text(f'#!/bin/sh\necho "$@" >> {asked}\necho "81559, 1559"\necho "23034, 434"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    gpus.free_gpu_memory.cache_clear()
    yield asked
    gpus.free_gpu_memory.cache_clear()


def test_the_free_memory_of_the_fullest_gpu_is_asked_for_once(nvidia_smi, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    expected = (23034 - 434) * 2**20 - 2 * 2**30  # two GiB are left for CUDA itself
    assert [gpus.free_gpu_memory(), gpus.free_gpu_memory()] == [expected, expected]
    (arguments,) = nvidia_smi.read_text().splitlines()
    assert arguments.endswith("--id=1,3")


def test_an_unknown_memory_is_said_and_counts_as_none(nvidia_smi, monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(logging.getLogger("fastmri_cls"), "propagate", True)
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    assert gpus.free_gpu_memory() == 0
    assert "no images are kept there" in caplog.text
