"""What is refused, in one line with the cure: by whom it may be pushed, and what must not be pulled."""

import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import fastmri_cls as fc
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.hub.dataset_files import is_published, without_names
from fastmri_cls.hub.names import Repository, is_hub_address, parse_repository
from fastmri_cls.hub.run_files import without_folders
from fastmri_cls.records.manifest import read_manifest
from fastmri_cls.runs.config import LoadedWeights
from fastmri_cls.runs.run import Run
from tests.hub.conftest import PLANTED
from tests.hub.fake_hub import FakeRepository, Hub

pytest.importorskip("huggingface_hub")
pytestmark = pytest.mark.slow

NAME, DATA = "somebody/small-cnn", "somebody/scans"


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "user/name": Repository("user/name"),
        "hf://user/na.me_1": Repository("user/na.me_1"),
        "hf:/user/name": Repository("user/name"),
        "hf://datasets/user/name@v1": Repository("user/name", "dataset", "v1"),
    }.items(),
)
def test_a_name_and_an_address_are_the_same_repository(text: str, expected: Repository) -> None:
    assert parse_repository(text) == expected
    assert parse_repository(str(expected)) == expected
    assert is_hub_address(Path("hf://user/name"))
    assert not is_hub_address("user/name")


@pytest.mark.parametrize(
    "text", ["name", "a/b/c", "../b", "a/..", "a/b--c", "a/b.git", "-a/b", "a b/c", "hf://", "a/b@", "/etc/passwd"]
)
def test_what_is_no_name_on_the_hub_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is no name on the hub; give user/name"):
        parse_repository(text)


def refused(match: str, folder: Path, name: str = NAME, **options) -> None:
    with pytest.raises(UserError, match=match) as caught:
        fc.push(folder, name, **({"license": "cc-by-4.0"} | options))
    assert "\n" not in str(caught.value)


def test_push_says_what_is_missing(planted: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = planted / "run"
    refused("is neither a RUN nor a dataset", tmp_path)
    refused("--license : give the licence", run, license=None)
    refused("--license My own: give the licence", run, license="My own")
    refused("leave out @v1", run, f"{NAME}@v1")
    refused("is a RUN, which is a model", run, f"datasets/{NAME}")
    assert hub.requests == []
    refused(r'the hub refuses it .*"license" must be one of', run, license="no-such-licence")
    refused("your token may not do this; choose a name under your own user", run, "another/name")
    assert hub.repositories == {}
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    refused("does not take your token; log in with hf auth login, or set HF_TOKEN", run)
    monkeypatch.delenv("HF_TOKEN")
    refused("a token is needed to upload; log in with hf auth login, or set HF_TOKEN", run)
    monkeypatch.setenv("FASTMRI_CLS_OFFLINE", "1")
    hub.requests.clear()
    refused("FASTMRI_CLS_OFFLINE is set", run)
    assert hub.requests == []


def test_push_keeps_off_what_is_public_and_what_is_not_ours(planted: Path, hub: Hub) -> None:
    hub.put(f"models/{NAME}", {}, private=False)
    refused("exists and is public; add --public", planted / "run")
    fc.push(planted / "run", NAME, license="mit", private=False)
    hub.put("models/somebody/other", {"pytorch_model.bin": b"x"}, private=True)
    refused(r"holds other files \(pytorch_model.bin\)", planted / "run", "somebody/other")
    stale = hub.put("models/somebody/stale", {"calibration.json": b"x", "history.csv": b"x"}, private=True)
    fc.push(planted / "run", "somebody/stale", license="mit")
    assert stale.files["history.csv"] == (planted / "run" / "history.csv").read_bytes()


@pytest.mark.parametrize("said", [f"see {PLANTED}_Anna_07.png", "from /srv/clinic/scans", "ill/{name}"])
def test_a_card_that_names_an_image_or_a_folder_is_not_uploaded(
    planted: Path, hub: Hub, tmp_path: Path, said: str
) -> None:
    import shutil

    shutil.copytree(planted / "run", tmp_path / "run")
    name = Run(planted / "run").predictions.filenames[0].rpartition("/")[2]
    with (tmp_path / "run" / "README.md").open("a") as file:
        file.write(said.format(name=name) if "{" in said or "/srv" in said else f"see {name}")
    refused(r"README.md: line \d+ would publish .*nothing was uploaded", tmp_path / "run")
    assert hub.requests == []


def test_paths_in_a_config_are_cut_and_addresses_are_kept(planted: Path) -> None:
    from dataclasses import replace

    config = Run(planted / "run").config
    loaded = LoadedWeights("/home/x/a.h5+hf://u/n", "/home/x/a.h5 + hf://u/n@abc", "0" * 64, 3)
    cut = without_folders(replace(config, weights="/home/x/a.h5+hf://u/n", loaded_weights=loaded))
    assert cut.weights == "a.h5+hf://u/n"
    assert cut.loaded_weights is not None
    assert (cut.loaded_weights.spec, cut.loaded_weights.path) == ("a.h5+hf://u/n", "a.h5 + hf://u/n@abc")
    assert (str(cut.data), str(cut.out)) == ("data", "run")
    assert without_folders(cut) == cut


def test_pull_says_what_is_wrong(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match="no such model on the hub, or it is private; check the name, and that your"):
        fc.pull("somebody/nothing", out)
    hub.put("models/somebody/other", {"model.safetensors": b"x", "config.json": b"{}"})
    with pytest.raises(UserError, match=r"has no metadata\.json, so it is no RUN that push made"):
        fc.pull("somebody/other", out)
    with pytest.raises(UserError, match="has no such revision; leave out @v2"):
        fc.pull("somebody/other@v2", out)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UserError, match="or log in with hf auth login, or set HF_TOKEN"):
        fc.pull("somebody/nothing", out)
    with pytest.raises(UserError, match="is a dataset; get it with fastmri-cls pull"):
        fc.predict("hf://datasets/somebody/scans", Path(__file__))
    with pytest.raises(UserError, match="get it with fastmri-cls pull USER/NAME --out RUN first"):
        fc.evaluate("hf://somebody/other", out)
    monkeypatch.setenv("FASTMRI_CLS_OFFLINE", "1")
    hub.requests.clear()
    with pytest.raises(UserError, match="FASTMRI_CLS_OFFLINE is set, so nothing is downloaded; get it on a machine"):
        fc.pull("somebody/other", out)
    with pytest.raises(UserError, match="FASTMRI_CLS_OFFLINE is set, so nothing is downloaded, and it is not in"):
        fc.predict("hf://somebody/other", Path(__file__))
    assert hub.requests == []
    assert not out.exists()


