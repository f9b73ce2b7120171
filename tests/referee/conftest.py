"""What the tests of the referee share: the dataset that models are evaluated on."""

from pathlib import Path

import pytest

from fastmri_cls.dataset import Dataset


@pytest.fixture(scope="module")
def data(phantom_dataset: Path) -> Dataset:
    return Dataset(phantom_dataset)
