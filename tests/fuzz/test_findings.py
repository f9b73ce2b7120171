"""What fuzzing found, each as a small input that must stay harmless, and the seeds it begins with."""

import json
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.manifest import FILE_NAME, read_manifest
from fastmri_cls.sources.archives import Archive
from fastmri_cls.sources.decode import decode
from fastmri_cls.sources.pixels import RejectedImage
from tests.fuzz.image_targets import dicom
from tests.fuzz.source_targets import archive_seeds
from tests.fuzz.targets import TARGETS, framed, manifest_seeds, record_seeds, small_manifest


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_every_seed_is_read_or_refused_clearly(target):
    for seed in TARGETS[target].seeds():
        TARGETS[target].check(seed)


def refusal(content: bytes, tmp_path) -> str:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_manifest(tmp_path)
    return str(caught.value)


@pytest.mark.parametrize("depth", [*range(960, 1001, 5), 100_000])
def test_json_nested_deeper_than_python_recurses_is_refused(depth, tmp_path):
    """Close to the limit msgspec still decodes what Python's json no longer encodes."""
    content = json.dumps(json.loads(manifest_seeds()[0]) | {"options": "deep"})
    nested = content.replace('"deep"', '{"deep": ' + "[" * depth + "]" * depth + "}")
    message = refusal(nested.encode(), tmp_path)
    assert "nested too deeply" in message or (depth < 1000 and "was edited" in message)


@pytest.mark.parametrize(
    ("name", "value"),
    [("image_size", float("inf")), ("image_size", -8), ("image_size", 0), ("channels", 2), ("encoding", "gif")],
)
def test_a_manifest_of_impossible_images_is_refused(name, value, tmp_path):
    content = json.loads(manifest_seeds()[0]) | {name: value}
    message = refusal(json.dumps(content).encode(), tmp_path)
    assert message.startswith(f"{tmp_path / FILE_NAME}: ")
    assert name in message or "malformed" in message  # infinity is no JSON
    assert message.endswith("rebuild with build-tfrecords --force")


def test_a_manifest_of_negative_counts_is_refused(tmp_path):
    content = json.loads(manifest_seeds()[0])
    content["splits"]["train"]["num_examples"] = -1
    assert "int >= 0 at $.splits[...].num_examples" in refusal(json.dumps(content).encode(), tmp_path)


def found_by_verify(record: bytes, encoding: str, tmp_path) -> list[str]:
    from fastmri_cls.records.images_csv import write_images_csv
    from fastmri_cls.records.verify import find_problems

    (tmp_path / "one.tfrecord").write_bytes(framed(record))
    write_images_csv(tmp_path, [])
    return find_problems(tmp_path, small_manifest(encoding, record))


def test_a_length_beyond_the_record_does_not_crash_the_parser(tmp_path):
    """TensorFlow 2.21's parse_example dies of a segmentation fault here; it must not be reached."""
    record = record_seeds()[0][1:]
    bent = record.replace(b"\x0a\x400000000", b"\x0a\xbd\xcf\xcf\xcf\xcf\xcf\xcf\xcf")
    assert bent != record
    assert any("does not parse" in problem for problem in found_by_verify(bent, "raw", tmp_path))


def test_text_that_is_no_utf8_and_an_empty_png_are_each_one_line(tmp_path):
    whole, empty_png = record_seeds()[0][1:], record_seeds()[5][1:]
    for record, encoding in ((whole.replace(b"a/1.jpg", b"\xff/1.jpg"), "raw"), (empty_png, "png")):
        problems = found_by_verify(record, encoding, tmp_path)
        assert any("does not parse" in problem for problem in problems)
        assert not any("\n" in problem for problem in problems)


def test_a_dicom_value_of_a_length_that_its_kind_cannot_have_is_a_rejected_image(tmp_path):
    whole = dicom(np.zeros((8, 8), np.uint8))
    columns = struct.pack("<HH2sHH", 0x28, 0x11, b"US", 2, 8)
    assert columns in whole
    (tmp_path / "odd.dcm").write_bytes(
        whole.replace(columns, struct.pack("<HH2sH", 0x28, 0x11, b"US", 3) + b"\x08\0\0")
    )
    with pytest.raises(RejectedImage, match="broken DICOM"):
        decode(tmp_path / "odd.dcm")


def test_a_member_without_a_name_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("x", b"content")
    content = bytearray((tmp_path / "set.zip").read_bytes())
    struct.pack_into("<HH", content, content.index(b"PK\x01\x02") + 28, 0, 1)  # lengths of the name and what follows
    (tmp_path / "set.zip").write_bytes(content)
    with pytest.raises(UserError, match="has an entry '', whose name leads out of it"):
        Archive(tmp_path / "set.zip")


def test_a_member_that_begins_before_its_archive_is_a_rejected_image(tmp_path):
    """The end of the central directory says where it began, and zipfile counts every member from there."""
    whole = bytearray(archive_seeds()[0])
    (start,) = struct.unpack_from("<I", whole, len(whole) - 6)
    struct.pack_into("<I", whole, len(whole) - 6, start + 50)
    (tmp_path / "set.zip").write_bytes(whole)
    with pytest.raises(RejectedImage, match="broken in its archive"):
        decode(tmp_path / "set.zip" / "set" / "cat" / "1.png")


def test_a_deflated_dicom_that_inflates_beyond_any_image_is_refused_before_it_does(tmp_path, monkeypatch):
    whole = dicom(np.zeros((8, 8), np.uint8), deflated=True)
    (tmp_path / "small.dcm").write_bytes(whole)
    assert decode(tmp_path / "small.dcm").shape == (8, 8)
    start = 144 + struct.unpack_from("<I", whole, 140)[0]  # the file's meta group says how long it is
    body = zlib.decompress(whole[start:], -zlib.MAX_WBITS)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    padding = struct.pack("<HH2sHI", 0x7FE1, 0x10, b"OB", 0, 4 << 20) + bytes(4 << 20)
    (tmp_path / "bomb.dcm").write_bytes(whole[:start] + deflate.compress(body + padding) + deflate.flush())
    assert (tmp_path / "bomb.dcm").stat().st_size < 10_000
    assert decode(tmp_path / "bomb.dcm").shape == (8, 8)  # 4 MiB are no bomb yet
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1 << 19)
    with pytest.raises(RejectedImage, match="too large"):
        decode(tmp_path / "bomb.dcm")
