"""Trainings that are stopped or killed: each in a process of its own, forked from one that has imported TensorFlow."""

from collections.abc import Iterator

import pytest

from tests.campaign.runner import Zygote


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """Starts commands."""
    made = Zygote(tmp_path_factory.mktemp("zygote"), {"TF_CPP_MIN_LOG_LEVEL": "3"})
    yield made
    made.close()