def test_a_hub_that_is_not_there_and_a_missing_extra_are_named(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"the hub at http://127.0.0.1:9 cannot be reached \(.*refused"):
        fc.pull(NAME, tmp_path / "out")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"needs the extra hub: pip install -e '.\[hub\]'"):
        fc.pull(NAME, tmp_path / "out")


@pytest.fixture
def pushed(planted: Path, hub: Hub) -> FakeRepository:
    fc.push(planted / "run", NAME, license="cc-by-4.0")
    return hub.repositories[f"models/{NAME}"]


def with_checksums(files: dict[str, bytes]) -> None:
    """Make the checksums fit, as whoever poisons a repository would."""
    import hashlib

    known = json.loads(files["checksums.json"])
    files["checksums.json"] = json.dumps({name: hashlib.sha256(files[name]).hexdigest() for name in known}).encode()


def flip(files: dict[str, bytes]) -> None:
    weights = bytearray(files["model.weights.h5"])
    weights[-100] ^= 1
    files["model.weights.h5"] = bytes(weights)


def add_lambda(files: dict[str, bytes]) -> None:
    config = json.loads(files["config.json"])
    config["config"]["layers"].append({"class_name": "Lambda", "module": "keras.layers", "config": {"name": "evil"}})
    files["config.json"] = json.dumps(config).encode()
    with_checksums(files)


def add_own_layer(files: dict[str, bytes]) -> None:
    config = json.loads(files["config.json"])
    config["config"]["layers"][1] |= {"module": "os", "class_name": "system", "registered_name": "x>y"}
    files["config.json"] = json.dumps(config).encode()
    with_checksums(files)


def link_out(files: dict[str, bytes]) -> None:
    content = io.BytesIO(files["model.weights.h5"])
    with h5py.File(content, "a") as file:
        file["stolen"] = h5py.ExternalLink("/etc/passwd", "x")
    files["model.weights.h5"] = content.getvalue()
    with_checksums(files)


def pickle_features(files: dict[str, bytes]) -> None:
    content = io.BytesIO()
    np.savez(content, features=np.array([{"a": 1}], dtype=object), unit_distance=1.0)
    files["ood_reference.npz"] = content.getvalue()
    with_checksums(files)


def inflate_features(files: dict[str, bytes]) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", bytes(1 << 22))
    files["ood_reference.npz"] = content.getvalue()
    with_checksums(files)


