"""The page of `try`: what a browser shows of a dropped file is what `predict` says, and nothing stays on disk."""

import re
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from fastmri_cls.api.runs import predict
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.inference.ood_features import kept_positions
from fastmri_cls.runs.run import Run
from tests.browser import CHROMIUM, Page, open_page

pytest.importorskip("nicegui")
pytest.importorskip("pydicom")
from fastmri_cls.inference import page as try_page
from fastmri_cls.inference.examiner import Examiner
from tests.sources.dicom_files import write as write_dicom

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder that the server works in, and its temporary folder, so that what it writes is found."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "temporary").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(tempfile, "tempdir", str(folder / "temporary"))
        yield folder


@pytest.fixture(scope="module")
def url(trained_run, folder) -> Iterator[str]:
    """The page of `trained_run`, served by a thread of this process."""
    examiner, ready = Examiner(Run(trained_run)), threading.Event()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = try_page.make_server(examiner, ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        assert ready.wait(60)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        server.should_exit = True
        thread.join(30)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def browser(url, tmp_path_factory) -> Iterator[Page]:
    if not CHROMIUM:
        pytest.skip("no Chromium here")
    with open_page(url, tmp_path_factory.mktemp("profile")) as page:
        page.wait_for("document.querySelector('.q-uploader') !== null")
        yield page


def shown(browser: Page, file: Path) -> str:
    """Drop a file; return the text of the page once its result is there."""
    browser.run("document.querySelectorAll('img').forEach(image => image.setAttribute('data-old', ''))")
    browser.drop(file, ".q-uploader")
    done = f"t.includes({file.name + ':'!r}) || t.includes({file.name!r}) && /similar training/i.test(t)"
    return browser.wait_for(
        f"document.querySelector('[data-old]') ? '' : (t => {done} ? t : '')(document.body.innerText)"
    )


@pytest.fixture(scope="module")
def scans(phantom_dataset, tmp_path_factory) -> list[Path]:
    """A phantom as PNG and as DICOM."""
    folder = tmp_path_factory.mktemp("scans")
    source = next((phantom_dataset.parent / "sources").rglob("Testing/glioma/*.png"))
    pixels = np.asarray(Image.open(source).convert("L"))
    Image.fromarray(pixels).save(folder / "scan.png")
    write_dicom(folder / "scan.dcm", pixels.astype(np.uint16) * 16)
    return [folder / "scan.png", folder / "scan.dcm"]


def test_a_dropped_file_shows_the_calibrated_probabilities_of_predict_and_what_goes_with_them(
    browser, scans, trained_run
):
    predictions = predict(trained_run, scans, calibrated=True)
    for scan, expected in zip(scans, predictions, strict=True):
        text = shown(browser, scan)
        found = dict(re.findall(r"^(\w+)\s+(0\.\d{4}|1\.0000)$", text, re.MULTILINE))
        classes = Run(trained_run).config.classes
        assert found == {name: f"{p:.4f}" for name, p in zip(classes, expected.probabilities, strict=True)}
        assert "not a medical device" in text
        assert f"out-of-distribution score {expected.ood_score:.2f}" in text
        assert text.count("cosine ") == 5
        width = Image.open(scans[0]).width  # of the original; the model sees 128 pixels
        pictures = browser.run("[...document.images].map(i => [i.alt, i.naturalWidth])")
        assert pictures[:2] == [["the image", width], ["heat map", width]]
        assert [stored for _, stored in pictures[2:]] == [128] * 5


def test_the_slider_changes_the_opacity_of_the_heat_map(browser, scans):
    shown(browser, scans[0])
    browser.run("document.querySelector('.q-slider [tabindex]').focus()")
    layer = "document.images[1].style.opacity"
    assert browser.run(layer) == "0.6"
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39)
    browser.wait_for(f"{layer} == '0.65'")


def test_an_unreadable_file_is_one_sentence(browser, tmp_path):
    (tmp_path / "notes.png").write_text("no image at all")
    text = shown(browser, tmp_path / "notes.png")
    assert [line for line in text.splitlines() if line.startswith("notes.png")] == [
        "notes.png: no image, or of an unknown format."
    ]


def test_nothing_comes_from_elsewhere_only_loopback_listens_and_nothing_is_on_disk(browser, url, folder, scans):
    big = scans[0].with_name("big.png")  # larger than what a server usually keeps in memory
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (1600, 1600), np.uint8)).save(big)
    assert big.stat().st_size > 2 << 20
    shown(browser, big)
    elsewhere = [found for found in browser.requested if not found.startswith((url, "data:", f"blob:{url}"))]
    assert browser.requested
    assert elsewhere == []
    port = int(url.split(":")[2].strip("/"))
    ours = [found for found in psutil.Process().net_connections() if found.status == "LISTEN"]
    assert [found.laddr.ip for found in ours if found.laddr.port == port] == ["127.0.0.1"]
    written = [path.name for path in folder.rglob("*") if not path.name.startswith("__autograph_generated_file")]
    assert written == ["temporary"]  # AutoGraph's files hold TensorFlow's code


def test_a_page_of_another_name_gets_no_answer_and_a_file_too_large_for_memory_is_refused(url, monkeypatch):
    def status(path: str, *, host: str = "127.0.0.1", length: int = 0) -> str:
        with socket.create_connection(("127.0.0.1", int(url.split(":")[2].strip("/"))), timeout=30) as connection:
            method = "POST" if length else "GET"
            head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n"
            connection.sendall(head.encode())
            return connection.recv(100).decode().split()[1]

    assert status("/") == "200"
    assert status("/", host="evil.example") == "400"
    assert status("/_nicegui/client/x/upload/1", length=10**10) == "413"


def test_a_port_that_is_taken_is_named(url, trained_run):
    port = int(url.split(":")[2].strip("/"))
    with pytest.raises(UserError, match=f"--port {port}: Address already in use; choose another"):
        try_page.serve(None, port, print)


@pytest.mark.parametrize("count", [1, 31, 4096, 4097, 10_000])
def test_the_rows_of_a_reference_are_every_nth_batch(count):
    import tensorflow as tf

    every = -(-count // 4096)
    kept = tf.data.Dataset.range(count).batch(32).shard(every, 0).unbatch()
    np.testing.assert_array_equal(kept_positions(count), list(kept.as_numpy_iterator()))
