"""The writer of features: .npy files with their sums, written while the next batch is computed."""

import hashlib
import time

import numpy as np
import pytest

from fastmri_cls.training.feature_writer import FeatureWriter

ARRAYS = {"cut": ((7, 2, 3), np.dtype(np.uint16)), "labels": ((7,), np.dtype(np.int64))}
WHOLE = {"cut": np.arange(42, dtype=np.uint16).reshape(7, 2, 3), "labels": np.arange(7)}


def rows(part: slice):
    return lambda: {name: values[part] for name, values in WHOLE.items()}


def test_the_files_hold_all_rows_in_order_and_the_sums_are_theirs(tmp_path):
    with FeatureWriter(tmp_path, ARRAYS) as writer:
        for part in (slice(0, 3), slice(3, 6), slice(6, 7)):
            writer.append(rows(part))
    for name, values in WHOLE.items():
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy", mmap_mode="r"), values)
    assert writer.sums == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()}


def test_a_batch_is_written_while_the_next_is_computed(tmp_path):
    steps, seconds = 10, 0.03

    def slow():
        time.sleep(seconds)
        return {}

    started = time.perf_counter()
    with FeatureWriter(tmp_path, ARRAYS) as writer:
        for _ in range(steps):
            time.sleep(seconds)  # the device
            writer.append(slow)
    assert time.perf_counter() - started < 0.75 * 2 * steps * seconds


def test_an_error_in_the_thread_is_raised_before_many_more_batches_are_computed(tmp_path):
    computed = []

    def broken():
        raise ValueError("not finite")

    def compute():
        with FeatureWriter(tmp_path, ARRAYS) as writer:
            for number in range(100):
                computed.append(number)
                writer.append(broken)

    with pytest.raises(ValueError, match="not finite"):
        compute()
    assert len(computed) < 10
