"""Options of `train` in a YAML file."""

from pathlib import Path

import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.runs.train_file import read_train_file

KNOWN = ["data", "model", "xla", "batch_size", "set"]


def read(folder: Path, text: str) -> dict[str, object]:
    (folder / "train.yaml").write_text(text, encoding="utf-8")
    return read_train_file(folder / "train.yaml", KNOWN)


def test_a_file_that_people_write_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, "model: small-cnn\nxla: off\nbatch_size: 16\nset:\n  phase1.max_epochs: 5\n  ema: true\n")
    changes = {"phase1.max_epochs": 5, "ema": True}
    assert found == {"model": "small-cnn", "xla": "off", "batch_size": 16, "set": changes}
    assert read(tmp_path, "xla: on\nset:\n") == {"xla": "on", "set": {}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("set:\n  - schedule=cosine\n", "set is no mapping of fields to values"),
        ("set: schedule=cosine\n", "set is no mapping of fields to values"),
        ("batch-size: 16\n", "batch-size is not an option of train; did you mean batch_size"),
        ("- model\n", "cannot be read as YAML"),
        ("model: [\n", "cannot be read as YAML"),
    ],
)
def test_what_would_be_passed_over_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        read(tmp_path, text)
