"""Download one file over HTTP: it appears whole and checked, or not at all.

An unfinished download is `.NAME.part` beside its target, locked by the process that writes it. The next run resumes it
(HTTP Range, RFC 9110 section 14). Proxies come from the environment (http_proxy, https_proxy, no_proxy).

Own code rather than pooch, which does not resume, does not lock, and reads a body without end until the disk is full.
"""

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.locks import try_lock
from fastmri_cls.foundation.progress import track

OFFLINE = "FASTMRI_CLS_OFFLINE"
_BLOCK = 1 << 20
_TIMEOUT = 30.0  # seconds without receiving a byte


def is_offline() -> bool:
    """Return whether FASTMRI_CLS_OFFLINE forbids the network."""
    return os.environ.get(OFFLINE, "0").lower() not in ("", "0", "false", "no")


def refuse_offline(wanted: str, cure: str) -> None:
    """Raise UserError if FASTMRI_CLS_OFFLINE forbids the network.

    Args:
        wanted: the address or file.
        cure: how to get it without a network; the end of the error.
    """
    if is_offline():
        raise UserError(f"{wanted}: {OFFLINE} is set, so nothing is downloaded; {cure}")


def download(url: str, path: Path, digest: str, size: int | None, cure: str, timeout: float = _TIMEOUT) -> None:
    """Download `url` to `path`, which appears only if size and checksum are right.

    Args:
        url: http or https.
        path: the file to make.
        digest: md5 or sha256 of the file, in hex.
        size: bytes of the file, None if unknown.
        cure: how to get the file without a network; the end of every error.
        timeout: seconds to wait for the next byte.

    Raises:
        UserError: offline, no connection, an HTTP error, a stalled or cut transfer, another size or checksum.
    """
    refuse_offline(url, cure)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("ab+") as file:
        if not try_lock(file):
            raise UserError(f"{path}: another process is downloading it; wait for it and run again")
        try:
            if file.tell() == 0 or file_digest(part, digest) != digest:  # else it was killed before the rename
                _transfer(url, file, size, cure, timeout)
            file.flush()
            os.fsync(file.fileno())
            found = file_digest(part, digest)
            if found != digest:
                _empty(file)
                raise UserError(f"{url}: its checksum is {found}, expected {digest}; run again, or {cure}")
            part.replace(path)
        finally:
            file.flush()
            if part.exists() and part.stat().st_size == 0:
                part.unlink()


def file_digest(path: Path, like: str) -> str:
    """Return the md5 or sha256 of a file, whichever has the length of `like`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5" if len(like) == 32 else "sha256").hexdigest()


def _transfer(url: str, file: BinaryIO, size: int | None, cure: str, timeout: float) -> None:
    """Append the rest of `url` to `file`, or all of it if the server does not resume."""
    start = file.tell()
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        # A new opener, because urlopen keeps the proxies of its first call.
        with urllib.request.build_opener().open(request, timeout=timeout) as response:
            total = _total(response, start)
            resumes = response.status == http.HTTPStatus.PARTIAL_CONTENT
            if start and resumes and total is None:  # not the range that was asked for
                _empty(file)
                return _transfer(url, file, size, cure, timeout)
            if not resumes:
                _empty(file)
            if size is not None and total not in (None, size):
                raise UserError(f"{url}: the server offers {total} bytes, expected {size}; run again, or {cure}")
            expected = size or total
            left = -(-((expected or 0) - file.tell()) // _BLOCK)
            for block in track(_blocks(response), f"downloading {url.rpartition('/')[2]} (MiB)", left):
                file.write(block)
                if expected is not None and file.tell() > expected:
                    _empty(file)
                    raise UserError(f"{url}: sends more than {expected} bytes; run again, or {cure}")
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            _empty(file)
            return _transfer(url, file, size, cure, timeout)
        reason = " ".join(str(error.reason).split())
        raise UserError(f"{url}: the server answers {error.code} {reason}; run again later, or {cure}") from None
    except (urllib.error.URLError, _Interrupted, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        cause = getattr(error, "reason", error)
        stalled = isinstance(cause, TimeoutError)
        reason = f"no answer for {timeout:g} s" if stalled else " ".join(str(cause).split()) or type(cause).__name__
        kept = f" ({file.tell()} bytes are kept, the next run resumes)" if file.tell() else ""
        raise UserError(f"{url}: cannot be downloaded, {reason}{kept}; run again, or {cure}") from None
    if expected is not None and file.tell() != expected:
        raise UserError(
            f"{url}: ended after {file.tell()} of {expected} bytes (they are kept, the next run resumes); "
            f"run again, or {cure}"
        )
    return None


class _Interrupted(Exception):  # noqa: N818 - becomes a UserError where the URL is known
    """The connection failed while reading. A failure to write to the disk stays an OSError."""


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            block = response.read1(_BLOCK)
        except TimeoutError:
            raise
        except OSError as error:
            raise _Interrupted(error.strerror or str(error)) from None
        if not block:
            return
        yield block


def _total(response: http.client.HTTPResponse, start: int) -> int | None:
    """Return the size of the whole file by the response's headers, None if they do not say or have another range."""
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        length = response.headers.get("Content-Length", "")
        return int(length) if length.isdecimal() else None
    found = re.fullmatch(rf"bytes {start}-\d+/(\d+)", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()
