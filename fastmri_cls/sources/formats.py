"""Which formats are opened, and what the others are called when they turn up under an image's name."""

from typing import BinaryIO

from PIL import Image, ImageFile

# Nothing else is tried: Pillow would start Ghostscript for PostScript, whatever a file is called. JPEG includes MPO.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

_SIGNATURES = (
    (0, b"%!PS", "PostScript"), (0, b"\xc5\xd0\xd3\xc6", "PostScript"), (0, b"%PDF", "PDF"),
    (0, b"\xd7\xcd\xc6\x9a", "WMF"), (40, b" EMF", "EMF"), (0, b"8BPS", "Photoshop"), (0, b"<svg", "SVG"),
    (0, b"<?xml", "XML"), (0, b"<!DOCTYPE", "HTML"), (0, b"<html", "HTML"), (0, b"PK\x03\x04", "ZIP"),
    (0, b"\x1f\x8b", "gzip"), (0, b"\x89HDF", "HDF5"), (0, b"MATLAB", "MATLAB"), (344, b"n+1\0", "NIfTI"),
    (4, b"ftypheic", "HEIC"), (4, b"ftypheix", "HEIC"), (4, b"ftypmif1", "HEIF"), (0, b"SIMPLE  =", "FITS"),
    (4, b"ftyp", "video"), (0, b"\x1aE\xdf\xa3", "video"), (0, b"\0\0\1\0", "Windows icon"), (0, b"DDS ", "DDS"),
)  # fmt: skip


def open_image(file: BinaryIO) -> ImageFile.ImageFile:
    """Open one of FORMATS with Pillow, from the start of the file; raises what Pillow raises."""
    file.seek(0)
    return Image.open(file, formats=FORMATS)


def name_format(file: BinaryIO) -> str:
    """Return why a file that Pillow does not know is no image here, in a few words."""
    file.seek(0)
    start = file.read(400)
    text = start.lstrip(b"\xef\xbb\xbf\r\n\t ")
    for offset, signature, name in _SIGNATURES:
        if (text if signature[:1] == b"<" else start)[offset:].startswith(signature):
            return f"{name}, which is not read; convert it to PNG"
    return "no image, or of an unknown format"
