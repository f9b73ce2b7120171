"""What is done about GPUs, on a machine that has none: TensorFlow's answers are made up."""

import logging

import pytest
import tensorflow as tf

from fastmri_cls.foundation import environment, gpus


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    gpus._warn_of_unusable_gpu.cache_clear()


@pytest.fixture
def two_gpus(monkeypatch):
    names = {"gpu 0": "NVIDIA H100", "gpu 1": "NVIDIA L4"}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: list(names))
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"device_name": names[gpu]})
    return list(names)


def test_a_gpu_that_tensorflow_cannot_use_is_not_passed_over_in_silence(no_gpu, monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(logging.getLogger("fastmri_cls"), "propagate", True)
    monkeypatch.setattr(gpus, "_NVIDIA_DEVICE", tmp_path / "nvidia0")
    gpus.prepare_gpus()
    assert not caplog.messages  # there is none
    (tmp_path / "nvidia0").touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    gpus.prepare_gpus()
    assert not caplog.messages  # hidden on purpose
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    gpus.prepare_gpus()
    gpus.prepare_gpus()
    (said,) = caplog.messages  # once
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


def test_results_name_the_gpus(two_gpus):
    assert environment.describe()["gpus"] == ["NVIDIA H100", "NVIDIA L4"]


def test_products_are_exact_in_the_block_and_as_before_after_it():
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    before = enabled()
    with gpus.exact_float32():
        assert not enabled()
    assert enabled() is before
