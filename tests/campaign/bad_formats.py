"""Bad ZIP archives, .mat files, volumes and one-hot tables, for build-tfrecords; and sound ones that must work."""

import gzip
import io
import struct
import zipfile
from pathlib import Path

import h5py
import nibabel
import numpy as np

from fastmri_cls.sources.phantom import draw_phantom
from tests.campaign.kinds import BadInput, kind
from tests.campaign.materials import Materials, build_arguments, save_image
from tests.sources.mat_files import LABELS, mat, with_block

_NOISE = np.random.default_rng(6).integers(0, 900, (40, 40)).astype(np.int16)


def _build(source: object, folder: Path, *flags: object) -> tuple[object, ...]:
    return build_arguments(source, folder / "out", "--max-rejected", 0, *flags)


# --- ZIP archives -----------------------------------------------------------------------------------------------------


def _archive(folder: Path, given: Materials, **more: bytes) -> Path:
    """An archive of the sound source, and more members of any bytes."""
    with zipfile.ZipFile(folder / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(given.source.rglob("*.png")):
            archive.write(path, path.relative_to(given.source))
        for name, content in more.items():
            archive.writestr(name, content)
    return folder / "set.zip"


@kind
def archive_works(folder: Path, given: Materials) -> BadInput:
    return BadInput(_build(_archive(folder, given), folder), code=0, makes=("out",))


@kind
def archive_cut(folder: Path, given: Materials) -> BadInput:
    path = _archive(folder, given)
    path.write_bytes(path.read_bytes()[:-3000])
    return BadInput(_build(path, folder), says="set.zip: is no whole ZIP archive")


@kind
def archive_of_no_images(folder: Path, given: Materials) -> BadInput:
    with zipfile.ZipFile(folder / "set.zip", "w") as archive:
        archive.writestr("readme.txt", "about")
    return BadInput(_build(folder / "set.zip", folder), says="no files in class folders")


@kind
def archive_with_a_name_that_leads_out(folder: Path, given: Materials) -> BadInput:
    return BadInput(_build(_archive(folder, given, **{"../../x.png": b"x"}), folder), says="leads out of it")


@kind
def archive_with_an_absolute_name(folder: Path, given: Materials) -> BadInput:
    return BadInput(_build(_archive(folder, given, **{"/etc/x.png": b"x"}), folder), says="leads out of it")


@kind
def archive_encrypted(folder: Path, given: Materials) -> BadInput:
    path = _archive(folder, given)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    return BadInput(_build(path, folder), says="is encrypted")


@kind
def archive_bomb(folder: Path, given: Materials) -> BadInput:
    path = _archive(folder, given, **{"Training/glioma/bomb.png": bytes(1 << 20)})
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<I", 1 << 20), struct.pack("<I", 3 << 30)))
    return BadInput(_build(path, folder), says="has a file of 3221225472 bytes")


@kind
def archive_that_lies_about_a_size(folder: Path, given: Materials) -> BadInput:
    path = _archive(folder, given, **{"Training/glioma/bomb.png": bytes(1 << 20)})
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<I", 1 << 20), struct.pack("<I", 1 << 10)))
    return BadInput(_build(path, folder), says="bomb.png")


@kind
def archive_inside_an_archive(folder: Path, given: Materials) -> BadInput:
    inner = _archive(folder, given).read_bytes()
    with zipfile.ZipFile(folder / "outer.zip", "w") as archive:
        archive.writestr("set.zip", inner)
    return BadInput(_build(folder / "outer.zip", folder), says="the first: set.zip")


# --- figshare's .mat --------------------------------------------------------------------------------------------------


def _mats(folder: Path) -> Path:
    """A sound source of 10 slices a class, a patient each."""
    source = folder / "mats"
    source.mkdir()
    rng = np.random.default_rng(7)
    for name, label in LABELS.items():
        for number in range(10):
            pixels = draw_phantom(name, rng, 40)[0].astype(np.int16) * 9
            (source / f"{label}{number}.mat").write_bytes(mat(pixels, label, f"PID{label}{number}"))
    return source


def _bad_mat(name: str, content: bytes, says: str) -> None:
    """Register the kind `name`: one such file among sound ones."""

    def make(folder: Path, given: Materials) -> BadInput:
        source = _mats(folder)
        (source / "bad.mat").write_bytes(content)
        return BadInput(_build(source, folder), says=f"bad.mat: {says}")

    make.__name__ = name
    kind(make)


def _with_image(value: object) -> bytes:
    buffer = io.BytesIO(mat(_NOISE))
    with h5py.File(buffer, "r+") as file:
        del file["cjdata/image"]
        file["cjdata/image"] = value
    return with_block(buffer.getvalue())


_bad_mat("mat_cut", mat(_NOISE)[:-500], "broken MATLAB file")
_bad_mat("mat_of_random_bytes", _NOISE.tobytes(), "broken MATLAB file")
_bad_mat("mat_of_an_old_version", b"MATLAB 5.0 MAT-file".ljust(1000), "MATLAB file of a version before 7.3")
_bad_mat("mat_of_an_unknown_class", mat(_NOISE, label=9), "MATLAB file whose label is none of 1, 2, 3")
_bad_mat("mat_that_links_to_another_file", _with_image(h5py.ExternalLink("/etc/passwd", "/")), "MATLAB file without")
_bad_mat("mat_that_links_to_itself", _with_image(h5py.SoftLink("/cjdata/image")), "MATLAB file without")
_bad_mat("mat_of_text", _with_image(np.zeros((2, 2), "S4")), "MATLAB file whose cjdata.image are no numbers")


@kind
def mat_files_work(folder: Path, given: Materials) -> BadInput:
    return BadInput(_build(_mats(folder), folder), code=0, makes=("out",))


# --- volumes ----------------------------------------------------------------------------------------------------------


def _volume(number: int) -> bytes:
    rng = np.random.default_rng(number)
    slices = [draw_phantom(("glioma", "notumor")[number % 2], rng, 40)[0] for _ in range(2)]
    return nibabel.Nifti1Image(np.stack(slices, axis=-1).astype(np.int16) * 5, np.eye(4)).to_bytes()


def _volumes(folder: Path) -> Path:
    source = folder / "volumes"
    for number in range(20):
        path = source / ("glioma", "notumor")[number % 2] / f"{number}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(_volume(number)))
    return source


def _bad_volume(name: str, file: str, content: bytes, says: str) -> None:
    """Register the kind `name`: one such file among sound volumes."""

    def make(folder: Path, given: Materials) -> BadInput:
        source = _volumes(folder)
        (source / "glioma" / file).write_bytes(content)
        return BadInput(_build(source, folder), says=f"{file}: {says}")

    make.__name__ = name
    kind(make)


def _claiming(*lengths: int) -> bytes:
    content = bytearray(_volume(0))
    struct.pack_into(f"<{len(lengths) + 1}h", content, 40, len(lengths), *lengths)
    return bytes(content)


_bad_volume("volume_cut", "bad.nii", _volume(0)[:-900], "cannot be read (truncated)")
_bad_volume("volume_cut_in_gzip", "bad.nii.gz", gzip.compress(_volume(0))[:-300], "")
_bad_volume("volume_bomb", "bad.nii.gz", gzip.compress(_claiming(30000, 30000, 30000)), "too large")
_bad_volume("volume_of_negative_size", "bad.nii", _claiming(-4, 40, 2), "")
_bad_volume("volume_of_two_dimensions", "bad.nii", _claiming(40, 40), "NIfTI that is no volume")
_bad_volume("volume_in_name_only", "bad.nii", b"text", "no NIfTI file in spite of its name")
_bad_volume("volume_empty", "bad.nii.gz", b"", "")


@kind
def volumes_work(folder: Path, given: Materials) -> BadInput:
    return BadInput(_build(_volumes(folder), folder, "--slices", "all"), code=0, makes=("out",))


@kind
def slices_that_are_none(folder: Path, given: Materials) -> BadInput:
    return BadInput(_build(_volumes(folder), folder, "--slices", "some"), says="--slices some")


@kind
def subjects_in_place_of_classes(folder: Path, given: Materials) -> BadInput:
    for number in range(4):
        path = folder / "bids" / f"sub-{number}" / "anat" / "t1.nii"
        path.parent.mkdir(parents=True)
        path.write_bytes(_volume(number))
    return BadInput(_build(folder / "bids", folder), says="are subjects, as in BIDS")


# --- one-hot tables ---------------------------------------------------------------------------------------------------


def _one_hot(folder: Path, content: bytes) -> Path:
    for number in range(4):
        save_image(np.roll(_NOISE, number).astype(np.uint8), folder / "export" / "train" / f"{number}.png")
    (folder / "export" / "train" / "_classes.csv").write_bytes(content)
    return folder / "export"


@kind
def one_hot_table_with_two_classes_for_an_image(folder: Path, given: Materials) -> BadInput:
    content = b"filename, cat, dog\n0.png, 1, 0\n1.png, 0, 1\n2.png, 1, 1\n3.png, 0, 1\n"
    return BadInput(_build(_one_hot(folder, content), folder), says="leaves out 1 of 4 images")


@kind
def one_hot_table_of_bytes(folder: Path, given: Materials) -> BadInput:
    return BadInput(_build(_one_hot(folder, b"\xff\xfe\0f"), folder), says="_classes.csv: is no CSV")


@kind
def one_hot_table_without_columns(folder: Path, given: Materials) -> BadInput:
    return BadInput(_build(_one_hot(folder, b"name,cat\n0.png,1\n"), folder), says="needs the column filename")
