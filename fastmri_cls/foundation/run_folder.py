"""The RUN folder's config.json: what a run was made with, read wherever an earlier RUN is used."""

import json
from pathlib import Path
from typing import Any

from fastmri_cls.foundation.errors import UserError

FILE_NAME = "config.json"
_NEEDED = ("model", "classes", "image_size", "channels", "protocol", "dataset")


def read_config(run: Path) -> dict[str, Any]:
    """Return config.json of a RUN.

    Raises:
        UserError: `run` is no RUN folder, or its config.json is not what `train` wrote.
    """
    path = run / FILE_NAME
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{run}: no {FILE_NAME} in it; give the --out folder of a train command") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); train again") from None
    missing = [name for name in _NEEDED if not isinstance(config, dict) or name not in config]
    if missing:
        raise UserError(f"{path}: has no {', '.join(missing)}; it was not written by train")
    return dict(config)
