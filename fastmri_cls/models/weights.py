"""Loads pretrained weights into a backbone: which file `--weights` means, and how it is read safely.

A file is loaded into a fresh copy of the architecture it belongs to, checked, and copied only if it is complete, so a
model is never half loaded. Only weights are read from a file; nothing in it is executed.
"""

import zipfile
from pathlib import Path

import keras
import numpy as np

from fastmri_cls.foundation.checksums import file_sha256
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models.backbones import copy_weights
from fastmri_cls.models.head import Classifier, ClassifierOptions, build_classifier
from fastmri_cls.models.pretrained import check_digest, fetch
from fastmri_cls.models.registry import Backbone, Weights, find_backbone, find_model
from fastmri_cls.models.weights_safety import vet_weights_file
from fastmri_cls.runs import files
from fastmri_cls.runs.config import LoadedWeights
from fastmri_cls.runs.run import Run

_TORCH = ".pth"


def load_weights(classifier: Classifier, spec: str) -> LoadedWeights | None:
    """Load what `--weights spec` means into the classifier's backbone, or into each of its two.

    Args:
        classifier: the model to change.
        spec: `default`, `none`, the name of a published set, the path of a weights file (.h5, .weights.h5, .keras),
            or an earlier RUN folder, whose backbone is used; .pth is read for the published PyTorch files alone.
            For a hybrid: one for both backbones, or SPEC+SPEC.

    Returns:
        What was loaded; None where the backbone stays as initialised.

    Raises:
        UserError: the file is missing, damaged, or belongs to another architecture; the download failed.
    """
    branches = classifier.backbone.branches
    specs = spec.split("+") if len(branches) > 1 and "+" in spec else [spec] * len(branches)
    if len(specs) != len(branches):
        raise UserError(
            f"--weights {spec}: {classifier.backbone.name} takes one specification for both backbones, or SPEC+SPEC"
        )
    loaded = []
    for branch, base, own_spec in zip(branches, classifier.bases, specs, strict=True):
        loaded.append(_load(branch, base, classifier.options, own_spec))
    found = [facts for facts in loaded if facts is not None]
    if 0 < len(found) < len(branches):
        bare = branches[loaded.index(None)].name
        raise UserError(f"--weights {spec}: {bare} would stay frozen as initialised; give weights for both, or none")
    if len(found) > 1:
        return LoadedWeights(
            spec,
            path=" + ".join(one.path for one in found),
            sha256=" + ".join(one.sha256 for one in found),
            tensors=sum(one.tensors for one in found),
        )
    return found[0] if found else None


def _load(backbone: Backbone, base: keras.Model, options: ClassifierOptions, spec: str) -> LoadedWeights | None:
    name = backbone.default_weights if spec == "default" else spec
    if name == "none":
        return None
    path = fetch(backbone.name, backbone.weights[name]) if name in backbone.weights else Path(spec).expanduser()
    if name not in backbone.weights and not path.exists():
        known = ", ".join(["default", *backbone.weights, "none"])
        raise UserError(f"--weights {spec}: no such file or RUN; for {backbone.name} give {known} or a PATH")
    values = _from_run(path, backbone, base, options) if path.is_dir() else _from_file(path, backbone, base)
    for value in values:
        if not np.isfinite(value).all():
            raise UserError(f"--weights {path}: contains values that are not finite; the file is damaged, get it again")
    base.set_weights(values)
    file = path / files.MODEL if path.is_dir() else path
    return LoadedWeights(spec, str(path), file_sha256(file), len(values))


def _from_file(path: Path, backbone: Backbone, base: keras.Model) -> list[np.ndarray]:
    """Return the weights in a file of the backbone without its top."""
    if path.suffix == _TORCH:
        return _from_torch(path, backbone, base)
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


def _from_torch(path: Path, backbone: Backbone, base: keras.Model) -> list[np.ndarray]:
    """Read a published PyTorch file; a file with another checksum is not opened."""
    published = [weights for weights in backbone.weights.values() if weights.file.endswith(_TORCH)]
    if not (backbone.read_torch and published):
        raise UserError(f"--weights {path}: {backbone.name} takes no {_TORCH} file; give a .h5 or .keras file")
    check_digest(path, published[0])
    return backbone.read_torch(base, path)


def _from_run(path: Path, backbone: Backbone, base: keras.Model, options: ClassifierOptions) -> list[np.ndarray]:
    """Read the backbone from an earlier RUN: build its model from its config, then read nothing but weights."""
    run = Run(path)
    config = run.config
    found = find_model(config.model)
    alike = [branch for branch in found.branches if branch.build is backbone.build]
    if not alike:
        raise UserError(
            f"--weights {path}: that RUN trained {found.name}, not {backbone.name}; choose --model {found.name}"
        )
    earlier = build_classifier(
        found,
        ClassifierOptions(len(config.classes), config.image_size, config.channels, config.protocol.preprocessing),
        fast=False,  # as it was saved
    )
    chosen = next((branch for branch in alike if branch.name == backbone.name), alike[0])
    its_base = earlier.bases[found.branches.index(chosen)]
    if its_base.input_shape[-1] != base.input_shape[-1]:
        raise UserError(
            f"--weights {path}: that RUN's images have {config.channels} channels, this dataset's "
            f"{options.channels}; rebuild the dataset with --channels {config.channels}"
        )
    if not run.model_file.exists():
        raise UserError(f"--weights {path}: has no {files.MODEL}; its training has not finished")
    _read_into(earlier.model, run.model_file, f"the classifier of {path}")
    return list(its_base.get_weights())


def _read_into(model: keras.Model, path: Path, what: str) -> None:
    vet_weights_file(path)
    try:
        model.load_weights(path)
    except (ValueError, KeyError, OSError, TypeError, AttributeError, RuntimeError, zipfile.BadZipFile) as error:
        tensors = len(model.weights)
        raise UserError(
            f"--weights {path}: does not fit {what}, which has {len(model.layers)} layers and {tensors} tensors: "
            f"{_first_sentence(error)}; give a file saved from the same architecture"
        ) from None


def _first_sentence(error: Exception) -> str:
    text = " ".join(str(error.args[0] if error.args else error).split())
    return text[:300].rstrip(".")


def verify_file(path: Path, model: str, weights: Weights | None) -> str:
    """Check that a file is the published set `weights` and can be loaded into `model`; return what the check rests on.

    Args:
        path: the file.
        model: name of the backbone.
        weights: the published set; None if there is none to compare with.

    Raises:
        UserError: the file is not the published one, not safe to open, or does not fit.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; fetch it with weights fetch {model}")
    if weights:
        check_digest(path, weights)
    load_weights(build_classifier(find_backbone(model), ClassifierOptions(2, image_size=64, channels=3)), str(path))
    return "the published checksum" if weights and weights.hash else "no checksum is published"
