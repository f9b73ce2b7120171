"""Published sets of pretrained weights: find, download and check their files. Nothing is loaded here."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastmri_cls.foundation.cache import cache_directory
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.extras import missing_extra
from fastmri_cls.foundation.transfer import download, file_digest
from fastmri_cls.models.registry import BACKBONES, Weights, find_backbone


@dataclass(frozen=True)
class Published:
    """One published set of weights.

    Attributes:
        model: name of the backbone.
        name: name of the set, as `--weights` takes it.
        weights: its file, checksum and address.
    """

    model: str
    name: str
    weights: Weights

    @property
    def path(self) -> Path:
        """The set's file in its pip package or in the cache; it may not exist yet."""
        return _path(self.weights)

    def describe(self) -> dict[str, Any]:
        """Return the facts of a set, as `weights list --json` prints them."""
        weights, path = self.weights, self.path
        ready = path.exists()
        if weights.package:
            how = missing_extra(weights.package.extra)
        elif weights.url:
            how = f"weights fetch {self.model}"
        else:
            how = f"fetch it by hand and put it in {cache_directory()}, or give it as --weights PATH"
        return {
            "model": self.model, "set": self.name, "file": weights.file, "origin": weights.origin, "url": weights.url,
            "bytes": path.stat().st_size if ready else weights.size, "checksum": weights.hash,
            "ready": ready, "cached": ready and path.parent == cache_directory(), "path": str(path), "how": how,
        }  # fmt: skip


def all_sets() -> list[Published]:
    """Return every published set: first those that pip brings, then those that can be downloaded."""
    sets = [Published(b.name, name, weights) for b in BACKBONES.values() for name, weights in b.weights.items()]
    return sorted(sets, key=lambda published: (published.weights.package is None, published.weights.url is None))


def _path(weights: Weights) -> Path:
    """Return where the file is or would be. A package is located, not imported: none of its code runs."""
    package = weights.package
    spec = importlib.util.find_spec(package.module) if package else None
    if package and spec and spec.submodule_search_locations:
        return Path(spec.submodule_search_locations[0]) / package.folder / weights.file
    return cache_directory() / weights.file


def find_set(path: Path, model: str | None) -> tuple[str, Weights | None]:
    """Return the backbone that a weights file is for, and the published set that has a file of this name, if any.

    Args:
        path: the file.
        model: name of the backbone; None to find it by the file's name.

    Raises:
        UserError: there is no such backbone, or no published file has this name and `model` is None.
    """
    named = [each for each in all_sets() if each.path.name == path.name and model in (None, each.model)]
    if named:
        return named[0].model, named[0].weights
    if model is None:
        raise UserError(f"{path}: no published file has this name; give the model it is for with --model NAME")
    return find_backbone(model).name, None


def fetch(model: str, weights: Weights) -> Path:
    """Return the file of a set of `model`. It is downloaded on the first use and checked on every use.

    Raises:
        UserError: the download failed, the set must be fetched by hand, its extra is not installed, or the file has
            another checksum.
    """
    path = _path(weights)
    if not path.exists():
        if weights.package:
            raise UserError(
                f"--model {model}: {weights.file} {missing_extra(weights.package.extra)}; "
                "or give the file as --weights PATH"
            )
        if weights.url is None or weights.hash is None:
            raise UserError(
                f"--model {model}: {weights.file} must be fetched by hand from {weights.origin}; "
                f"then give it as --weights PATH or put it in {path.parent}"
            )
        by_hand = f"fetch it on another machine and put it in {path.parent}, or give it as --weights PATH"
        download(weights.url, path, weights.hash, weights.size, by_hand)
    check_digest(path, weights)
    return path


def check_digest(path: Path, weights: Weights) -> None:
    """Raise UserError if a file is not the published one. Passes if no checksum was published."""
    if weights.hash is not None and (found := file_digest(path, weights.hash)) != weights.hash:
        raise UserError(
            f"{path}: checksum {found}, but {weights.file} has {weights.hash}; the file is damaged or another one, "
            "delete it and run again"
        )
