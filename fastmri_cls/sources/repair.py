"""Files whose pixels are whole although Pillow refuses them: PNG with bad metadata, JPEG without its end marker."""

import io
import struct
import zlib
from typing import BinaryIO

from PIL import Image

from fastmri_cls.sources.notes import Note, NoteKind

_PNG = b"\x89PNG\r\n\x1a\n"
_SHOWN = (b"tRNS", b"eXIf")  # ancillary chunks that change the picture: transparency, orientation
_JPEG_END = b"\xff\xd9"
_NOISE = b"\xa5\x5a" * 64
_RESTARTS = b"".join(bytes([0xFF, 0xD0 + number]) + _NOISE for number in range(8))
# What a JPEG decoder reads beyond the end decides about pixels only where some are missing: zeros (it fills up with
# them at the end marker), ones, noise, and noise after each restart marker.
_TAILS = tuple(tail + _JPEG_END for tail in (b"", b"\xff\x00" * 64, _NOISE, _RESTARTS))


def repair(file: BinaryIO) -> tuple[BinaryIO, Note] | None:
    """Return what to read in place of a file that Pillow refused, and a note; None if its pixels are not whole."""
    file.seek(0)
    content = file.read()
    if content.startswith(_PNG):
        essential = _without_metadata(content)
        return None if essential == content else (io.BytesIO(essential), Note(NoteKind.METADATA_IGNORED))
    scan = content.rstrip(b"\xff")  # the first half of an end marker, or of a data byte that is missing then
    if content.startswith(b"\xff\xd8") and _has_every_pixel(scan):
        return io.BytesIO(scan + _JPEG_END), Note(NoteKind.END_MISSING)
    return None


def _without_metadata(content: bytes) -> bytes:
    """Return a PNG without the chunks that do not change its picture, or whose checksum is wrong and may be ignored."""
    kept, position = [_PNG], len(_PNG)
    while position + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        chunk = content[position : position + 12 + length]
        position += len(chunk)
        is_critical = not kind[0] & 0x20  # PNG specification, 5.4: a capital first letter
        checksum = zlib.crc32(chunk[4:-4]).to_bytes(4, "big")
        if is_critical or (kind in _SHOWN and chunk[-4:] == checksum):
            kept.append(chunk)
    return b"".join([*kept, content[position:]])


def _has_every_pixel(content: bytes) -> bool:
    """Return whether a JPEG has the same pixels whatever follows where it ends."""
    try:
        first, *others = (Image.open(io.BytesIO(content + tail), formats=("JPEG",)).tobytes() for tail in _TAILS)
    except (OSError, ValueError, SyntaxError, LookupError, struct.error):
        return False
    return all(pixels == first for pixels in others)
