"""`fastmri-cls download`: the two public MRI sets, by Kaggle's own client.

Its tests answer kagglehub from a server on loopback. They never download from Kaggle itself.
"""

import json
import os
import shutil
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.output import AsJson, command_line, print_document


class SetName(StrEnum):
    """The public MRI sets."""

    nickparvar = "nickparvar"
    bhuvaji = "bhuvaji"


@dataclass(frozen=True)
class KaggleSet:
    """A dataset on Kaggle.

    Attributes:
        handle: owner/name.
        classes: names of the class folders in Training and Testing.
        training: images in Training when the published study used the set.
        testing: images in Testing likewise.
    """

    handle: str
    classes: tuple[str, ...]
    training: int
    testing: int

    @property
    def page(self) -> str:
        """Its web page."""
        return f"https://www.kaggle.com/datasets/{self.handle}"


SETS = {
    SetName.nickparvar: KaggleSet(
        "masoudnickparvar/brain-tumor-mri-dataset", ("glioma", "meningioma", "notumor", "pituitary"), 5712, 1311
    ),
    SetName.bhuvaji: KaggleSet(
        "sartajbhuvaji/brain-tumor-classification-mri",
        ("glioma_tumor", "meningioma_tumor", "no_tumor", "pituitary_tumor"), 2870, 394,
    ),
}  # fmt: skip


def download(
    name: Annotated[SetName, typer.Argument(help="The set to download.")],
    out: Annotated[
        Path | None, typer.Option(help="Copy the set to this folder; by default it stays in the cache.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Download a public MRI set from Kaggle, and print the command that builds a dataset from it.

    Example: `fastmri-cls download bhuvaji --out archive2`
    """
    from fastmri_cls.foundation.atomic import new_directory
    from fastmri_cls.foundation.errors import UserError
    from fastmri_cls.foundation.transfer import refuse_offline

    chosen = SETS[name]
    cure = (
        f"download it from {chosen.page} in a browser, unpack it into DIR (DIR/Training/{chosen.classes[0]}/..., "
        f"DIR/Testing/{chosen.classes[0]}/...) and run build-tfrecords {name}=DIR --out data/{name}"
    )
    refuse_offline(chosen.page, cure)
    folder = _find_training(_fetch(chosen, cure))
    if folder is None:
        raise UserError(f"{chosen.page}: the download has no Training and Testing folders; {cure}")
    if out is not None:
        with new_directory(out) as new:
            for part in ("Training", "Testing"):
                shutil.copytree(folder / part, new / part)
        folder = out
    training, testing = (sum(path.is_file() for path in (folder / p).rglob("*")) for p in ("Training", "Testing"))
    if (training, testing) != (chosen.training, chosen.testing):
        print(
            f"note: {training} and {testing} images in Training and Testing; the published study had "
            f"{chosen.training} and {chosen.testing}, so the set on Kaggle has changed since"
        )
    following = command_line("build-tfrecords", f"{name}={folder}", "--out", f"data/{name}")
    print(f"{folder}: {training + testing} images\nnext: {following}")
    if as_json:
        print_document(json.dumps({"path": str(folder), "training": training, "testing": testing, "next": following}))


def _fetch(chosen: KaggleSet, cure: str) -> Path:
    """Return the folder in kagglehub's cache; download the set if it is not there."""
    from fastmri_cls.foundation.errors import UserError

    os.environ.setdefault("KAGGLEHUB_VERBOSITY", "error")  # keeps its progress bar, drops its messages
    try:
        import zipfile

        import kagglehub
        from kagglehub import exceptions
        from requests import ConnectionError as NoConnection
        from requests import RequestException, Timeout
    except ImportError:
        raise UserError(f"download needs kagglehub: pip install kagglehub, or {cure}") from None
    try:
        return Path(kagglehub.dataset_download(chosen.handle))
    except (
        RequestException, ValueError, zipfile.BadZipFile, exceptions.UnauthenticatedError, exceptions.CredentialError,
        exceptions.DataCorruptionError, exceptions.BackendError, exceptions.NotFoundError,
    ) as error:  # fmt: skip
        no_network = isinstance(error, NoConnection | Timeout)
        reason = "no connection to Kaggle" if no_network else " ".join(str(error).split())[:200].rstrip(".")
        token = " (Kaggle may want a token: set KAGGLE_API_TOKEN)" if "permission" in reason else ""
        raise UserError(f"{chosen.page}: cannot be downloaded ({reason}){token}; {cure}") from None


def _find_training(folder: Path) -> Path | None:
    """Return `folder`, or the folder in it that has Training and Testing."""
    candidates = [folder, *(path for path in sorted(folder.iterdir()) if path.is_dir())]
    return next((c for c in candidates if (c / "Training").is_dir() and (c / "Testing").is_dir()), None)
