"""The weights sets that others publish, and the folder that keeps them: found, downloaded, checked, never loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastmri_cls.foundation.cache import cache_directory
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.transfer import download, file_digest
from fastmri_cls.models.registry import BACKBONES, Weights, find_backbone


@dataclass(frozen=True)
class Published:
    """One set of weights of one backbone; `name` is what `--weights` takes."""

    model: str
    name: str
    weights: Weights

    @property
    def path(self) -> Path:
        """Where the set's file lies, or will."""
        return cache_directory() / self.weights.file

    def describe(self) -> dict[str, Any]:
        """Return what people and `--json` are told of a set."""
        weights = self.weights
        by_hand = f"fetch it by hand and lay it into {cache_directory()}, or give it as --weights PATH"
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
    """Return the backbone that a file is for, `model` or else by its name, and the set it is by that name, if any.

    Raises:
        UserError: there is no such backbone, or neither name says which it is.
    """
    named = [one for one in all_sets() if one.path.name == path.name and model in (None, one.model)]
    if named:
        return named[0].model, named[0].weights
    if model is None:
        raise UserError(f"{path}: is named like no published file; say with --model NAME which model it is for")
    return find_backbone(model).name, None


def fetch(model: str, weights: Weights) -> Path:
    """Return the cached file of a set of `model`, downloaded on the first use and checked on every one.

    Raises:
        UserError: the download failed, the set is to be fetched by hand, or the cached file has another checksum.
    """
    path = cache_directory() / weights.file
    if not path.exists():
        if weights.url is None or weights.hash is None:
            raise UserError(
                f"--model {model}: {weights.file} has to be fetched by hand from {weights.origin}; "
                f"then give it as --weights PATH or lay it into {path.parent}"
            )
        by_hand = f"fetch it on another machine and lay it into {path.parent}, or give it as --weights PATH"
        download(weights.url, path, weights.hash, weights.size, by_hand)
    check_digest(path, weights)
    return path


def check_digest(path: Path, weights: Weights) -> None:
    """Raise UserError where a file is not the published one; where no checksum is published nothing can be said."""
    if weights.hash is not None and (found := file_digest(path, weights.hash)) != weights.hash:
        raise UserError(
            f"{path}: its checksum is {found}, that of {weights.file} is {weights.hash}; it is damaged or another, "
            "delete it and run again"
        )
