"""What is asked of the hub, by its own client (extra `hub`): list, download, upload. Its errors become one line.

Address and token are the client's: HF_ENDPOINT, and `hf auth login` or HF_TOKEN. Nothing is read here of what comes.
"""

import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.extras import missing_extra
from fastmri_cls.foundation.progress import busy, track
from fastmri_cls.foundation.transfer import refuse_offline
from fastmri_cls.hub.names import Repository

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_COMMIT = re.compile(r"[0-9a-f]{40}")
_LOG_IN = "log in with hf auth login, or set HF_TOKEN"
_BY_HAND = "get it on a machine with a network"
GIT_FILE = ".gitattributes"  # the hub makes it


@dataclass(frozen=True)
class Listing:
    """What a repository holds at a commit.

    Attributes:
        commit: its hash.
        sizes: {file: bytes}.
        is_private: whether only its owner sees it.
    """

    commit: str
    sizes: dict[str, int]
    is_private: bool


def list_files(repository: Repository) -> Listing:
    """Return what a repository holds.

    Raises:
        UserError: offline, no connection, no such repository or revision, or no permission.
    """
    api = _connect(repository)
    with busy(f"looking at {repository}"), _in_one_line(repository):
        found = api.repo_info(
            repository.id, repo_type=repository.kind, revision=repository.revision, files_metadata=True
        )
    sizes = {file.rfilename: file.size for file in found.siblings or ()}
    if None in sizes.values() or not _COMMIT.fullmatch(found.sha or ""):
        raise UserError(f"{repository}: the hub does not say which commit it is and how large its files are; try later")
    return Listing(found.sha, sizes, bool(found.private))


def download(repository: Repository, listing: Listing, names: Iterable[str], folder: Path) -> None:
    """Download files of a repository into `folder`, at the commit of the listing.

    Args:
        repository: where they are.
        listing: of the repository.
        names: of files in it.
        folder: where they go; it exists.

    Raises:
        UserError: as `list_files`, or a file has another size than the listing says.
    """
    _connect(repository)
    from huggingface_hub import hf_hub_download

    wanted = list(names)
    for name in track(wanted, f"downloading {repository} (files)", len(wanted)):
        with _in_one_line(repository):
            hf_hub_download(repository.id, name, repo_type=repository.kind, revision=listing.commit, local_dir=folder)
        size = (folder / name).stat().st_size
        if size != listing.sizes[name]:
            raise UserError(f"{repository}: {name} has {size} bytes, its listing says {listing.sizes[name]}; try again")
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's notes about the download


def upload(repository: Repository, folder: Path, *, private: bool, is_ours: Callable[[str], bool], message: str) -> str:
    """Make a repository hold the files of `folder`, in one commit; return the address of its page.

    Args:
        repository: it is made if it does not exist.
        folder: its files, with no folders in it; README.md is checked by the hub before anything is uploaded.
        private: for a new repository; an existing one must not be more public.
        is_ours: whether an earlier upload may have made a file of this name, which is then replaced or removed.
        message: of the commit.

    Raises:
        UserError: as `list_files`; the hub refuses the card; the repository is public or holds other files.
    """
    api = _connect(repository)
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, RepoCard

    files = sorted(path.name for path in folder.iterdir())
    with _in_one_line(repository):
        card = RepoCard((folder / "README.md").read_text(encoding="utf-8"), ignore_metadata_errors=False)
        card.validate(repository.kind)
        made = api.create_repo(repository.id, repo_type=repository.kind, private=private, exist_ok=True)
    before = list_files(repository)
    if private and not before.is_private:
        raise UserError(f"{repository}: exists and is public; add --public to upload to it, or choose another name")
    others = [name for name in before.sizes if name != GIT_FILE and not is_ours(name)]
    if others:
        raise UserError(f"{repository}: holds other files ({others[0]}); choose another name")
    stale = [name for name in before.sizes if name != GIT_FILE and name not in files]
    operations = [
        *(CommitOperationAdd(name, folder / name) for name in files),
        *(CommitOperationDelete(name) for name in stale),
    ]
    with busy(f"uploading {len(files)} files to {repository}"), _in_one_line(repository):
        api.create_commit(
            repository.id, operations, commit_message=message, repo_type=repository.kind, parent_commit=before.commit
        )
    return str(made)


def require_token(repository: Repository) -> None:
    """Raise UserError if the hub could not be asked to take anything: offline, no client, no token."""
    _connect(repository)
    from huggingface_hub import get_token

    if get_token() is None:
        raise UserError(f"{repository}: a token is needed to upload; {_LOG_IN}")


def _connect(repository: Repository) -> "HfApi":
    refuse_offline(str(repository), _BY_HAND)
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.utils import disable_progress_bars
    except ImportError:
        raise UserError(f"{repository}: {missing_extra('hub')}") from None
    disable_progress_bars()  # ours are shown
    return HfApi(library_name="fastmri-cls")


@contextmanager
def _in_one_line(repository: Repository) -> Iterator[None]:
    """Turn what the client raises into a UserError with the cure."""
    from huggingface_hub import constants, errors, get_token

    has_token = get_token() is not None
    try:
        yield
    except errors.GatedRepoError:
        raise UserError(f"{repository}: is gated; ask for access on its page, and {_LOG_IN}") from None
    except errors.RepositoryNotFoundError as error:
        if has_token and error.response.status_code == 401:
            raise UserError(f"{repository}: the hub does not take your token; {_LOG_IN}") from None
        cure = "check the name, and that your token may read it" if has_token else f"check the name, or {_LOG_IN}"
        other = f"; a dataset is datasets/{repository.id}" if repository.kind == "model" else ""
        raise UserError(
            f"{repository}: no such {repository.kind} on the hub, or it is private; {cure}{other}"
        ) from None
    except errors.RevisionNotFoundError:
        raise UserError(f"{repository}: has no such revision; leave out @{repository.revision} for main") from None
    except errors.OfflineModeIsEnabled:
        raise UserError(f"{repository}: HF_HUB_OFFLINE is set, so the hub is not asked; unset it") from None
    except errors.HfHubHTTPError as error:
        code = error.response.status_code
        if code == 401:
            raise UserError(f"{repository}: the hub does not take your token; {_LOG_IN}") from None
        if code == 403:
            raise UserError(
                f"{repository}: your token may not do this; choose a name under your own user or organization, and "
                "a token with write permission (https://huggingface.co/settings/tokens)"
            ) from None
        raise UserError(f"{repository}: the hub answers {_first_words(error)}; try again later") from None
    except (errors.HTTPError, errors.LocalEntryNotFoundError, ConnectionError, TimeoutError) as error:
        raise UserError(
            f"{repository}: the hub at {constants.ENDPOINT} cannot be reached "
            f"({_first_words(error.__cause__ or error)}); try again later"
        ) from None
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{repository}: the hub refuses it ({_first_words(error)}); mend that and try again") from None


def _first_words(error: BaseException) -> str:
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
