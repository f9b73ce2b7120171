"""Names of repositories on the Hugging Face hub: `user/name`, `datasets/user/name`, with or without `hf://` in front.

`@REVISION` behind a name chooses a branch, a tag or a commit; without it, it is `main`.
"""

import os
import re
from dataclasses import dataclass, replace
from typing import Literal

from fastmri_cls.foundation.errors import UserError

Kind = Literal["model", "dataset"]

_SCHEME = "hf://"
_CUT_SCHEME = "hf:/"  # what pathlib leaves of it
_PART = (
    r"[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9_])?"  # as huggingface_hub's validate_repo_id, and no dot or dash at the ends
)
_NAME = re.compile(rf"(datasets/)?({_PART}/{_PART})(?:@([\w./-]+))?", re.ASCII)


@dataclass(frozen=True)
class Repository:
    """A repository on the hub.

    Attributes:
        id: user/name.
        kind: model or dataset.
        revision: branch, tag or commit; None for `main`.
    """

    id: str
    kind: Kind = "model"
    revision: str | None = None

    def __str__(self) -> str:
        """Return the address, hf://user/name or hf://datasets/user/name, with the revision."""
        folder = "datasets/" if self.kind == "dataset" else ""
        return f"{_SCHEME}{folder}{self.id}" + (f"@{self.revision}" if self.revision else "")

    def at(self, commit: str) -> "Repository":
        """Return the repository at a commit."""
        return replace(self, revision=commit)


def is_hub_address(value: str | os.PathLike[str]) -> bool:
    """Return whether a value begins with hf://, also after it was made a path."""
    return os.fspath(value).startswith((_SCHEME, _CUT_SCHEME))


def parse_repository(value: str | os.PathLike[str]) -> Repository:
    """Return the repository of a name or an address.

    Raises:
        UserError: it is no name of a repository.
    """
    text = os.fspath(value)
    name = text.removeprefix(_SCHEME).removeprefix(_CUT_SCHEME)
    found = _NAME.fullmatch(name)
    if not found or "--" in name or ".." in name or name.endswith(".git"):
        raise UserError(
            f"{text}: is no name on the hub; give user/name, of letters, digits, -, _ and ., or datasets/user/name"
        )
    return Repository(found[2], "dataset" if found[1] else "model", found[3])
