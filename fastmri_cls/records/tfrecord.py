"""Files of records in TensorFlow's TFRecord format, written and read without TensorFlow.

A record is its length (uint64, little-endian), the masked CRC-32C of the length, the content, and the masked CRC-32C of
the content (tensorflow/core/lib/io/record_writer.h).
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c

FRAMING = 16  # bytes that are added to a record
_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8  # tensorflow/core/lib/hash/crc32c.h


def write_record(file: BinaryIO, content: bytes) -> None:
    """Append a record to an open file."""
    length = _LENGTH.pack(len(content))
    file.write(b"".join((length, _CHECKSUM.pack(_masked(length)), content, _CHECKSUM.pack(_masked(content)))))


def read_records(path: Path) -> Iterator[bytes]:
    """Yield the records of a file.

    Raises:
        ValueError: it ends within a record, or a checksum does not fit.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        while head := file.read(_LENGTH.size + _CHECKSUM.size):
            length = int.from_bytes(head[: _LENGTH.size], "little")
            if file.tell() + length + _CHECKSUM.size > size:
                raise ValueError("the file ends within a record")
            content = file.read(length)
            checksums = head[_LENGTH.size :] + file.read(_CHECKSUM.size)
            if checksums != _CHECKSUM.pack(_masked(head[: _LENGTH.size])) + _CHECKSUM.pack(_masked(content)):
                raise ValueError("the checksum of a record does not fit")
            yield content


def _masked(content: bytes) -> int:
    checksum: int = google_crc32c.value(content)
    return (((checksum >> 15) | (checksum << 17)) + _MASK_DELTA) & 0xFFFFFFFF
