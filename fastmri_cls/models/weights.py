"""Pretrained weights -> a backbone: which file `--weights` means, its download and checksum, and loading it safely.

A file is loaded into a fresh copy of the architecture it belongs to, checked, and copied over only when it is whole:
never a half-loaded model. Only weights are read from it; nothing in it is executed.
"""

import hashlib
import os
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fastmri_cls.foundation.atomic import new_file
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import track
from fastmri_cls.foundation.run_folder import read_config
from fastmri_cls.models.backbones import copy_weights
from fastmri_cls.models.head import Classifier, ClassifierOptions, build_classifier
from fastmri_cls.models.registry import Weights, find_backbone

_BLOCK = 1 << 20
_TIMEOUT = 30  # seconds without a byte


def load_weights(classifier: Classifier, spec: str) -> dict[str, Any] | None:
    """Load what `--weights spec` means into the classifier's backbone.

    Args:
        spec: `default`, `none`, the name of a published set, the path of a weights file (.h5, .weights.h5, .keras),
            or an earlier RUN folder, whose backbone is taken.

    Returns:
        `{spec, path, sha256, tensors}`, or None where the backbone stays as initialised.

    Raises:
        UserError: the file is missing, damaged, or belongs to another architecture; the download failed.
    """
    backbone = classifier.backbone
    name = backbone.default_weights if spec == "default" else spec
    if name == "none":
        return None
    path = _published(backbone.name, backbone.weights[name]) if name in backbone.weights else Path(spec).expanduser()
    if name not in backbone.weights and not path.exists():
        known = ", ".join(["default", *backbone.weights, "none"])
        raise UserError(f"--weights {spec}: no such file or RUN; for {backbone.name} give {known} or a PATH")
    values = _of_run(path, classifier) if path.is_dir() else _of_file(path, classifier)
    for value in values:
        if not np.isfinite(value).all():
            raise UserError(f"--weights {path}: holds values that are not finite; the file is damaged, get it again")
    classifier.base.set_weights(values)
    file = path / "model.keras" if path.is_dir() else path
    return {"spec": spec, "path": str(path), "sha256": _hash(file, "sha256"), "tensors": len(values)}


def _of_file(path: Path, classifier: Classifier) -> list[np.ndarray]:
    """Read a weights file of the backbone alone."""
    base, backbone = classifier.base, classifier.backbone
    build = backbone.upstream or backbone.build
    fresh = build(base.input_shape[1:])
    before = fresh.get_weights()
    _read_into(fresh, path, f"{backbone.name} without its top")
    after = fresh.get_weights()
    if all(np.array_equal(a, b) for a, b in zip(before, after, strict=True)):
        raise UserError(f"--weights {path}: changed nothing in {backbone.name}; it belongs to another architecture")
    if backbone.upstream is None:
        return after
    rewritten = backbone.build(base.input_shape[1:])
    copy_weights(fresh, rewritten)
    return list(rewritten.get_weights())


def _of_run(run: Path, classifier: Classifier) -> list[np.ndarray]:
    """Read the backbone out of an earlier RUN: its model is built from its config.json, then weights alone are read."""
    config = read_config(run)
    wanted = classifier.backbone.name
    found = config["model"]
    if find_backbone(found).build is not classifier.backbone.build:
        raise UserError(f"--weights {run}: that RUN trained {found}, not {wanted}; choose --model {found}")
    earlier = build_classifier(
        classifier.backbone,
        ClassifierOptions(
            len(config["classes"]), config["image_size"], config["channels"], config["protocol"]["preprocessing"]
        ),
    )
    if earlier.base.input_shape[-1] != classifier.base.input_shape[-1]:
        raise UserError(
            f"--weights {run}: that RUN's images have {config['channels']} channels, this dataset's "
            f"{classifier.options.channels}; rebuild the dataset with --channels {config['channels']}"
        )
    if not (run / "model.keras").exists():
        raise UserError(f"--weights {run}: has no model.keras; its training has not finished")
    _read_into(earlier.model, run / "model.keras", f"the classifier of {run}")
    return list(earlier.base.get_weights())


def _read_into(model: keras.Model, path: Path, what: str) -> None:
    _check_readable(path)
    try:
        model.load_weights(path)
    except (ValueError, KeyError, OSError, TypeError, AttributeError, RuntimeError, zipfile.BadZipFile) as error:
        tensors = len(model.weights)
        raise UserError(
            f"--weights {path}: does not fit {what}, which has {len(model.layers)} layers and {tensors} tensors: "
            f"{_first_sentence(error)}; give a file saved from the same architecture"
        ) from None


def _check_readable(path: Path) -> None:
    if path.suffix not in (".h5", ".keras"):
        raise UserError(
            f"--weights {path}: is no weights file; give a .h5, .weights.h5 or .keras file, or a RUN folder"
        )
    with path.open("rb") as file:
        start = file.read(8)
    expected = b"PK\x03\x04" if path.suffix == ".keras" else b"\x89HDF\r\n\x1a\n"
    if not start.startswith(expected):
        raise UserError(f"--weights {path}: is no {path.suffix} file, whatever its name says; get it again")


def _first_sentence(error: Exception) -> str:
    text = " ".join(str(error.args[0] if error.args else error).split())
    return text[:300].rstrip(".")


def _published(model: str, weights: Weights) -> Path:
    """Return the cached file, downloaded on the first use."""
    path = cache_directory() / weights.file
    if not path.exists():
        if weights.url is None:
            raise UserError(
                f"--model {model}: {weights.file} has to be fetched by hand from {weights.origin}; "
                f"then give it as --weights PATH or lay it into {path.parent}"
            )
        download(weights.url, path, weights.hash)
    _check_hash(path, weights.hash)
    return path


def cache_directory() -> Path:
    """Return where weights files are kept: $FASTMRI_CLS_CACHE, else ~/.cache/fastmri-cls."""
    return Path(os.environ.get("FASTMRI_CLS_CACHE") or Path.home() / ".cache" / "fastmri-cls")


def download(url: str, path: Path, expected: str | None) -> None:
    """Download `url` to `path`, which appears only when it is whole and its md5 or sha256 is `expected`.

    Raises:
        UserError: no connection, an HTTP error, a cut transfer, or another checksum.
    """
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response, new_file(path) as temporary:
            size = int(response.headers.get("Content-Length") or 0)
            with temporary.open("wb") as file:
                blocks = iter(lambda: response.read(_BLOCK), b"")
                for block in track(blocks, f"downloading {path.name} (MiB)", -(-size // _BLOCK)):
                    file.write(block)
            if size and temporary.stat().st_size != size:
                raise UserError(f"{url}: ended after {temporary.stat().st_size} of {size} bytes; run it again")
            _check_hash(temporary, expected, f"{url}: ")
    except urllib.error.URLError as error:
        raise UserError(
            f"{url}: cannot be downloaded ({error.reason}); fetch it on another machine and give it as --weights PATH"
        ) from None
    except TimeoutError:
        raise UserError(
            f"{url}: no answer for {_TIMEOUT} s; run it again, or give the file as --weights PATH"
        ) from None


def _check_hash(path: Path, expected: str | None, prefix: str = "") -> None:
    if expected is None:
        return
    algorithm = "md5" if len(expected) == 32 else "sha256"
    found = _hash(path, algorithm)
    if found != expected:
        where = prefix or f"{path}: "
        raise UserError(
            f"{where}{algorithm} is {found}, expected {expected}; the file is damaged, delete it and run again"
        )


def _hash(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
