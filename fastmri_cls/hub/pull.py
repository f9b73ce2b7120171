"""Repository on the hub -> RUN or dataset: downloaded beside its folder, checked, then renamed into place."""

from pathlib import Path
from tempfile import TemporaryDirectory

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.atomic import new_directory
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.hub.client import Listing, download, list_files
from fastmri_cls.hub.dataset_files import is_published
from fastmri_cls.hub.names import Repository, parse_repository
from fastmri_cls.hub.run_files import restore_run
from fastmri_cls.hub.vetting import dataset_names, is_shard, run_names, vet_published_run
from fastmri_cls.records.images_csv import FILE_NAME as IMAGES
from fastmri_cls.records.manifest import FILE_NAME as MANIFEST
from fastmri_cls.records.manifest import read_manifest
from fastmri_cls.records.verify import find_problems

_PUSH_AGAIN = "ask its owner to push it again"
_ROW_BYTES = 1024  # of images.csv; a row has about 150


def pull(name: str, out: Path) -> Repository:
    """Download a RUN or a dataset that `push` uploaded into the new folder `out`.

    Args:
        name: user/name of a RUN, datasets/user/name of a dataset; with @REVISION for another than main.
        out: the folder to make.

    Returns:
        The repository, at the commit that was downloaded.

    Raises:
        UserError: offline, no connection or no such repository; it is neither, was changed, or is not safe to use; or
            `out` exists.
    """
    repository = parse_repository(name)
    listing = list_files(repository)
    found = repository.at(listing.commit)
    if repository.kind == "dataset":
        _pull_dataset(found, listing, out)
    else:
        pull_run(found, listing, out)
    return found


def pull_run(repository: Repository, listing: Listing, out: Path) -> None:
    """Download a RUN into the new folder `out`; see `pull`."""
    names = run_names(repository, listing)
    with new_directory(out) as folder, TemporaryDirectory(dir=folder, prefix="published-") as scratch:
        download(repository, listing, names, Path(scratch))
        vet_published_run(repository, Path(scratch))
        restore_run(Path(scratch), folder)


def _pull_dataset(repository: Repository, listing: Listing, out: Path) -> None:
    names = dataset_names(repository, listing)
    with new_directory(out) as folder:
        download(repository, listing, [MANIFEST], folder)
        manifest = read_manifest(folder)
        if not is_published(manifest):
            raise UserError(f"{repository}: its {MANIFEST} names files, so push did not write it; do not use it")
        shards = {shard.name: shard for split in manifest.splits.values() for shard in split.shards}
        if set(shards) != set(filter(is_shard, listing.sizes)):
            raise UserError(f"{repository}: has other shards than its {MANIFEST} says; {_PUSH_AGAIN}")
        rows = manifest.num_images + sum(manifest.dropped.values())
        if listing.sizes[IMAGES] > _ROW_BYTES * (rows + 1):
            raise UserError(f"{repository}: {IMAGES} is too large for {rows} images; do not use it")
        wrong = [name for name, shard in shards.items() if listing.sizes[name] != shard.bytes]
        if wrong:
            raise UserError(f"{repository}: {wrong[0]} has another size than {MANIFEST} says; {_PUSH_AGAIN}")
        download(repository, listing, [*(name for name in names if name != MANIFEST), *shards], folder)
        problems = find_problems(folder, Dataset(folder).manifest)
        if problems:
            raise UserError(f"{repository}: {problems[0]} ({len(problems)} problems in all); do not use it")
