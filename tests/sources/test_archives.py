"""ZIP archives are read as the folders that were packed; bombs and names that lead out of them are refused."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.build import build_dataset
from fastmri_cls.records.images_csv import read_images_csv
from fastmri_cls.records.manifest import read_manifest
from fastmri_cls.records.options import BuildOptions
from fastmri_cls.sources import archives
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.decode import decode
from fastmri_cls.sources.folders import Source, parse_sources
from fastmri_cls.sources.pixels import RejectedImage
from fastmri_cls.sources.scan import scan
from fastmri_cls.sources.storage import read_tree
from tests.records.conftest import draw, save, shard_bytes


def pack(folder: Path, path: Path, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


def zipped(path: Path, *names: str, content: bytes = b"x") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(40):
        place = tmp_path / "set" / ("Training" if number % 4 else "Testing") / "ab"[number % 2]
        save(place / f"{number:02}.{'png' if number % 3 else 'tif'}", draw(number))
    (tmp_path / "set" / "readme.txt").write_text("about")
    (tmp_path / "set" / "__MACOSX").mkdir()
    (tmp_path / "set" / "__MACOSX" / "._00.png").write_bytes(b"fork")
    return tmp_path / "set"


@pytest.mark.parametrize("workers", [1, 2])
def test_an_archive_builds_what_its_folder_builds(tmp_path: Path, folder: Path, workers: int) -> None:
    packed = pack(folder, tmp_path / "set.zip")
    for name, source in (("from-folder", folder), ("from-archive", packed)):
        sources = parse_sources([f"mri={source}"])
        build_dataset(sources, ClassNames(), BuildOptions(image_size=32), tmp_path / name, workers)
    assert shard_bytes(tmp_path / "from-folder") == shard_bytes(tmp_path / "from-archive")
    one, other = read_manifest(tmp_path / "from-folder"), read_manifest(tmp_path / "from-archive")
    assert (one.fingerprint, one.passed_over) == (other.fingerprint, other.passed_over)
    rows = read_images_csv(tmp_path / "from-archive")
    assert [(row.filename, row.sha256) for row in rows] == [
        (row.filename, row.sha256) for row in read_images_csv(tmp_path / "from-folder")
    ]
    first = rows[0]
    assert first.file.bytes == (folder / first.filename).stat().st_size
    assert not list(tmp_path.glob("set.zip/*"))


def test_a_source_in_an_archive_is_named_after_it(tmp_path: Path) -> None:
    [source] = parse_sources([str(zipped(tmp_path / "Brain MRI.ZIP", "a/1.png"))])
    assert source.name == "Brain-MRI"


def test_verify_sees_what_changed_in_an_archive(tmp_path: Path, folder: Path) -> None:
    from fastmri_cls.records.verify import find_problems

    packed = pack(folder, tmp_path / "set.zip")
    build_dataset(parse_sources([str(packed)]), ClassNames(), BuildOptions(image_size=32), tmp_path / "out", 1)
    manifest = read_manifest(tmp_path / "out")
    assert find_problems(tmp_path / "out", manifest) == []
    pack(folder, packed, zipfile.ZIP_STORED)  # the same files, packed again
    assert find_problems(tmp_path / "out", manifest) == []
    save(folder / "Training" / "a" / "02.png", draw(99))
    (folder / "Testing" / "a" / "04.png").unlink()
    save(folder / "Training" / "b" / "new.png", draw(100))
    pack(folder, packed)
    problems = find_problems(tmp_path / "out", manifest)
    assert [problem.split(" since")[0] for problem in problems] == [
        "source set: 1 files are gone", "source set: 1 files have changed", "source set: 1 files are new",
    ]  # fmt: skip
    packed.write_bytes(b"PK")
    assert "is no whole ZIP archive" in find_problems(tmp_path / "out", manifest)[0]


def test_predict_takes_the_images_in_an_archive(tmp_path: Path) -> None:
    from fastmri_cls.inference.predictor import find_images

    path = zipped(tmp_path / "a.zip", "b/2.png", "1.png")
    assert find_images([path, tmp_path / "x.png"]) == [path / "1.png", path / "b" / "2.png", tmp_path / "x.png"]


def test_names_as_windows_writes_them_are_folders(tmp_path: Path) -> None:
    tree = read_tree(zipped(tmp_path / "a.zip", "set\\", "set\\cat\\1.png", "./set/dog/2.png", "set/.hidden/3.png"))
    assert list(tree.below()) == ["set/cat/1.png", "set/dog/2.png"]


def test_a_roboflow_export_is_read_from_its_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for split in ("train", "valid", "test"):
            archive.writestr(f"{split}/_classes.csv", "filename, cat, dog\n1.jpg, 1, 0\n2.jpg, 0, 1\n")
            for name in ("1.jpg", "2.jpg"):
                archive.writestr(f"{split}/{name}", b"x")
    files = scan([Source("s", tmp_path / "a.zip")], ClassNames()).files
    assert [(file.filename, file.split, file.label) for file in files] == [
        (f"{folder}/{name}", split, label)
        for folder, split in (("test", "test"), ("train", "train"), ("valid", "val"))
        for name, label in (("1.jpg", "cat"), ("2.jpg", "dog"))
    ]


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as refused:
        read_tree(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["../a.png", "x/../../a.png", "/etc/a.png", "C:\\a.png", "..\\a.png"])
def test_names_that_lead_out_of_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    assert "leads out of it" in refusal(zipped(tmp_path / "a.zip", "a/1.png", name))


def test_bombs_are_refused_before_a_byte_is_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_SPARE", 1 << 20)
    assert "times its size" in refusal(zipped(tmp_path / "a.zip", "a/1.png", content=bytes(3 << 20)))
    monkeypatch.setattr(archives, "_LARGEST", 1 << 20)
    assert "has a file of 3145728 bytes" in refusal(zipped(tmp_path / "b.zip", "a/1.png", content=bytes(3 << 20)))
    monkeypatch.setattr(archives, "_MOST_MEMBERS", 5)
    assert "has 6 entries" in refusal(zipped(tmp_path / "c.zip", *(f"a/{number}.png" for number in range(6))))


@pytest.mark.parametrize("claimed", [100, (3 << 20) + 1])
def test_a_member_of_another_size_than_the_archive_says_is_broken(tmp_path: Path, claimed: int) -> None:
    path = zipped(tmp_path / "a.zip", "a/1.png", content=bytes(3 << 20))
    content = path.read_bytes().replace(struct.pack("<I", 3 << 20), struct.pack("<I", claimed))
    path.write_bytes(content)
    with pytest.raises(RejectedImage, match="broken in its archive"):
        decode(path / "a" / "1.png")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    encrypted = bytearray(zipped(tmp_path / "a.zip", "a/1.png").read_bytes())
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(encrypted)
    assert "is encrypted (the first file: a/1.png); unpack it" in refusal(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a/1.png", b"x")
    assert "compressed by method 14" in refusal(tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        link = zipfile.ZipInfo("a/1.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert "has a link" in refusal(tmp_path / "c.zip")
    assert "two files named a/1.png" in refusal(zipped(tmp_path / "d.zip", "a/1.png", "a\\1.png"))
    assert "more than 100 deep" in refusal(zipped(tmp_path / "e.zip", "a/" * 200 + "1.png"))
    for content in (b"", b"PK", b"no archive", (tmp_path / "e.zip").read_bytes()[:-10]):
        (tmp_path / "f.zip").write_bytes(content)
        assert "is no whole ZIP archive" in refusal(tmp_path / "f.zip")


def test_one_broken_member_is_a_rejected_file(tmp_path: Path, folder: Path) -> None:
    path = pack(folder, tmp_path / "set.zip", zipfile.ZIP_STORED)
    content = path.read_bytes()
    pixels = (folder / "Training" / "a" / "02.png").read_bytes()
    path.write_bytes(content.replace(pixels, pixels[:100] + b"?" + pixels[101:]))
    build_dataset(parse_sources([str(path)]), ClassNames(), BuildOptions(image_size=32), tmp_path / "out", 1)
    assert read_manifest(tmp_path / "out").rejected == [
        {"path": "set/Training/a/02.png", "reason": "broken in its archive; download the archive again"}
    ]


def test_an_image_is_decoded_through_an_archive_and_a_folder_may_be_named_like_one(tmp_path: Path) -> None:
    pixels = draw(1, 32)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    path = zipped(tmp_path / "a.zip", "x.zip/1.png", content=buffer.getvalue())
    np.testing.assert_array_equal(decode(path / "x.zip" / "1.png"), pixels)
    with pytest.raises(RejectedImage, match="no such file in the archive"):
        decode(path / "x.zip" / "2.png")
    save(tmp_path / "folder.zip" / "1.png", pixels)
    np.testing.assert_array_equal(decode(tmp_path / "folder.zip" / "1.png"), pixels)
