"""A damaged checkpoint is never gone on from; a disk that is full when an epoch is noted has a name."""

import errno
from pathlib import Path

import numpy as np
import pytest

from fastmri_cls.training.callbacks import COLUMNS, History
from fastmri_cls.training.checkpoint import Checkpoint, Checkpoints, Progress


def test_a_checkpoint_whose_list_of_arrays_lost_one_gives_way_to_the_one_before(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for epoch in range(2):
        arrays = [np.full(3, epoch, np.float32), np.full(4, epoch, np.float32)]
        checkpoints.save(lambda e=epoch, a=arrays: Checkpoint(Progress(epoch=e), best=a), force=True)
    newest = sorted(tmp_path.iterdir())[-1]
    content = newest.read_bytes()
    place = content.rindex(b"best-1.npy")  # in the ZIP's list of names, which has no checksum
    newest.write_bytes(content[:place] + b"bess-1.npy" + content[place + 10 :])
    found = checkpoints.latest()
    assert found is not None
    assert found.progress.epoch == 0
    np.testing.assert_array_equal(found.best[1], np.zeros(4))


def test_a_disk_that_is_full_when_an_epoch_is_noted_names_history_csv(tmp_path: Path) -> None:
    history = History(tmp_path, Progress(), max_epochs=2)
    (tmp_path / "history.csv").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space") as caught:
        history.on_epoch_end(0, dict.fromkeys(COLUMNS[2:], 0.5))
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path / "history.csv")
