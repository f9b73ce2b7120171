"""The public functions that exchange RUNs and datasets with the Hugging Face hub: `push` and `pull` (extra `hub`)."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.hub.push import Pushed
    from fastmri_cls.runs.run import Run

__all__ = ["pull", "push"]

StrPath = str | os.PathLike[str]


def push(
    folder: "Run | Dataset | StrPath", name: str, *, license: str | None = None, private: bool = True, yes: bool = False
) -> "Pushed":
    """Upload a finished RUN or a dataset to the Hugging Face hub, without paths and file names of this machine.

    A RUN is uploaded as its model (in a layout that `keras.saving.load_model("hf://user/name")` reads), options,
    metrics, calibration and card. A dataset is uploaded whole, with running numbers in place of file names.

    Args:
        folder: a RUN or a dataset, or its folder.
        name: user/name on the hub; it is made if it does not exist.
        license: the licence that others get, as the hub names it: `cc-by-4.0`, `apache-2.0`, ...; required.
        private: make a new repository private. False also allows one that is public already.
        yes: upload the images of a dataset.

    Returns:
        The repository and the address of its page.

    Raises:
        UserError: it is neither, or unfinished or damaged; no licence, token, network or permission; images without
            `yes`; the repository is public and `private`, or holds other files.
    """
    from fastmri_cls.hub.push import push as push_folder

    path = Path(folder) if isinstance(folder, str | os.PathLike) else folder.path
    return push_folder(path, name, licence=license, private=private, confirmed=yes)


def pull(name: str, out: StrPath) -> "Run | Dataset":
    """Download a RUN or a dataset that `push` uploaded, and check it before anything in it is used.

    Args:
        name: user/name of a RUN, datasets/user/name of a dataset; with @REVISION for another than `main`.
        out: the folder to make; it appears whole or not at all.

    Returns:
        The RUN or the dataset, opened. A pulled RUN has no predictions and no report: `evaluate` makes them.

    Raises:
        UserError: no network or no such repository; it is neither, has changed, or is not safe to use; `out` exists.
    """
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.hub.pull import pull as pull_repository
    from fastmri_cls.runs.run import Run

    found = pull_repository(name, Path(out))
    return Dataset(out) if found.kind == "dataset" else Run(out)
