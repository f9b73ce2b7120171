"""From stored values to grey: what a viewer shows, and hints that cannot be used are ignored and noted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastmri_cls.sources.decode import decode, decode_file

pytest.importorskip("pydicom")

from tests.sources.dicom_files import VALUES, item, lookup_table, to_255, write

FULL = to_255(VALUES, 0, VALUES.max())


def notes(path: Path) -> list[str]:
    return [note.kind.value for note in decode_file(path).notes]


@pytest.mark.parametrize(
    ("tags", "note"),
    [
        ({"WindowCenter": 0, "WindowWidth": 0}, "window_ignored"),
        ({"WindowCenter": 100, "WindowWidth": -400}, "window_ignored"),
        ({"WindowCenter": "nan", "WindowWidth": 400}, "window_ignored"),
        ({"WindowCenter": 100, "WindowWidth": "inf"}, "window_ignored"),
        ({"WindowCenter": 100}, "window_ignored"),
        ({"WindowWidth": 100}, "window_ignored"),
        ({"WindowCenter": "", "WindowWidth": ""}, "window_ignored"),
        ({"WindowCenter": 100, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"}, "window_ignored"),
        ({"RescaleSlope": "", "RescaleIntercept": ""}, "rescale_ignored"),
        ({"RescaleSlope": 0, "RescaleIntercept": 5}, "rescale_ignored"),
        ({"RescaleSlope": "nan", "RescaleIntercept": 5}, "rescale_ignored"),
        ({"RescaleSlope": 2, "RescaleIntercept": ""}, "rescale_ignored"),
        ({"VOILUTSequence": [item(LUTDescriptor=[4, 0, 16])]}, "lookup_table_ignored"),
        ({"VOILUTSequence": [lookup_table(np.arange(4), 0, 40)]}, "lookup_table_ignored"),
        ({"ModalityLUTSequence": [item(LUTExplanation="nothing else")]}, "lookup_table_ignored"),
    ],
)
def test_a_hint_that_cannot_be_used_is_ignored_and_noted(tmp_path: Path, tags: dict[str, Any], note: str) -> None:
    path = write(tmp_path / "a.dcm", VALUES, **tags)
    np.testing.assert_array_equal(decode(path), FULL)
    assert notes(path) == [note]


def test_a_window_that_is_no_number_is_ignored(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", VALUES, WindowCenter=1234, WindowWidth=5678)
    path.write_bytes(path.read_bytes().replace(b"5678", b"wide"))
    np.testing.assert_array_equal(decode(path), FULL)
    assert notes(path) == ["window_ignored"]


@pytest.mark.parametrize("function", ["", "CURVED"])
def test_an_unknown_voi_function_is_taken_as_linear(tmp_path: Path, function: str) -> None:
    path = write(tmp_path / "a.dcm", VALUES, WindowCenter=1000, WindowWidth=401, VOILUTFunction=function)
    assert np.abs(decode(path) - to_255(VALUES, 799.5, 1199.5)).max() <= 1
    assert notes(path) == ["window_function_ignored"]


def test_the_first_window_that_can_be_used_is_used(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", VALUES, WindowCenter=[0, 1000], WindowWidth=[0, 401])
    assert np.abs(decode(path) - to_255(VALUES, 799.5, 1199.5)).max() <= 1
    assert notes(path) == []


def test_linear_exact_and_sigmoid_windows_follow_their_formulas(tmp_path: Path) -> None:
    window: dict[str, Any] = {"WindowCenter": 1000, "WindowWidth": 400}
    exact = decode(write(tmp_path / "a.dcm", VALUES, VOILUTFunction="LINEAR_EXACT", **window))
    assert np.abs(exact - to_255(VALUES, 800, 1200)).max() <= 1
    sigmoid = decode(write(tmp_path / "b.dcm", VALUES, VOILUTFunction="SIGMOID", **window))
    assert np.abs(sigmoid - 255 / (1 + np.exp(-4 * (VALUES - 1000.0) / 400))).max() <= 1


def test_a_window_of_width_1_is_a_step(tmp_path: Path) -> None:
    pixels = decode(write(tmp_path / "a.dcm", VALUES, WindowCenter=1000, WindowWidth=1))
    np.testing.assert_array_equal(pixels, np.where(VALUES > 999.5, 255, 0))


STACK = np.stack([VALUES * 0, VALUES, VALUES[::-1]])
WINDOW = item(FrameVOILUTSequence=[item(WindowCenter=1000, WindowWidth=401)])
RESCALE = item(PixelValueTransformationSequence=[item(RescaleSlope=2, RescaleIntercept=-1000)])


@pytest.mark.parametrize("place", ["shared", "per frame"])
def test_the_window_of_functional_groups_is_used(tmp_path: Path, place: str) -> None:
    other = item(FrameVOILUTSequence=[item(WindowCenter=5, WindowWidth=5)])
    groups: dict[str, Any] = {"SharedFunctionalGroupsSequence": [WINDOW]}
    if place == "per frame":
        groups = {
            "SharedFunctionalGroupsSequence": [other],
            "PerFrameFunctionalGroupsSequence": [other, WINDOW, other],
            "WindowCenter": 7,
            "WindowWidth": 7,
        }
    path = write(tmp_path / "a.dcm", STACK, **groups)
    assert np.abs(decode(path) - to_255(VALUES, 799.5, 1199.5)).max() <= 1


def test_slope_and_intercept_of_functional_groups_come_before_the_window(tmp_path: Path) -> None:
    frame = item(FrameVOILUTSequence=WINDOW.FrameVOILUTSequence)
    frame.PixelValueTransformationSequence = RESCALE.PixelValueTransformationSequence
    path = write(tmp_path / "a.dcm", STACK, PerFrameFunctionalGroupsSequence=[RESCALE, frame, RESCALE])
    assert np.abs(decode(path) - to_255(VALUES * 2.0 - 1000, 799.5, 1199.5)).max() <= 1


def test_a_lookup_table_in_a_functional_group_is_used(tmp_path: Path) -> None:
    table = lookup_table(np.arange(2611)[::-1], 0, 12)
    frame = item(FrameVOILUTSequence=[item(VOILUTSequence=[table])])
    path = write(tmp_path / "a.dcm", STACK, PerFrameFunctionalGroupsSequence=[frame] * 3)
    assert np.abs(decode(path) - np.rint((2610.0 - VALUES) / 4095 * 255)).max() <= 1


@pytest.mark.parametrize("kind", ["US", "OW"])
def test_a_lookup_table_is_shown_in_its_own_range(tmp_path: Path, kind: str) -> None:
    table = lookup_table(np.arange(2611) // 2, 0, 12, kind)
    pixels = decode(write(tmp_path / "a.dcm", VALUES, VOILUTSequence=[table]))
    np.testing.assert_array_equal(pixels, np.rint(VALUES // 2 / 4095 * 255))


def test_a_lookup_table_of_8_bits_may_have_more_than_256_entries(tmp_path: Path) -> None:
    table = lookup_table(np.arange(2611) // 11, 0, 8)
    pixels = decode(write(tmp_path / "a.dcm", VALUES, VOILUTSequence=[table]))
    np.testing.assert_array_equal(pixels, VALUES // 11)


def test_a_lookup_table_that_says_16_bits_and_has_12_is_not_shown_in_16_levels(tmp_path: Path) -> None:
    table = lookup_table(np.arange(2611), 0, 16)
    pixels = decode(write(tmp_path / "a.dcm", VALUES, VOILUTSequence=[table]))
    np.testing.assert_array_equal(pixels, FULL)


def test_a_modality_lut_of_signed_values_begins_below_zero(tmp_path: Path) -> None:
    signed = VALUES.astype(np.int16) - 1000
    table = lookup_table(np.arange(2611)[::-1], -1000, 16)
    pixels = decode(write(tmp_path / "a.dcm", signed, ModalityLUTSequence=[table]))
    np.testing.assert_array_equal(pixels, to_255(2610.0 - VALUES, 0, 2610))


def padded(values: np.ndarray, value: int) -> np.ndarray:
    values = values.copy()
    values[:, :5] = value
    return values


@pytest.mark.parametrize("value", [-32768, -2000, 32767])
def test_padding_does_not_count_in_the_range_and_is_black(tmp_path: Path, value: int) -> None:
    signed = padded(VALUES.astype(np.int16), value)
    pixels = decode(write(tmp_path / "a.dcm", signed, PixelPaddingValue=value))
    np.testing.assert_array_equal(pixels[:, :5], 0)
    np.testing.assert_array_equal(pixels[:, 5:], to_255(VALUES, 50, 2610)[:, 5:])


def test_padding_is_a_range_where_the_file_says_so(tmp_path: Path) -> None:
    values = padded(VALUES + 100, 7)
    values[0, 0] = 50
    path = write(tmp_path / "a.dcm", values, PixelPaddingValue=0, PixelPaddingRangeLimit=50)
    np.testing.assert_array_equal(decode(path)[:, 5:], to_255(VALUES, 50, 2610)[:, 5:])


def test_padding_is_black_in_monochrome1_and_through_a_window(tmp_path: Path) -> None:
    values = padded(VALUES, 65535)
    tags: dict[str, Any] = {"PixelPaddingValue": 65535, "WindowCenter": 1000, "WindowWidth": 401}
    assert decode(write(tmp_path / "a.dcm", values, **tags))[:, :5].max() == 0
    path = write(tmp_path / "b.dcm", values, PhotometricInterpretation="MONOCHROME1", **tags)
    assert decode(path)[:, :5].max() == 0
    assert np.abs(decode(path)[:, 5:] - (255 - to_255(VALUES, 799.5, 1199.5))[:, 5:]).max() <= 1


def test_padding_that_covers_everything_is_ignored(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", VALUES, PixelPaddingValue=0, PixelPaddingRangeLimit=65535)
    np.testing.assert_array_equal(decode(path), FULL)
    assert notes(path) == ["padding_ignored"]


def test_signed_values_of_12_bits_are_extended(tmp_path: Path) -> None:
    signed = VALUES.astype(np.int16) - 1000
    stored = (signed & 0x0FFF).astype(np.uint16)
    path = write(tmp_path / "a.dcm", stored, BitsStored=12, HighBit=11, PixelRepresentation=1)
    np.testing.assert_array_equal(decode(path), FULL)


def test_an_overlay_in_unused_bits_is_not_part_of_the_picture(tmp_path: Path) -> None:
    with_overlay = VALUES | np.where(VALUES % 3 == 0, 1 << 12, 0).astype(np.uint16)
    path = write(tmp_path / "a.dcm", with_overlay, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(decode(path), FULL)


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_float_pixels_are_read_and_what_is_not_finite_is_black(tmp_path: Path, kind: str) -> None:
    values = VALUES.astype(kind) / 7
    values[3, 3] = np.nan
    for photometric in ("MONOCHROME2", "MONOCHROME1"):
        pixels = decode(write(tmp_path / "a.dcm", values, PhotometricInterpretation=photometric))
        assert pixels[3, 3] == 0
        expected = FULL if photometric == "MONOCHROME2" else 255 - FULL
        assert np.abs(np.delete(pixels - expected, 3, axis=0)).max() <= 1


def test_a_negative_slope_turns_dark_to_bright(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", VALUES, RescaleSlope=-1, RescaleIntercept=0)
    assert np.abs(decode(path) - (255 - FULL)).max() <= 1
