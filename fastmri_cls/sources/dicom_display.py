"""DICOM stored values -> 8-bit grey: modality transformation, then VOI (PS3.3 C.11.1, C.11.2).

The modality LUT or rescale slope and intercept come first, then the VOI LUT or the first usable window; both stand in
the functional groups of the frame, in the shared ones, or in the data set itself. Without either the values are
stretched from smallest to largest. A value that cannot be used (empty, zero, not a number) is ignored and noted.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from fastmri_cls.sources.notes import Note, NoteKind
from fastmri_cls.sources.pixels import stretch_to_8_bits

_FEWEST_LEVELS = 16  # a lookup table whose entries show as fewer levels was made for another depth than it says


class _Table(NamedTuple):
    """A lookup table: `entries` int64 [n], for the values from `first` on, of `bits` bits each."""

    first: int
    entries: np.ndarray
    bits: int

    def look_up(self, values: np.ndarray) -> np.ndarray:
        # pydicom's apply_voi keeps indices in the type of the entries, where an 8-bit table wraps beyond 256.
        return self.entries[np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1).astype(np.int64)]


class _Window(NamedTuple):
    centre: float
    width: float
    function: str


def to_grey(stored: np.ndarray, dataset: Any, frame: int, hidden: np.ndarray | None, notes: list[Note]) -> np.ndarray:
    """Show stored values.

    Args:
        stored: int, uint or float [rows, columns].
        dataset: pydicom's, with the tags that describe its pixels complete.
        frame: the frame's index, for its functional groups.
        hidden: bool [rows, columns], padding; or None.
        notes: what was ignored is added.

    Returns:
        uint8 [rows, columns]; MONOCHROME1 is not inverted yet.
    """
    values = _modality(stored, dataset, frame, notes)
    voi = _functional_group(dataset, frame, "FrameVOILUTSequence") or dataset
    for holder in (voi, dataset):
        if items := _items(holder, "VOILUTSequence"):
            table = _read_table(items[0], dataset)
            if table is not None:
                return _show_table(values, table)
            notes.append(Note(NoteKind.LOOKUP_TABLE_IGNORED))
            break
    window = _read_window(voi, notes)
    if window is not None:
        return _show_window(values, window)
    stretched, outliers = stretch_to_8_bits(values, hidden)
    notes.extend(outliers)
    return stretched


def padding_mask(stored: np.ndarray, dataset: Any, notes: list[Note]) -> np.ndarray | None:
    """Return where `stored` is padding and not part of the picture, bool of its shape; None for nowhere."""
    prefix = {"i": "", "u": ""}.get(stored.dtype.kind, "DoubleFloat" if stored.dtype.itemsize == 8 else "Float")
    value = numbers(dataset, f"{prefix}PixelPaddingValue")
    if value is None:
        return None
    limit = numbers(dataset, f"{prefix}PixelPaddingRangeLimit") or value
    if value and stored.dtype.kind in "iu":  # the tag's sign may differ from that of the pixels: only the bits count
        modulus = 1 << 8 * stored.dtype.itemsize
        bits = np.array([int(value[0]) % modulus, int(limit[0]) % modulus], f"u{stored.dtype.itemsize}")
        value, limit = ([float(bound)] for bound in bits.view(stored.dtype))
    mask = (stored >= min(value + limit)) & (stored <= max(value + limit)) if value else np.ones(1, bool)
    if mask.all():
        notes.append(Note(NoteKind.PADDING_IGNORED))
        return None
    return mask if mask.any() else None


def numbers(dataset: Any, keyword: str) -> list[float] | None:
    """Return the values of a tag; an empty list if one is empty or not finite; None if the tag is absent."""
    found = _values(dataset, keyword)
    return found if found is None or all(map(math.isfinite, found)) else []


def _values(dataset: Any, keyword: str) -> list[float] | None:
    """Return the values of a tag, NaN for an empty one; see `numbers`."""
    if keyword not in dataset:
        return None
    try:
        value = dataset[keyword].value  # converted from bytes here
        several = hasattr(value, "__iter__") and not isinstance(value, str | bytes)
        return [math.nan if v in (None, "") else float(v) for v in (value if several else [value])]
    except (ValueError, TypeError, ArithmeticError, AttributeError, LookupError, NotImplementedError):
        return []


def _items(dataset: Any, keyword: str) -> list[Any]:
    """Return the items of a sequence, none where it is absent or no sequence."""
    value = dataset.get(keyword)
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str | bytes) else []


def _functional_group(dataset: Any, frame: int, macro: str) -> Any | None:
    """Return a macro of an enhanced multi-frame file: that of `frame`, else the shared one (PS3.3 C.7.6.16)."""
    of_frames = _items(dataset, "PerFrameFunctionalGroupsSequence")[frame : frame + 1]
    for group in (*of_frames, *_items(dataset, "SharedFunctionalGroupsSequence")[:1]):
        if items := _items(group, macro):
            return items[0]
    return None


def _modality(stored: np.ndarray, dataset: Any, frame: int, notes: list[Note]) -> np.ndarray:
    """Apply the modality LUT, or rescale slope and intercept."""
    if items := _items(dataset, "ModalityLUTSequence"):
        table = _read_table(items[0], dataset)
        if table is not None:
            return table.look_up(stored)
        notes.append(Note(NoteKind.LOOKUP_TABLE_IGNORED))
    holder = _functional_group(dataset, frame, "PixelValueTransformationSequence") or dataset
    slope, intercept = numbers(holder, "RescaleSlope"), numbers(holder, "RescaleIntercept")
    if slope is None and intercept is None:
        return stored
    if slope == [] or intercept == [] or slope == [0]:
        notes.append(Note(NoteKind.RESCALE_IGNORED))
    return stored * ((slope and slope[0]) or 1.0) + (intercept[0] if intercept else 0.0)


def _read_table(item: Any, dataset: Any) -> _Table | None:
    """Return the lookup table of an item, None if it cannot be used."""
    descriptor = numbers(item, "LUTDescriptor") or []
    if len(descriptor) != 3:
        return None
    length, first, bits = (int(value) for value in descriptor)
    length = length % 65536 or 65536  # 0 means 65536; read as signed, large ones are negative
    if dataset.PixelRepresentation == 1 and first >= 32768:
        first -= 65536
    data = item.get("LUTData")
    if isinstance(data, bytes):  # VR OW
        order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
        kind = f"{order}u2" if len(data) >= 2 * length else "u1"
        entries = np.frombuffer(data[: len(data) // 2 * 2], kind).astype(np.int64)
    else:
        entries = np.array(numbers(item, "LUTData") or [], np.float64).astype(np.int64) % 65536
    if len(entries) < length or not 1 <= bits <= 16:
        return None
    return _Table(first, entries[:length], bits)


def _show_table(values: np.ndarray, table: _Table) -> np.ndarray:
    """Map 0 .. 2^bits - 1, which the entries need not reach, to 0..255."""
    low, high = 0, (1 << table.bits) - 1
    smallest, largest = int(table.entries.min()), int(table.entries.max())
    if largest > high or ((largest - smallest) * 255 < (_FEWEST_LEVELS - 1) * high and largest > smallest):
        low, high = smallest, largest  # the number of bits is wrong
    shown = (table.look_up(values) - low) / (high - low)
    return np.rint(np.clip(shown, 0.0, 1.0) * 255).astype(np.uint8)


def _read_window(holder: Any, notes: list[Note]) -> _Window | None:
    """Return the first usable window of `holder`."""
    centres, widths = _values(holder, "WindowCenter"), _values(holder, "WindowWidth")
    if centres is None and widths is None:
        return None
    function = str(holder.get("VOILUTFunction", "LINEAR") or "").strip().upper()
    known = function in ("LINEAR", "LINEAR_EXACT", "SIGMOID")
    function = function if known else "LINEAR"
    narrowest = 1.0 if function == "LINEAR" else np.nextafter(0.0, 1.0)
    for centre, width in zip(centres or [], widths or [], strict=False):
        if math.isfinite(centre) and math.isfinite(width) and width >= narrowest:
            if not known:
                notes.append(Note(NoteKind.WINDOW_FUNCTION_IGNORED))
            return _Window(centre, width, function)
    notes.append(Note(NoteKind.WINDOW_IGNORED))
    return None


def _show_window(values: np.ndarray, window: _Window) -> np.ndarray:
    """Map the window, whose ends the image need not reach, to 0..255 (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    values = values.astype(np.float64)
    centre, width, function = window
    if function == "SIGMOID":
        shown = 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    else:
        if function == "LINEAR":
            centre, width = centre - 0.5, width - 1
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # a width of 1 is a step
            shown = np.where(values == centre, 0.5 if width else 0.0, (values - centre) / width + 0.5)
    return np.rint(np.clip(np.nan_to_num(shown, nan=0.0), 0.0, 1.0) * 255).astype(np.uint8)
