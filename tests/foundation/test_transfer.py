"""Downloads against a server on loopback: whole and checked, resumed, or one line that says what to do."""

import errno
import fcntl
import hashlib
from pathlib import Path

import pytest

from fastmri_cls.foundation import transfer
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.transfer import download
from tests.loopback import Server, fails, gives, redirects, serving, stalls

CONTENT = bytes(range(256)) * 10_000  # 2.4 MiB: several blocks
SHA256 = hashlib.sha256(CONTENT).hexdigest()
CURE = "carry it over"


@pytest.fixture
def server():
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "FASTMRI_CLS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


def fetch(server: Server, folder: Path, path: str = "/file", digest: str = SHA256, size: int | None = len(CONTENT)):
    download(server.address + path, folder / "file.h5", digest, size, CURE, timeout=0.5)
    return (folder / "file.h5").read_bytes()


def refused(server: Server, folder: Path, path: str = "/file", **options) -> str:
    """The download fails with one line that has the address and the cure; the file is not there."""
    with pytest.raises(UserError) as caught:
        fetch(server, folder, path, **options)
    assert not (folder / "file.h5").exists()
    message = str(caught.value)
    assert "\n" not in message
    assert server.address + path in message
    assert message.endswith(CURE)
    return message


def kept(folder: Path) -> int:
    """Bytes of the unfinished transfer; -1 where there is none."""
    part = folder / ".file.h5.part"
    return part.stat().st_size if part.exists() else -1


@pytest.mark.parametrize("digest", [SHA256, hashlib.md5(CONTENT).hexdigest()])
def test_a_whole_file_of_the_right_checksum_appears_and_nothing_beside_it(server, tmp_path, digest):
    server.behaves["/file"] = gives(CONTENT)
    assert fetch(server, tmp_path, digest=digest) == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["file.h5"]


def test_a_cut_transfer_goes_on_where_it_ended(server, tmp_path):
    server.behaves["/file"] = gives(CONTENT, sends=1_000_000)
    assert "the next run resumes" in refused(server, tmp_path)
    assert kept(tmp_path) == 1_000_000
    server.behaves["/file"] = gives(CONTENT, resumes=True)
    assert fetch(server, tmp_path) == CONTENT
    assert server.requests[-1] == ("GET", "/file", "bytes=1000000-")


def test_where_the_server_does_not_resume_it_starts_over(server, tmp_path):
    (tmp_path / ".file.h5.part").write_bytes(CONTENT[:1000])
    server.behaves["/file"] = gives(CONTENT)
    assert fetch(server, tmp_path) == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / ".file.h5.part").write_bytes(CONTENT + b"more")
    server.behaves["/file"] = gives(CONTENT, resumes=True)
    assert fetch(server, tmp_path) == CONTENT
    assert [request[2] for request in server.requests] == [f"bytes={len(CONTENT) + 4}-", None]


def test_a_part_that_was_whole_needs_no_server(server, tmp_path):
    (tmp_path / ".file.h5.part").write_bytes(CONTENT)
    assert fetch(server, tmp_path) == CONTENT
    assert not server.requests


def test_an_answer_with_another_range_is_not_joined(server, tmp_path):
    (tmp_path / ".file.h5.part").write_bytes(CONTENT[:1000])

    def behave(handler):
        if "Range" not in handler.headers:
            return gives(CONTENT)(handler)
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}")
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        return handler.wfile.write(CONTENT)

    server.behaves["/file"] = behave
    assert fetch(server, tmp_path) == CONTENT


def test_a_stale_part_is_found_by_the_checksum_and_the_next_run_starts_over(server, tmp_path):
    (tmp_path / ".file.h5.part").write_bytes(b"another file's beginning")
    server.behaves["/file"] = gives(CONTENT, resumes=True)
    assert "checksum" in refused(server, tmp_path)
    assert kept(tmp_path) == -1
    assert fetch(server, tmp_path) == CONTENT


def test_wrong_bytes_are_refused_with_both_checksums_and_leave_nothing(server, tmp_path):
    wrong = CONTENT[:-1] + b"!"
    server.behaves["/file"] = gives(wrong)
    message = refused(server, tmp_path)
    assert SHA256 in message
    assert hashlib.sha256(wrong).hexdigest() in message
    assert kept(tmp_path) == -1


