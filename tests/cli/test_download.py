"""`fastmri-cls download`: the real kagglehub, answered from loopback as its two requests to Kaggle would be.

The transfer from Kaggle itself was never run here: there is no network where these tests were written.
"""

import io
import json
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fastmri_cls.cli.app import app
from fastmri_cls.cli.download import SETS, SetName
from fastmri_cls.foundation.errors import UserError
from tests.loopback import Server, fails, gives, serving

GET = "/v1/datasets.DatasetApiService/GetDataset"
DOWNLOAD = "/v1/datasets.DatasetApiService/DownloadDataset"


def archive(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, b"scan")
    return buffer.getvalue()


WHOLE = archive("Training/glioma_tumor/1.jpg", "Training/no_tumor/2.jpg", "Testing/glioma_tumor/3.jpg")


@pytest.fixture
def kaggle(monkeypatch, tmp_path):
    """Kaggle on loopback: version 3 of any set, its archive what `server.behaves[DOWNLOAD]` gives."""
    pytest.importorskip("kagglehub")
    from kagglesdk import kaggle_env

    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "FASTMRI_CLS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kagglehub"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "no-credentials"))
    with serving() as server:
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, server.address)
        server.behaves[GET] = gives(json.dumps({"currentVersionNumber": 3}).encode())
        server.behaves[DOWNLOAD] = gives(WHOLE)
        yield server


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["download", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: object) -> str:
    """The command fails with one line that has the page and the way by hand."""
    with pytest.raises(UserError) as caught:
        run(*arguments)
    message = " ".join(str(caught.value).split())
    assert "https://www.kaggle.com/datasets/sartajbhuvaji/brain-tumor-classification-mri" in message
    assert "DIR/Training/glioma_tumor/" in message
    assert "build-tfrecords bhuvaji=DIR" in message
    return message


def test_the_set_arrives_and_the_next_command_is_printed(kaggle: Server, tmp_path: Path):
    output = run("bhuvaji", "--out", tmp_path / "archive2", "--json")
    assert (tmp_path / "archive2" / "Training" / "no_tumor" / "2.jpg").read_bytes() == b"scan"
    answer = json.loads(output)
    assert answer["next"] == f"fastmri-cls build-tfrecords bhuvaji={tmp_path / 'archive2'} --out data/bhuvaji"
    assert [request[1] for request in kaggle.requests] == [GET, DOWNLOAD]


def test_it_is_downloaded_once_and_a_folder_around_it_is_looked_through(kaggle: Server, tmp_path: Path):
    kaggle.behaves[DOWNLOAD] = gives(archive("set/Training/glioma/1.jpg", "set/Testing/glioma/2.jpg"))
    for _ in range(2):
        output = run("nickparvar")
    assert "/set: 2 images" in output
    assert "note: 1 and 1 images" in output  # the published study had 5712 and 1311
    assert [request[1] for request in kaggle.requests].count(DOWNLOAD) == 1


@pytest.mark.slow
@pytest.mark.parametrize("code", [403, 404, 500])
def test_what_kaggle_refuses_is_one_line_with_the_way_by_hand(kaggle: Server, code: int):
    kaggle.behaves[DOWNLOAD] = fails(code)
    message = refused("bhuvaji")
    assert str(code) in message
    assert ("KAGGLE_API_TOKEN" in message) == (code == 403)


@pytest.mark.slow
def test_a_cut_or_foreign_archive_is_one_line(kaggle: Server, tmp_path: Path):
    kaggle.behaves[DOWNLOAD] = gives(WHOLE, sends=100)
    refused("bhuvaji", "--out", tmp_path / "a")
    kaggle.behaves[DOWNLOAD] = gives(b"<html>please log in</html>")
    refused("bhuvaji", "--out", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_an_archive_without_the_folders_is_one_line(kaggle: Server):
    kaggle.behaves[DOWNLOAD] = gives(archive("readme.txt"))
    assert "no Training and Testing folders" in refused("bhuvaji")


def test_a_member_that_leaves_the_archive_stays_inside(kaggle: Server, tmp_path: Path):
    kaggle.behaves[DOWNLOAD] = gives(archive("../../escaped.txt", "Training/a/1.jpg", "Testing/a/1.jpg"))
    folder = Path(json.loads(run("bhuvaji", "--json"))["path"])
    assert [path.parent for path in tmp_path.rglob("escaped.txt")] == [folder]


def test_no_connection_offline_and_no_kagglehub_are_each_one_line(kaggle: Server, monkeypatch):
    kaggle.httpd.shutdown()
    kaggle.httpd.server_close()
    assert "no connection to Kaggle" in refused("bhuvaji")
    monkeypatch.setenv("FASTMRI_CLS_OFFLINE", "1")
    assert "FASTMRI_CLS_OFFLINE is set" in refused("bhuvaji")
    monkeypatch.delenv("FASTMRI_CLS_OFFLINE")
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(UserError, match=r"pip install kagglehub.*Training/glioma_tumor"):
        run("bhuvaji")


def test_the_handles_are_those_of_the_published_study():
    assert {name: chosen.handle for name, chosen in SETS.items()} == {
        SetName.nickparvar: "masoudnickparvar/brain-tumor-mri-dataset",
        SetName.bhuvaji: "sartajbhuvaji/brain-tumor-classification-mri",
    }
