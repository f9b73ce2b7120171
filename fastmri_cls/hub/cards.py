"""The cards of what is pushed: those of the RUN and the dataset, with the licence and how to use them from the hub.

The header is read and written by the hub's own classes, which refuse what the hub cannot read.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from fastmri_cls.foundation.atomic import write_text
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.templates import render
from fastmri_cls.hub.names import Repository
from fastmri_cls.records.card import dataset_card
from fastmri_cls.records.manifest import Manifest
from fastmri_cls.runs import files
from fastmri_cls.runs.run import Run

if TYPE_CHECKING:
    from huggingface_hub import RepoCard

_USE = re.compile(r"^## Use\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_OTHER = "other"  # the hub's licence for one that is not in its list; the card must name it


def write_model_card(run: Run, repository: Repository, licence: str, folder: Path) -> None:
    """Write the card of a RUN into `folder`, for the hub.

    Raises:
        UserError: README.md of the RUN has a header that the hub cannot read.
    """
    from huggingface_hub import ModelCard

    path = run.path / files.CARD
    text = path.read_text(encoding="utf-8")
    has_reference = (folder / files.OOD_REFERENCE).exists()
    use = render("hub/templates/use.md.j2", config=run.config, repository=repository, has_reference=has_reference)
    found = _USE.search(text)
    text = text[: found.start()] + use + text[found.end() :] if found else f"{text}\n{use}"
    try:
        card = ModelCard(text)
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: the hub cannot read its header ({reason}); run evaluate on that RUN again") from None
    card.data.library_name = "keras"  # whose layout the repository has
    _write(card, licence, folder / files.CARD)


def write_dataset_card(manifest: Manifest, origin: str, repository: Repository, licence: str, folder: Path) -> None:
    """Write the card of a published dataset into `folder`.

    Args:
        manifest: of the published dataset.
        origin: fingerprint of the dataset with file names.
        repository: where it goes.
        licence: of the images, an identifier of the hub.
        folder: the published dataset.
    """
    from huggingface_hub import DatasetCard

    name = f"datasets/{repository.id}"
    text = dataset_card(manifest) + render("hub/templates/published_dataset.md.j2", origin=origin, name=name)
    _write(DatasetCard(text), licence, folder / files.CARD)


def _write(card: "RepoCard", licence: str, path: Path) -> None:
    card.data.license = licence
    card.data.license_name = "see-this-card" if licence == _OTHER else None
    write_text(path, str(card))
