"""RUNs of the hub in the cache folder: `predict hf://user/name` and `train --weights hf://user/name` use them there.

CACHE/hub/user--name/COMMIT/       a RUN, as `pull` makes it
CACHE/hub/user--name/REVISION.ref  the commit that REVISION was when it was last used
"""

import os
from pathlib import Path

from fastmri_cls.foundation.atomic import write_text
from fastmri_cls.foundation.cache import HUB_RUNS
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log
from fastmri_cls.foundation.transfer import OFFLINE, is_offline
from fastmri_cls.hub.client import list_files
from fastmri_cls.hub.names import Repository, is_hub_address, parse_repository
from fastmri_cls.runs.run import Run, is_run


def open_run(run: Run | str | os.PathLike[str]) -> Run:
    """Open a RUN folder, or hf://user/name, which is downloaded into the cache and checked first.

    Raises:
        UserError: it is no RUN; or as `pull`.
    """
    if isinstance(run, Run):
        return run
    return Run(cached_run(run)[0] if is_hub_address(run) else run)


def cached_run(address: str | os.PathLike[str]) -> tuple[Path, Repository]:
    """Return the folder of a RUN of the hub, downloaded if it is not cached, and its repository at a commit.

    Raises:
        UserError: as `pull`; or offline and not cached.
    """
    repository = parse_repository(address)
    if repository.kind == "dataset":
        raise UserError(f"{repository}: is a dataset; get it with fastmri-cls pull datasets/{repository.id} --out DIR")
    base = HUB_RUNS.directory / repository.id.replace("/", "--")
    reference = base / f"{(repository.revision or 'main').replace('/', '--')}.ref"
    if is_offline():
        commit = reference.read_text(encoding="utf-8").strip() if reference.exists() else ""
        if not commit or not is_run(base / commit):
            raise UserError(
                f"{repository}: {OFFLINE} is set, so nothing is downloaded, and it is not in {base}; use it once with "
                f"a network, or bring a RUN that fastmri-cls pull {repository.id} made elsewhere"
            )
    else:
        from fastmri_cls.hub.pull import pull_run  # h5py takes a moment to import

        listing = list_files(repository)
        commit = listing.commit
        if not is_run(base / commit):
            pull_run(repository.at(commit), listing, base / commit)
        write_text(reference, commit)
    HUB_RUNS.mark_used(base / commit)
    log.info(f"{repository}: commit {commit[:12]}, {base / commit}")
    return base / commit, repository.at(commit)
