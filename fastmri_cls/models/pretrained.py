"""Published weights sets: finds, downloads and checks their files in the cache folder; never loads them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastmri_cls.foundation.cache import cache_directory
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.transfer import download, file_digest
from fastmri_cls.models.registry import BACKBONES, Weights, find_backbone


@dataclass(frozen=True)
class Published:
    """One published set of weights.

    Attributes:
        model: name of the backbone.
        name: what `--weights` takes.
        weights: the file.
    """

    model: str
    name: str
    weights: Weights

    @property
    def path(self) -> Path:
        """The set's file in the cache folder, which may not exist yet."""
        return cache_directory() / self.weights.file

    def describe(self) -> dict[str, Any]:
        """Return the facts that `weights list` shows."""
        weights = self.weights
        by_hand = f"fetch it by hand and put it in {cache_directory()}, or give it as --weights PATH"
        cached = self.path.exists()
        return {
            "model": self.model, "set": self.name, "file": weights.file, "origin": weights.origin, "url": weights.url,
            "bytes": self.path.stat().st_size if cached else weights.size, "checksum": weights.hash,
            "cached": cached, "path": str(self.path),
            "how": f"weights fetch {self.model}" if weights.url else by_hand,
        }  # fmt: skip


def all_sets() -> list[Published]:
    """Return every published set, by backbone."""
    return [Published(b.name, name, weights) for b in BACKBONES.values() for name, weights in b.weights.items()]


def find_set(path: Path, model: str | None) -> tuple[str, Weights | None]:
    """Return the backbone that a file is for, and the published set of that file name, if there is one.

    Args:
        path: the file.
        model: name of the backbone; None to find it by the name of the file.

    Raises:
        UserError: there is no such backbone, or neither name identifies it.
    """
    named = [found for found in all_sets() if found.path.name == path.name and model in (None, found.model)]
    if named:
        return named[0].model, named[0].weights
    if model is None:
        raise UserError(f"{path}: no published file has this name; give the model it is for by --model NAME")
    return find_backbone(model).name, None


def fetch(model: str, weights: Weights) -> Path:
    """Return the cached file of a set, downloaded at the first use and checked at every use.

    Args:
        model: name of the backbone, for errors.
        weights: the file.

    Raises:
        UserError: the download failed, the set has to be fetched by hand, or the cached file has another checksum.
    """
    path = cache_directory() / weights.file
    if not path.exists():
        if weights.url is None or weights.hash is None:
            raise UserError(
                f"--model {model}: {weights.file} has to be fetched by hand from {weights.origin}; "
                f"then give it as --weights PATH or put it in {path.parent}"
            )
        by_hand = f"fetch it on another machine and put it in {path.parent}, or give it as --weights PATH"
        download(weights.url, path, weights.hash, weights.size, by_hand)
    check_digest(path, weights)
    return path


def check_digest(path: Path, weights: Weights) -> None:
    """Raise UserError if a file is not the published one; without a published checksum nothing is checked."""
    if weights.hash is not None and (found := file_digest(path, weights.hash)) != weights.hash:
        raise UserError(
            f"{path}: its checksum is {found}, that of {weights.file} is {weights.hash}; it is damaged or another "
            "file; delete it and run again"
        )
