"""A damaged checkpoint is never gone on from."""

from pathlib import Path

import numpy as np

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
