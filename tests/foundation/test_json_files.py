"""JSON files come back as the dataclasses they were written from; a damaged one is one line with place and cure."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from fastmri_cls.foundation import json_files
from fastmri_cls.foundation.errors import UserError


@dataclass(frozen=True)
class Shard:
    name: str
    records: int


@dataclass(frozen=True)
class Index:
    classes: tuple[str, ...]
    rate: float
    shards: dict[str, Shard]
    note: str | None = None
    extra: dict[str, int] = field(default_factory=dict)


INDEX = Index(("gliome", "méningiome"), 1e-07, {"train": Shard("a", 3)})


def refusal(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        json_files.read(path, Index, "build it again")
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.endswith("; build it again")
    assert "\n" not in message
    return message


def test_a_value_comes_back_equal(tmp_path):
    json_files.write(tmp_path / "index.json", INDEX)
    assert json_files.read(tmp_path / "index.json", Index, "") == INDEX


def test_the_layout_is_that_of_files_written_before(tmp_path):
    json_files.write(tmp_path / "index.json", INDEX)
    as_before = {
        "classes": ["gliome", "méningiome"], "rate": 1e-07, "shards": {"train": {"name": "a", "records": 3}},
        "note": None, "extra": {},
    }  # fmt: skip
    expected = json.dumps(as_before, indent=2, ensure_ascii=False) + "\n"
    assert (tmp_path / "index.json").read_text(encoding="utf-8") == expected


def test_bytes_that_are_not_utf_8_are_refused(tmp_path):
    assert "not UTF-8" in refusal(tmp_path / "index.json", b'{"classes": ["gliome\x80"]}')


def test_keys_of_a_later_version_are_ignored(tmp_path):
    content = json.loads(json_files.dumps(INDEX)) | {"later": [1]}
    (tmp_path / "index.json").write_text(json.dumps(content))
    assert json_files.read(tmp_path / "index.json", Index, "") == INDEX


def test_a_value_of_another_type_is_named_with_its_place(tmp_path):
    content = json_files.dumps(INDEX).replace('"records": 3', '"records": "3"').encode()
    assert "$.shards[...].records" in refusal(tmp_path / "index.json", content)


def test_a_missing_key_is_named(tmp_path):
    content = json_files.dumps(INDEX).replace('"classes"', '"labels"').encode()
    assert "classes" in refusal(tmp_path / "index.json", content)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b'{"rate": NaN}', b"[" * 200_000])
def test_what_is_no_json_or_no_index_is_refused(tmp_path, content):
    refusal(tmp_path / "index.json", content)


def test_a_missing_file_is_the_callers_to_explain(tmp_path):
    with pytest.raises(FileNotFoundError):
        json_files.read(tmp_path / "index.json", Index, "build it again")


def test_paths_and_numpy_values_are_written_as_json_has_them(tmp_path):
    value = {"path": Path("a/b"), "mean": np.float32(0.5), "count": np.int64(3), "row": np.arange(2)}
    json_files.write(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text()) == {"path": "a/b", "mean": 0.5, "count": 3, "row": [0, 1]}


@pytest.mark.parametrize("number", [float("nan"), np.float64("inf")])
def test_a_number_that_json_does_not_have_is_never_written(tmp_path, number):
    with pytest.raises(ValueError, match="JSON"):
        json_files.write(tmp_path / "a.json", {"auc": number})
    assert not (tmp_path / "a.json").exists()
