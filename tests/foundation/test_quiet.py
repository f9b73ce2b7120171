"""What C++ code writes to stderr is hidden, if TensorFlow was asked for errors alone."""

import os

import pytest

from fastmri_cls.foundation.quiet import without_native_output


@pytest.mark.parametrize(
    ("level", "is_hidden"), [("3", True), ("2", True), ("1", False), ("", False), ("ERROR", False)]
)
def test_native_output_is_hidden_from_level_2_on(monkeypatch, capfd, level, is_hidden):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    with without_native_output():
        os.write(2, b"from C++")
    assert capfd.readouterr().err == ("" if is_hidden else "from C++")
