"""DICOM files as scanners and archives leave them: without header, tags, an image or a decoder."""

import struct
from pathlib import Path

import numpy as np
import pytest

from fastmri_cls.sources.decode import decode, decode_file
from fastmri_cls.sources.pixels import RejectedImage

pydicom = pytest.importorskip("pydicom")

from pydicom.uid import (  # noqa: E402
    BasicTextSRStorage,
    EncapsulatedPDFStorage,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    MediaStorageDirectoryStorage,
    RTDoseStorage,
    SegmentationStorage,
)

from tests.sources.dicom_files import VALUES, dataset_of, to_255, write  # noqa: E402

FULL = to_255(VALUES, 0, VALUES.max())


def notes(path: Path) -> list[str]:
    return [note.kind.value for note in decode_file(path).notes]


@pytest.mark.parametrize("name", ["a.dcm", "a.IMA", "a.ima", "IM000001", "a.png"])
@pytest.mark.parametrize("left", ["no preamble", "mark alone", "bare"])
@pytest.mark.parametrize("implicit", [True, False])
def test_a_file_without_its_header_is_read(tmp_path: Path, name: str, left: str, implicit: bool) -> None:
    syntax = {"syntax": ImplicitVRLittleEndian} if implicit else {}
    path = write(tmp_path / name, VALUES, **syntax)
    content = path.read_bytes()
    length = struct.unpack_from("<I", content, 140)[0]
    path.write_bytes(content[{"no preamble": 132, "mark alone": 128, "bare": 144 + length}[left] :])
    np.testing.assert_array_equal(decode(path), FULL)


def test_a_bare_big_endian_file_is_read(tmp_path: Path) -> None:
    dataset = pydicom.Dataset(dataset_of(VALUES))
    dataset.PixelData = VALUES.astype(">u2").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.save_as(tmp_path / "a", implicit_vr=False, little_endian=False)
    np.testing.assert_array_equal(decode(tmp_path / "a"), FULL)


@pytest.mark.parametrize(
    "missing", ["PhotometricInterpretation", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation"]
)
def test_a_missing_description_is_assumed_and_noted(tmp_path: Path, missing: str) -> None:
    path = write(tmp_path / "a.dcm", VALUES, **{missing: None})
    np.testing.assert_array_equal(decode(path), FULL)
    assert notes(path) == ["description_guessed"]


@pytest.mark.parametrize("missing", ["PhotometricInterpretation", "PlanarConfiguration"])
def test_a_missing_description_of_colour_is_assumed(tmp_path: Path, missing: str) -> None:
    colour = np.zeros((24, 32, 3), np.uint8)
    colour[:, :16, 0], colour[:, 16:, 2] = 200, 100
    path = write(tmp_path / "a.dcm", colour, **{missing: None})
    np.testing.assert_array_equal(decode(path), colour)
    assert notes(path) == ["description_guessed"]


def test_an_unknown_photometric_interpretation_is_not_obeyed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", VALUES, PhotometricInterpretation="MONOCHROME")
    np.testing.assert_array_equal(decode(path), FULL)
    assert notes(path) == ["description_guessed"]


def test_colour_of_another_planar_configuration_or_space_is_the_same_colour(tmp_path: Path) -> None:
    colour = np.zeros((24, 32, 3), np.uint8)
    colour[:, :16, 0], colour[:, 16:, 2] = 200, 100
    planes = np.ascontiguousarray(colour.transpose(2, 0, 1)).reshape(24, 32, 3)
    path = write(tmp_path / "planes.dcm", planes, PlanarConfiguration=1)
    np.testing.assert_array_equal(decode(path), colour)
    from pydicom.pixels import convert_color_space

    ybr = convert_color_space(colour, "RGB", "YBR_FULL")
    path = write(tmp_path / "ybr.dcm", ybr, PhotometricInterpretation="YBR_FULL")
    assert np.abs(decode(path).astype(int) - colour).max() <= 2


def test_colour_of_12_bits_uses_all_levels(tmp_path: Path) -> None:
    colour = np.stack([VALUES, VALUES[::-1], VALUES // 2], axis=-1)
    pixels = decode(write(tmp_path / "a.dcm", colour, BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(pixels, to_255(colour, 0, 2610))


def test_frames_left_out_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", np.stack([VALUES] * 5))
    (note,) = decode_file(path).notes
    assert (note.kind, note.amount) == ("pages_left_out", 4)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"SOPClassUID": MediaStorageDirectoryStorage}, "DICOMDIR, an index"),
        ({"SOPClassUID": BasicTextSRStorage}, "structured report"),
        ({"SOPClassUID": None, "Modality": "SR"}, "structured report"),
        ({"SOPClassUID": EncapsulatedPDFStorage}, "without an image .Encapsulated PDF"),
        ({"SOPClassUID": "1.2.3.4"}, "without an image .no Pixel Data"),
    ],
)
def test_each_kind_of_file_without_pixels_has_its_own_sentence(
    tmp_path: Path, tags: dict[str, str], reason: str
) -> None:
    path = write(tmp_path / "a.dcm", VALUES, PixelData=None, **tags)
    with pytest.raises(RejectedImage, match=reason):
        decode(path)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (SegmentationStorage, "DICOM segmentation, a mask and not an image"),
        ("1.2.840.10008.5.1.4.1.1.66.7", "DICOM label map, a mask and not an image"),
        (RTDoseStorage, "DICOM radiotherapy dose, numbers and not an image"),
    ],
)
def test_pixels_that_are_no_picture_of_the_patient_are_refused(tmp_path: Path, kind: str, reason: str) -> None:
    path = write(tmp_path / "a.dcm", (VALUES > 999).astype(np.uint8), SOPClassUID=kind)
    with pytest.raises(RejectedImage, match=reason):
        decode(path)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Rows": None}, "size of its image"),
        ({"Columns": 0}, "size of its image"),
        ({"Rows": 48}, "fewer pixels"),
        ({"NumberOfFrames": 3}, "fewer pixels"),
        ({"BitsAllocated": 12}, "broken DICOM"),
        ({"PhotometricInterpretation": "YBR_PARTIAL_420"}, "colour space YBR_PARTIAL_420"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "broken DICOM"),
        ({"syntax": JPEGLosslessSV1}, "JPEG Lossless.*pip install pylibjpeg"),
        ({"syntax": pydicom.uid.MPEG2MPML}, "MPEG2.*not read"),
        ({"syntax": pydicom.uid.UID("1.2.3.4")}, "unknown transfer syntax"),
    ],
)
def test_what_cannot_be_decoded_is_refused_in_our_words(tmp_path: Path, tags: dict, reason: str) -> None:
    syntax = tags.pop("syntax", None)
    dataset = dataset_of(VALUES, **tags)
    if syntax is not None:
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = pydicom.encaps.encapsulate([b"made up"])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.save_as(tmp_path / "a.dcm", implicit_vr=False, little_endian=True)
    with pytest.raises(RejectedImage, match=reason) as rejected:
        decode(tmp_path / "a.dcm")
    assert "object" not in str(rejected.value)
    assert "\n" not in str(rejected.value)


def test_a_palette_of_8_bits_is_not_left_at_the_first_256_values(tmp_path: Path) -> None:
    from tests.fuzz.image_targets import dicom

    (tmp_path / "a.dcm").write_bytes(dicom(np.arange(0, 512, 8, dtype=np.uint16).reshape(8, 8), palette=True))
    pixels = decode(tmp_path / "a.dcm")
    np.testing.assert_array_equal(pixels, np.minimum(np.arange(0, 512, 8), 255).reshape(8, 8))