def test_a_server_that_stalls_is_left_after_the_timeout(server, tmp_path):
    server.behaves["/file"] = stalls(server, CONTENT, after=5000)
    assert "no answer for 0.5 s (5000 bytes are kept" in refused(server, tmp_path)
    server.behaves["/file"] = stalls(server, b"", after=0)
    server.behaves["/silent"] = lambda _: server.released.wait(30)
    assert "no answer for 0.5 s" in refused(server, tmp_path / "other", "/silent")


def test_a_server_that_lies_about_the_length_is_found_out(server, tmp_path):
    server.behaves["/longer"] = gives(CONTENT, claims=len(CONTENT) + 100)
    assert f"offers {len(CONTENT) + 100} bytes, expected {len(CONTENT)}" in refused(server, tmp_path, "/longer")
    assert f"ended after {len(CONTENT)} of" in refused(server, tmp_path, "/longer", size=None)
    server.behaves["/shorter"] = gives(CONTENT, claims=1000)
    assert "offers 1000 bytes" in refused(server, tmp_path / "b", "/shorter")
    assert "checksum" in refused(server, tmp_path / "b", "/shorter", size=None)


def test_a_body_without_end_is_cut_at_the_size_that_is_known(server, tmp_path):
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(CONTENT)

    server.behaves["/file"] = endless
    assert f"more than {len(CONTENT)} bytes" in refused(server, tmp_path)
    assert kept(tmp_path) == -1


def test_redirects_are_followed_but_not_in_circles_nor_to_files(server, tmp_path):
    server.behaves["/file"] = gives(CONTENT)
    server.behaves["/moved"] = redirects(f"{server.address}/file")
    assert fetch(server, tmp_path, "/moved") == CONTENT
    (tmp_path / "file.h5").unlink()
    server.behaves["/circle"] = redirects(f"{server.address}/circle")
    assert "302" in refused(server, tmp_path, "/circle")
    server.behaves["/local"] = redirects((tmp_path / "secret").as_uri())
    assert "302" in refused(server, tmp_path, "/local")


@pytest.mark.parametrize("code", [403, 404, 500, 503])
def test_a_server_that_fails_is_quoted(server, tmp_path, code):
    server.behaves["/file"] = fails(code)
    assert f"the server answers {code}" in refused(server, tmp_path)
    assert kept(tmp_path) == -1


def test_a_connection_that_is_reset_or_speaks_no_http_is_one_line(server, tmp_path):
    server.behaves["/file"] = lambda handler: handler.connection.close()
    refused(server, tmp_path)
    server.behaves["/file"] = lambda handler: handler.wfile.write(b"no http\r\n\r\n")
    refused(server, tmp_path)
    server.httpd.server_close()
    server.httpd.shutdown()
    assert "refused" in refused(server, tmp_path)


def test_offline_touches_no_network_and_says_what_to_do(server, tmp_path, monkeypatch):
    server.behaves["/file"] = gives(CONTENT)
    monkeypatch.setenv("FASTMRI_CLS_OFFLINE", "1")
    assert "FASTMRI_CLS_OFFLINE is set" in refused(server, tmp_path)
    assert not server.requests
    monkeypatch.setenv("FASTMRI_CLS_OFFLINE", "0")
    assert fetch(server, tmp_path) == CONTENT


def test_proxies_come_from_the_environment(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.address)
    monkeypatch.setenv("https_proxy", server.address)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.behaves["http://weights.invalid/file.h5"] = gives(CONTENT)
    download("http://weights.invalid/file.h5", tmp_path / "file.h5", SHA256, None, CURE, timeout=2)
    assert (tmp_path / "file.h5").read_bytes() == CONTENT
    server.behaves["weights.invalid:443"] = fails(403)
    with pytest.raises(UserError, match="403"):
        download("https://weights.invalid/file.h5", tmp_path / "b.h5", SHA256, None, CURE, timeout=2)
    assert server.requests[-1][:2] == ("CONNECT", "weights.invalid:443")


def test_two_downloads_of_one_file_do_not_mix(server, tmp_path):
    with (tmp_path / ".file.h5.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process is downloading it"):
            fetch(server, tmp_path)
    assert not server.requests


def test_a_full_disk_is_no_network_error(server, tmp_path, monkeypatch):

    def full(blocks, *_):
        for _block in blocks:
            raise OSError(errno.ENOSPC, "No space left on device")
        yield b""

    monkeypatch.setattr(transfer, "track", full)
    server.behaves["/file"] = gives(CONTENT)
    with pytest.raises(OSError, match="No space left"):
        fetch(server, tmp_path)
    assert not (tmp_path / "file.h5").exists()
