"""One parallel pass: the order of the files, whatever the workers do."""

import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.ingest import IngestedImage, StorageForm, encode_image, ingest, recode, with_channels
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import Source, SourceFile
from fastmri_cls.sources.scan import scan
from tests.records.conftest import draw

FORM = StorageForm(32, "bilinear", 0, "raw")


@pytest.fixture(scope="module")
def files(phantom_sources: dict[str, Path]) -> list[SourceFile]:
    return scan([Source(name, path) for name, path in phantom_sources.items()], ClassNames()).files


def test_two_workers_give_what_one_gives_in_the_order_of_the_files(files: list[SourceFile]) -> None:
    for (file, alone), (other_file, shared) in zip(ingest(files, FORM, 1), ingest(files, FORM, 2), strict=True):
        assert file == other_file
        if isinstance(alone, str):
            assert alone == shared
        else:
            assert isinstance(shared, IngestedImage)
            assert (alone.encoded, alone.facts, alone.stamp) == (shared.encoded, shared.facts, shared.stamp)
            assert alone.fingerprint.sha256 == shared.fingerprint.sha256
            np.testing.assert_array_equal(alone.fingerprint.phash, shared.fingerprint.phash)


def test_a_pass_without_a_form_stores_nothing(files: list[SourceFile]) -> None:
    [(_, image)] = ingest(files[:1], None, 1)
    assert isinstance(image, IngestedImage)
    assert (image.encoded, image.stamp) == (b"", None)


def test_a_worker_that_is_killed_is_an_error_not_a_hang(files: list[SourceFile]) -> None:
    results = ingest(files * 20, FORM, 2)
    next(results)
    for worker in multiprocessing.active_children():
        os.kill(worker.pid or 0, signal.SIGKILL)
    with pytest.raises(UserError, match=r"a worker process died near .*; try --workers 1"):
        list(results)


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_a_grey_image_becomes_rgb_where_the_set_needs_it(encoding: str) -> None:
    grey = draw(1, 32)
    form = StorageForm(32, "bilinear", 3, encoding)
    recoded = recode(encode_image(grey, encoding), 1, form)
    assert recoded == encode_image(np.stack([grey] * 3, axis=-1), encoding)


def test_colour_to_one_channel_is_luma() -> None:
    colour = np.stack([draw(n, 32) for n in range(3)], axis=-1)
    luma = colour.astype(float) @ (0.299, 0.587, 0.114)  # ITU-R 601-2, as Pillow's convert("L")
    assert np.abs(with_channels(colour, 1) - luma).max() <= 1
    np.testing.assert_array_equal(with_channels(colour, 1), np.asarray(Image.fromarray(colour).convert("L")))
