"""oneDNN: on for every x86 processor, unless the user says otherwise; results say which it was."""

import json
import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import json
from fastmri_cls.foundation.environment import describe
before = describe()["onednn"]
from fastmri_cls.foundation.quiet import import_tensorflow
import_tensorflow()
print(json.dumps([before, describe()["onednn"]]))
"""
x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="TensorFlow has oneDNN for x86_64")


def onednn_in_a_process(**variables: str) -> list[bool | None]:
    """Return what the environment says before and after TensorFlow's import in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    command = [sys.executable, "-c", PROGRAM]
    result = subprocess.run(command, env=kept | variables, capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


@x86
def test_on_wherever_tensorflow_has_it():
    assert onednn_in_a_process() == [None, True]


@x86
def test_the_users_setting_stays():
    assert onednn_in_a_process(TF_ENABLE_ONEDNN_OPTS="0") == [None, False]