def other_config(files: dict[str, bytes]) -> None:
    files["fastmri_cls.json"] = b'{"model": "small-cnn"}'
    with_checksums(files)


POISON: dict[str, tuple[Callable[[dict[str, bytes]], object], str]] = {
    "a pickle": (lambda files: files.update({"weights.pkl": b"x"}), r"holds 'weights.pkl', which push never makes"),
    "code": (lambda files: files.update({"model.py": b"x"}), r"holds 'model.py', which push never makes"),
    "a path out": (lambda files: files.update({"../../evil": b"x"}), r"holds '../../evil', which push never makes"),
    "an absolute path": (lambda files: files.update({"/etc/x.md": b"x"}), r"holds '/etc/x.md', which push never makes"),
    "a flipped bit": (flip, r"model.weights.h5 has another sha256 than its checksums.json says"),
    "no checksum": (lambda files: files.update({"checksums.json": b"{}"}), r"has another sha256"),
    "a Lambda": (add_lambda, r"its layer Lambda 'evil' runs Python code out of the file; nothing of it was run"),
    "a layer of its own": (add_own_layer, r"is not Keras' own but its author's"),
    "a link": (link_out, r"its entry /+stolen is a link \(ExternalLink\)"),
    "pickled features": (pickle_features, r"ood_reference.npz is not what push wrote"),
    "a bomb": (inflate_features, r"ood_reference.npz inflates to more than a hundred times its size"),
    "no JSON": (lambda files: files.update({"config.json": b"{"}) or with_checksums(files), r"config.json is no JSON"),
    "another config": (other_config, r"it is not what push wrote; ask its owner to push it again"),
}


@pytest.mark.parametrize("kind", POISON)
def test_a_poisoned_repository_is_refused_and_leaves_nothing(
    pushed: FakeRepository, hub: Hub, tmp_path: Path, kind: str
) -> None:
    poison, match = POISON[kind]
    poison(pushed.files)
    pushed.commit()
    hub.requests.clear()
    with pytest.raises(UserError, match=match) as caught:
        fc.pull(NAME, tmp_path / "new" / "out")
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value) or kind == "another config"
    assert list((tmp_path / "new").rglob("*") if (tmp_path / "new").exists() else ()) == []
    if "never makes" in match:
        assert not [request for request in hub.requests if "/resolve/" in request], "nothing was downloaded"
    with pytest.raises(UserError):
        fc.predict(f"hf://{NAME}", Path(__file__))
    assert not list((tmp_path / "cache" / "hub").rglob("model.keras"))


def test_a_file_that_is_only_shown_does_no_harm(pushed: FakeRepository, tmp_path: Path) -> None:
    pushed.files |= {"LICENSE": b"x", "figure.png": b"x"}
    pushed.commit()
    fc.pull(NAME, tmp_path / "out")
    assert not (tmp_path / "out" / "figure.png").exists()


def test_a_poisoned_dataset_is_refused(planted: Path, hub: Hub, tmp_path: Path) -> None:
    fc.push(planted / "data", DATA, license="cc-by-4.0", yes=True)
    made = hub.repositories[f"datasets/{DATA}"]
    sound = dict(made.files)

    def refused_with(match: str, **changes: bytes) -> None:
        made.files = sound | changes
        made.commit()
        with pytest.raises(UserError, match=match):
            fc.pull(f"datasets/{DATA}", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    shard = next(name for name in sound if name.startswith("train"))
    refused_with(r"holds 'evil.pkl', which push never makes", **{"evil.pkl": b"x"})
    refused_with("has other shards than its dataset.json says", **{"extra.tfrecord": b"x"})
    refused_with("has another size than dataset.json says", **{shard: sound[shard] + b"x"})
    flipped = bytearray(sound[shard])
    flipped[200] ^= 1
    refused_with(f"{shard}: its sha256 is not the one in dataset.json", **{shard: bytes(flipped)})
    refused_with("was edited", **{"dataset.json": sound["dataset.json"].replace(b'"raw"', b'"png"')})
    refused_with(
        "names files, so push did not write it", **{"dataset.json": (planted / "data/dataset.json").read_bytes()}
    )
    rows = sound["images.csv"].replace(b"site,000001,", b"site,000002,")
    refused_with("images.csv differ", **{"images.csv": rows})


def test_a_manifest_without_names_stays_as_it_is(planted: Path) -> None:
    manifest = read_manifest(planted / "data")
    cut = without_names(manifest)
    assert PLANTED not in repr(cut)
    assert without_names(cut) == cut
    assert not is_published(manifest)
