"""RUN or dataset -> repository on the hub: written anew into a scratch folder, looked through, then uploaded whole."""

import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.cache import cache_directory
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.hub.cards import write_dataset_card, write_model_card
from fastmri_cls.hub.client import require_token, upload
from fastmri_cls.hub.dataset_files import is_published, publish_dataset
from fastmri_cls.hub.leaks import refuse_leaks
from fastmri_cls.hub.names import Repository, parse_repository
from fastmri_cls.hub.run_files import publish_run
from fastmri_cls.hub.vetting import is_of_dataset, is_of_run
from fastmri_cls.records.images_csv import read_images_csv
from fastmri_cls.records.manifest import FILE_NAME as MANIFEST
from fastmri_cls.runs.run import Run, is_run

_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]*")  # as identifiers in the hub's list are spelt; the hub knows which exist


@dataclass(frozen=True)
class Pushed:
    """What was uploaded.

    Attributes:
        repository: where it is.
        page: its web page.
        private: whether only its owner sees it.
    """

    repository: Repository
    page: str
    private: bool


def push(folder: Path, name: str, *, licence: str | None, private: bool, confirmed: bool) -> Pushed:
    """Upload a RUN or a dataset; see `api.hub.push`.

    Args:
        folder: a finished RUN or a dataset.
        name: user/name on the hub.
        licence: identifier of the hub, such as cc-by-4.0.
        private: make a new repository private.
        confirmed: upload the images of a dataset.

    Raises:
        UserError: it is neither, or unfinished or damaged; no licence, extra, token, network or permission; images
            without `confirmed`; a text would publish a path or the name of an image.
    """
    repository = parse_repository(name)
    is_dataset = (folder / MANIFEST).exists()
    if not is_dataset and not is_run(folder):
        raise UserError(f"{folder}: is neither a RUN nor a dataset; give the --out folder of train or build-tfrecords")
    if repository.revision:
        raise UserError(f"{name}: push makes a new commit on main; leave out @{repository.revision}")
    if repository.kind == "dataset" and not is_dataset:
        raise UserError(f"{folder}: is a RUN, which is a model on the hub; leave out datasets/")
    repository = Repository(repository.id, "dataset" if is_dataset else "model")
    if not licence or not _LICENCE.fullmatch(licence):
        raise UserError(
            f"--license {licence or ''}: give the licence that others get, as the hub names it (cc-by-4.0, apache-2.0, "
            "cc-by-nc-4.0, other, ...); it must respect those of the images and of the initial weights"
        )
    require_token(repository)
    cache_directory().mkdir(parents=True, exist_ok=True)  # the system's own folder for such may be small
    with TemporaryDirectory(prefix="push-", dir=cache_directory()) as scratch:
        new = Path(scratch)
        if is_dataset:
            _publish_dataset(Dataset(folder), new, repository, licence, private=private, confirmed=confirmed)
        else:
            _publish_run(Run(folder), new, repository, licence)
        message = f"Upload {repository.kind} with fastmri-cls"
        page = upload(
            repository, new, private=private, is_ours=is_of_dataset if is_dataset else is_of_run, message=message
        )
    return Pushed(repository, page, private)


def _publish_run(run: Run, new: Path, repository: Repository, licence: str) -> None:
    publish_run(run, new)
    write_model_card(run, repository, licence, new)
    refuse_leaks(new, {str(name) for name in run.predictions.filenames})


def _publish_dataset(
    dataset: Dataset, new: Path, repository: Repository, licence: str, *, private: bool, confirmed: bool
) -> None:
    rows = read_images_csv(dataset.path)
    if not confirmed:
        raise UserError(
            f"{dataset.path}: {dataset.manifest.num_images} images would leave this machine for {repository} "
            f"({'private' if private else 'PUBLIC'}), with numbers for file names and pixels as they are; if their "
            "patients and owners allow it, add --yes"
        )
    if is_published(dataset.manifest):
        raise UserError(f"{dataset.path}: was pulled from the hub; push the dataset that it was made from")
    manifest = publish_dataset(dataset, new)
    write_dataset_card(manifest, dataset.fingerprint, repository, licence, new)
    refuse_leaks(new, {row.filename for row in rows})
